"""In which script a text is written: a summary in another one is of no use to who goes on with it."""

from __future__ import annotations

import re
from typing import Final

SURE: Final = 0.8
"""Of the letters: with this many of one script, a text is written in it."""

FEWEST: Final = 20
"""Letters. Of fewer nobody can tell."""

_SCRIPTS: Final = {
    "latin": re.compile(r"[A-Za-zÀ-ɏḀ-ỿ]"),
    "cyrillic": re.compile(r"[Ѐ-ԯ]"),
    "greek": re.compile(r"[Ͱ-Ͽἀ-῿]"),
    "arabic": re.compile(r"[؀-ۿݐ-ݿ]"),
    "hebrew": re.compile(r"[֐-׿]"),
    "indic": re.compile(r"[ऀ-෿]"),
    "thai": re.compile(r"[฀-๿]"),
    "korean": re.compile(r"[ᄀ-ᇿ가-힯]"),
    "chinese or japanese": re.compile(r"[぀-ヿ㐀-䶿一-鿿]"),
}


def script_of(text: str) -> str | None:
    """The script that nearly all letters of `text` belong to; `None` when they are too few, or mixed."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    name = max(counts, key=lambda each: counts[each])
    letters = sum(counts.values())
    return name if letters >= FEWEST and counts[name] >= SURE * letters else None


def differ(one: str, other: str) -> bool:
    """Whether two texts are certainly written in different scripts."""
    first, second = script_of(one), script_of(other)
    return first is not None and second is not None and first != second
