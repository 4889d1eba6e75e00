"""Counting the tokens of any text in bounded time.

A tokenizer sees a text in chunks. That keeps it from inputs on which its pattern gives up (a million spaces is an error
that no `except Exception` holds), gives an early exit, and where a chunk ends between two words it changes no count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tiktoken import Encoding

Measure: TypeAlias = Callable[[str], int]
"""The tokens of one chunk."""

CHUNK: Final = 16_384
"""Characters that a tokenizer sees at once."""

BORDER: Final = 1_024
"""How far back from the end of a chunk to look for a place where tokens end anyway."""

SAMPLED_FROM: Final = 2_000_000
"""Characters from which a text is sampled: the slowest text takes a second per million."""

SAMPLES: Final = 64
SAMPLING_EXCESS: Final = 1.05
"""A sample errs to the side of more."""


class TextCount(NamedTuple):
    """`most` is never passed, whatever the tokenizer: one token is at least one byte of UTF-8."""

    tokens: int
    most: int
    sampled: bool = False


def encoding_measure(encoding: Encoding) -> Measure:
    def tokens(chunk: str) -> int:
        # Not `encode_ordinary`: it panics where this raises. Special tokens in a user's text are text.
        return len(encoding.encode(chunk, disallowed_special=()))

    return tokens


def count_text(text: str, measure: Measure) -> TextCount:
    most = byte_length(text)
    if len(text) <= CHUNK:
        return TextCount(min(measure(text), most) if text else 0, most)
    if len(text) <= SAMPLED_FROM:
        return TextCount(min(sum(map(measure, chunks(text))), most), most)
    found = sum(map(measure, samples(text)))
    scaled = math.ceil(found * SAMPLING_EXCESS * len(text) / (SAMPLES * CHUNK))
    return TextCount(min(scaled, most), most, sampled=True)


def count_up_to(text: str, limit: int, measure: Measure) -> int:
    """The tokens of `text`, or some number above `limit` as soon as it is certain that there are more."""
    found = 0
    for chunk in chunks(text):
        found += measure(chunk)
        if found > limit:
            break
    return found


def byte_length(text: str) -> int:
    """Bytes of UTF-8, lone surrogates included: a bound that no tokenizer over bytes passes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def chunks(text: str, size: int = CHUNK) -> Iterator[str]:
    """`text` in pieces of at most `size`, cut where it does not change the count if such a place is near."""
    start = 0
    while len(text) - start > size:
        end = _border(text, start + size)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def samples(text: str, number: int = SAMPLES, size: int = CHUNK) -> Iterator[str]:
    """`number` chunks, evenly spaced from the first to the last. `text` must be longer than all of them."""
    step = (len(text) - size) / (number - 1)
    for at in range(number):
        start = round(at * step)
        yield text[start : start + size]


def _border(text: str, end: int) -> int:
    """The last place before `end` where a word follows a word or begins a line; `end` itself if none is near."""
    for at in range(end - 1, end - BORDER, -1):
        if text[at] == " " and text[at - 1].isalpha() and text[at + 1].isalpha():
            return at
        if text[at] == "\n" and text[at + 1].isalnum():
            return at + 1
    return end
