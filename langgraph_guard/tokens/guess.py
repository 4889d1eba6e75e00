"""The tokens of a text without a vocabulary.

The pattern that splits text before merging needs no vocabulary, and each piece is one token or more: how many, its
length and its script say. The median error is about 4 % over prose, code, data and a dozen scripts; four characters per
token, the usual guess, has about 30 %. It errs to the side of more where it must: half as much again is enough for
every kind of text that `benchmarks/accuracy.py` has.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from langgraph_guard.tokens.encodings import O200K
from langgraph_guard.tokens.text import Gauge, byte_length

if TYPE_CHECKING:
    from collections.abc import Callable

WORD: Final = 8
"""Characters of ASCII, the space before them included, that are one token still; every four more are another."""

ACCENTED_WORD: Final = 4
"""The same of a word with a letter beyond ASCII; every two more are another. Of its language fewer words are whole
tokens, with accents or without: this word stands for those around it."""

LETTERS: Final = 3
"""Characters of other alphabets to a token: Cyrillic, Greek, Hebrew, Arabic, those of India."""

SYMBOLS: Final = 2
"""The same of arrows, frames, the signs of mathematics."""

EAST_ASIA: Final = 4
"""Bytes to a token where words have no spaces between them: four tokens are five or six characters."""

ASTRAL: Final = 2
"""Tokens of a character outside the basic plane: of an emoji. A letter out there is in no vocabulary, and has 3."""

RUN: Final = re.compile(r"[A-Za-z0-9]{16,}")
MIXED: Final = re.compile(r"[0-9][A-Za-z]+[0-9]")
"""Keys, digests, base64: no name is so long and has digits in two places. (Two patterns, because one with a look
ahead would be quadratic.)"""

DATA_CHARACTERS: Final = 1.5
"""Of such a text, to a token: what stands together by chance is seldom in a vocabulary."""


def guess_gauge() -> Gauge:
    """Without a vocabulary: some twenty milliseconds for the longest text."""
    return Gauge(guess, most_chunks=8, samples=8)


def guess(chunk: str) -> int:
    most = byte_length(chunk)
    data = [run for run in RUN.findall(chunk) if MIXED.search(run)]
    if data:
        chunk = RUN.sub(lambda run: " " if MIXED.search(run[0]) else run[0], chunk)
    found = Counter(pieces(chunk))
    total = sum(map(len, data)) / DATA_CHARACTERS + sum(times * _tokens(piece) for piece, times in found.items())
    return min(most, math.ceil(total))


def _tokens(piece: str) -> float:
    if piece.isascii():
        return 1 + max(0, len(piece) - WORD) / 4
    last = max(piece)
    if last < "\u0250" or "\u1e00" <= last < "\u1f00":  # Latin with accents, Vietnamese included
        return 1 + max(0, len(piece) - ACCENTED_WORD) / 2
    if last >= "\U00010000":
        return (3 if piece.strip().isalpha() else ASTRAL) * byte_length(piece) / 4
    if last >= "\u2e80":
        return max(1, byte_length(piece) / EAST_ASIA)
    return max(1, len(piece) / (SYMBOLS if last >= "\u2000" else LETTERS))


def pieces(chunk: str) -> list[str]:
    """What the chunk is split into before merging: no vocabulary makes fewer tokens of it."""
    return _finder()(chunk)


@cache
def _finder() -> Callable[[str], list[str]]:
    regex: Any = import_module("regex")  # its types are a package of their own
    find: Callable[[str], list[str]] = regex.compile(O200K.pattern).findall
    return find
