"""Text of an exception, made fit to be shown: one line, short, without addresses, credentials or a traceback.

This is the second lock. The first is that most exceptions' text is not shown at all: see `failures`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MOST_SHOWN: Final = 300
"""Characters."""

_LOOKED_AT: Final = 1_000
"""More is not read: the patterns below are tried on text that anybody may have written."""

_TRACEBACK: Final = re.compile(r"\s*(Traceback \(most recent call last\)|File \"[^\"]*\", line \d+).*")
_ADDRESS: Final = re.compile(r"[\w+.-]*://\S*|(?<=\S)\?\S+=\S*")
_REST_IS_SECRET: Final = re.compile(r"(?i)(authorization|cookie)[\"']?\s*[:=].*")
_SECRET: Final = re.compile(
    r"(?i)((?:(?:api|access|private|secret)[-_ ]?key|passw(?:or)?d|passphrase|pwd|secret|token|credentials?)"
    r"[\"']?\s*[:=]\s*)\S+"
)
_TOKEN: Final = re.compile(
    r"(?i:\b(?:bearer|basic)\s+(?=\S*[\d=])\S{8,})"  # a header's value
    r"|\bsk-[\w-]{8,}|\bgh[oprsu]_\w{8,}|\bxox[abprs]-[\w-]{6,}|\bAKIA\w{12,}|\beyJ[\w-]+\.[\w.-]+"  # well-known forms
)


def shown(text: str, most: int = MOST_SHOWN) -> str:
    """`text` as one clean line of at most `most` characters."""
    head = str.__str__(text)[:_LOOKED_AT]
    line = " ".join("".join(map(_visible, head)).split())
    line = _TRACEBACK.sub("", line)
    line = _ADDRESS.sub("<address>", line)
    line = _REST_IS_SECRET.sub(r"\1: <hidden>", line)
    line = _SECRET.sub(r"\1<hidden>", line)
    line = _TOKEN.sub("<hidden>", line)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _visible(letter: str) -> str:
    """Invisible and bidi marks vanish, so that no word hides behind one; line ends and the like are spaces."""
    if letter.isprintable():
        return letter
    return "" if unicodedata.category(letter) == "Cf" else " "
