"""Counting the tokens of any text in bounded time.

A tokenizer sees a text in chunks. That keeps it from inputs on which its pattern gives up (a million spaces is an error
that no `except Exception` holds), gives an early exit, and where a chunk ends between two words it changes no count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tiktoken import Encoding

Measure: TypeAlias = Callable[[str], int]
"""The tokens of one chunk."""

CHUNK: Final = 16_384
"""Characters that a tokenizer sees at once."""

BORDER: Final = 1_024
"""How far back from the end of a chunk to look for a place where tokens end anyway."""

SAMPLING_EXCESS: Final = 1.05
"""A sample errs to the side of more."""


class TextCount(NamedTuple):
    """`most` is never passed, whatever the tokenizer: one token is at least one byte of UTF-8."""

    tokens: int
    most: int
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class Gauge:
    """A way to measure chunks, and how many of them it has time for: a longer text is sampled."""

    measure: Measure
    most_chunks: int
    samples: int

    def count(self, text: str) -> TextCount:
        most = byte_length(text)
        if len(text) <= self.most_chunks * CHUNK:
            return TextCount(min(sum(map(self.measure, chunks(text))), most), most)
        found = sum(map(self.measure, samples(text, self.samples)))
        scaled = math.ceil(found * SAMPLING_EXCESS * len(text) / (self.samples * CHUNK))
        return TextCount(min(scaled, most), most, sampled=True)


def exact_gauge(encoding: Encoding) -> Gauge:
    """With a vocabulary. Two million characters take two seconds when they are the slowest there are."""

    def tokens(chunk: str) -> int:
        # Not `encode_ordinary`: it panics where this raises. Special tokens in a user's text are text.
        return len(encoding.encode(chunk, disallowed_special=()))

    return Gauge(tokens, most_chunks=128, samples=64)


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
        end = _border(text, start, start + size)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def samples(text: str, number: int, size: int = CHUNK) -> Iterator[str]:
    """`number` chunks, evenly spaced from the first to the last. `text` must be longer than all of them."""
    step = (len(text) - size) / (number - 1)
    for at in range(number):
        start = round(at * step)
        yield text[start : start + size]


def _border(text: str, start: int, end: int) -> int:
    """The last place before `end` where a word follows a word or begins a line; `end` itself if none is near."""
    for at in range(end - 1, max(start, end - BORDER), -1):
        if text[at] == " " and text[at - 1].isalnum() and text[at + 1].isalnum():
            return at
        if text[at] == "\n" and text[at + 1].isalnum():
            return at + 1
    return end
