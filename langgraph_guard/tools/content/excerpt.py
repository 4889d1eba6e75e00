"""Where to cut a text that is shown in parts: between two characters as people see them, at a line's end if near."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, Final

AROUND: Final = 256
"""Characters in which the beginning of the one at the cut is looked for. Nothing that people write is longer."""

NEAR: Final = 0.2
"""Of an excerpt: how much of it a line's end may cost."""


def head(text: str, most: int) -> int:
    """Where an excerpt of the beginning ends that has at most `most` characters."""
    if most >= len(text):
        return len(text)
    line = text.rfind("\n", int(most * (1 - NEAR)), most)
    return line + 1 if line >= 0 else boundary(text, most)


def tail(text: str, most: int) -> int:
    """Where an excerpt of the end begins that has at most `most` characters."""
    if most >= len(text):
        return 0
    start = len(text) - most
    line = text.find("\n", start, start + int(most * NEAR))
    return line + 1 if line >= 0 else _after(text, start)


def boundary(text: str, at: int) -> int:
    """The last place up to `at` that divides no character: no accent from its letter, no family emoji."""
    if at <= 0 or at >= len(text) or (text[at - 1].isascii() and text[at].isascii() and text[at] != "\n"):
        return min(max(at, 0), len(text))
    start = max(at - AROUND, 0)
    ends = [start + end for end in _ends(text[start : at + AROUND])]
    within = [end for end in ends if end <= at]
    if within:
        return within[-1]
    return 0 if start == 0 and ends[0] <= AROUND else at  # the first of all, or one without end


def _after(text: str, at: int) -> int:
    """The first place from `at` on that divides no character."""
    found = boundary(text, at)
    if found == at:
        return at
    ends = (found + end for end in _ends(text[found : found + 2 * AROUND]))
    return next((end for end in ends if end >= at), at)


def _ends(text: str) -> Iterator[int]:
    return (match.end() for match in _characters()(text))


@cache
def _characters() -> Callable[[str], Iterator[Any]]:
    regex: Any = import_module("regex")  # its types are a package of their own
    find: Callable[[str], Iterator[Any]] = regex.compile(r"\X").finditer
    return find
