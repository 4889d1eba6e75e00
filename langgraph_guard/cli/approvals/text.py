"""Words that others wrote, on a screen that they must not be able to draw on.

What a reviewer sees decides what runs, and a model that reads strangers' text wrote it. So nothing in it moves the
cursor, turns the direction of writing, begins a line, or is there without being seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

LONGEST: Final = 600
"""Characters of one value. The rest is counted, and `--full` shows it."""

TAIL: Final = 100
"""Characters of its end that are shown of a longer one: what matters may stand last."""

_HIDDEN: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""What counts as printable and is not seen: fillers, blanks, selectors of variants."""


def legible(text: str) -> str:
    """`text` on one line: what is not printable, or not to be seen, is written out as its escape."""
    return "".join(each if _is_seen(each) else each.encode("unicode_escape").decode() for each in text)


def cut(text: str, most: int | None = LONGEST) -> str:
    """`text`, legible; of one that is too long the beginning and the end, and how much there is between."""
    if most is None or len(text) <= most:
        return legible(text)
    tail = min(TAIL, most // 4)
    left_out = len(text) - most
    return (
        f"{legible(text[: most - tail])} … {left_out:,} of {len(text):,} characters left out … {legible(text[-tail:])}"
    )


def cell(text: str, most: int | None = LONGEST) -> Text:
    """As a `Text`, because a `str` may be markup."""
    return Text(cut(text, most))


def value(found: Any, most: int | None = LONGEST) -> str:
    """An argument: text in quotation marks, so that its end is seen, and everything else as JSON."""
    return cut(json.dumps(found, ensure_ascii=False), most)


def line(args: str, most: int = 160) -> str:
    """All arguments in a few words."""
    found: Mapping[str, Any] = json.loads(args)
    told = ", ".join(f"{legible(name)}={value(each, most)}" for name, each in found.items())
    return told if len(told) <= most else f"{told[:most]}…"


def _is_seen(character: str) -> bool:
    return character.isprintable() and not _HIDDEN.match(character)
