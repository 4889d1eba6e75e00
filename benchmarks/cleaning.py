"""Whether cleaning takes time in proportion to the text, on the texts that were made to prevent it.

Ten times the text should take ten times as long. The peer is the same text a tenth as long. A regular
expression that goes back, or looks again at what it has seen, would take a hundred times as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.measure import Row
from benchmarks.texts import texts
from langgraph_guard.tools.content.cleaning import clean, suspicions

SIZE: Final = 10_000_000
MOST: Final = 15
"""Times as long, for ten times the text; quadratic would be 100."""

PIECES: Final = {
    "prose": texts()["English, manual"],
    "JSON": texts()["JSON records"],
    "zero-width spaces": "a\u200b",
    "escapes": "\x1b[0;",
    "titles without end": "\x1b]",
    "tags": "a\U000e0041",
    "flags without end": "\U0001f3f4\U000e0067",
    "variants": "a\ufe0f",
    "families without end": "👩\u200d",
    "<|": "<|",
    "<|a|>": "<|a|>",
    "<": "<",
    "<<": "<<",
    "spaced lines": "\n \t",
    "turns": "\n\nHuman:",
    "fullwidth": "＜｜",
    "ignore": "ignore ",
    "print": "print the ",
    "images": "![](https://",
    "base64": "A" * 255 + "!",
}


def rows(rounds: int = 2) -> Iterator[Row]:
    size = SIZE if rounds > 1 else 20_000
    for name, act in (("clean", clean), ("suspicions", suspicions)):
        found = {kind: timed(act, piece, size, rounds) for kind, piece in PIECES.items()}
        worst = max(found, key=lambda kind: found[kind][0] / found[kind][1])
        for kind in dict.fromkeys(("prose", max(found, key=lambda kind: found[kind][0]), worst)):
            long, short = found[kind]
            ratio = long / short
            claim = f"cleaning: {name}, {size:,} characters of {kind}{', the least linear' if kind == worst else ''}"
            yield Row(claim, f"{long:.2f} s", f"{short:.3f} s for a tenth", ratio, f"≤ {MOST}×", ratio <= MOST)


def timed(act: Callable[[str], Any], piece: str, size: int, rounds: int) -> tuple[float, float]:
    """The least CPU seconds of a text, and of its tenth."""
    text = piece * (size // len(piece))
    return _least(act, text, rounds), _least(act, text[: size // 10], rounds)


def _least(act: Callable[[str], Any], text: str, rounds: int) -> float:
    return min(_seconds(act, text) for _ in range(rounds))


def _seconds(act: Callable[[str], Any], text: str) -> float:
    began = time.process_time()
    act(text)
    return time.process_time() - began
