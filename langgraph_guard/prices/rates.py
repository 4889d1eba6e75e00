"""What a model charges, and what a call costs at that: integer arithmetic, rounded up once, at the end.

Rates are in yocto-USD (10⁻²⁴ USD) per token, which holds every listed price exactly: 0.15 USD per million tokens are
15 × 10¹⁶. A cost is in micro-USD, 10¹⁸ of those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import mul
from typing import Final, Literal, NamedTuple

from langgraph_guard.prices.usage import Usage

YOCTO_PER_MICRO: Final = 10**18

Basis = Literal["own", "listed", "assumed"]

BASES: Final[tuple[Basis, ...]] = ("own", "listed", "assumed")
"""Where a price comes from: the user, a price list, a policy for what no list knows. The first is worth most."""


class ByKind(NamedTuple):
    """One integer for each kind of token that can have its own price, and one for the request itself.

    Counts are disjoint here: `input` is what no other input kind covers. Rates and counts in this one order make a
    cost their dot product.
    """

    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    cache_audio_read: int
    output: int
    reasoning: int
    output_audio: int
    request: int

    def input_side(self, *, audio: bool) -> tuple[int, ...]:
        return self[:6] if audio else self[:4]

    def output_side(self, *, audio: bool) -> tuple[int, ...]:
        return self[6:9] if audio else self[6:8]


def rates_by_kind(
    *,
    input: int,
    output: int,
    cache_read: int | None = None,
    cache_write: int | None = None,
    cache_write_1h: int | None = None,
    input_audio: int | None = None,
    output_audio: int | None = None,
    cache_audio_read: int | None = None,
    reasoning: int | None = None,
    request: int | None = None,
) -> ByKind:
    """The rates of every kind: one without a price of its own costs what the kind does that contains it.

    Cached audio is contained in two; where both are priced, the dearer counts.
    """
    write = _first(cache_write, input)
    parents = [rate for rate in (cache_read, input_audio) if rate is not None]
    return ByKind(
        input=input,
        cache_read=_first(cache_read, input),
        cache_write=write,
        cache_write_1h=_first(cache_write_1h, write),
        input_audio=_first(input_audio, input),
        cache_audio_read=_first(cache_audio_read, max(parents, default=input)),
        output=output,
        reasoning=_first(reasoning, output),
        output_audio=_first(output_audio, output),
        request=_first(request, 0),
    )


def _first(rate: int | None, parent: int) -> int:
    return parent if rate is None else rate


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of one model: `base`, and `tiers` of (start, rates) in rising order.

    The highest tier whose start is below the input tokens of a call applies to all its tokens.
    """

    base: ByKind
    tiers: tuple[tuple[int, ByKind], ...] = ()
    basis: Basis = "listed"

    def cost(self, usage: Usage) -> int:
        """Micro-USD, rounded up.

        Parts that exceed their total are all charged, and decide the tier: bad figures never make a call cheaper.
        """
        counts = disjoint(usage)
        return micro_usd(sum(map(mul, counts, self._at(sum(counts[:6])))))

    def worst(self, input_tokens: int, output_tokens: int, *, audio: bool = False) -> int:
        """Micro-USD that no call with at most these totals can exceed, however they split.

        The dearest kind is taken on each side (plain, cache read, cache writes; plain, reasoning), in the dearest
        tier within reach, with the request's fee. Audio counts with `audio=True` alone: audio in a call that was
        reserved without it can exceed this.
        """
        reachable = [self.base, *(rates for start, rates in self.tiers if start < input_tokens)]
        return micro_usd(
            max(
                input_tokens * max(rates.input_side(audio=audio))
                + output_tokens * max(rates.output_side(audio=audio))
                + rates.request
                for rates in reachable
            )
        )

    def _at(self, input_tokens: int) -> ByKind:
        for start, rates in reversed(self.tiers):
            if input_tokens > start:
                return rates
        return self.base


def disjoint(usage: Usage) -> ByKind:
    """Each token counted once, under its most special kind; what is left of a total is never below 0."""
    both = usage.cache_audio_read_tokens
    read = _left(usage.cache_read_tokens, (both,))
    audio = _left(usage.input_audio_tokens, (both,))
    one_hour = usage.cache_write_1h_tokens
    write = _left(usage.cache_write_tokens, (one_hour,))
    reasoning, spoken = usage.reasoning_tokens, usage.output_audio_tokens
    return ByKind(
        _left(usage.input_tokens, (read, write, one_hour, audio, both)),
        read,
        write,
        one_hour,
        audio,
        both,
        _left(usage.output_tokens, (reasoning, spoken)),
        reasoning,
        spoken,
        1,
    )


def _left(total: int, parts: Iterable[int]) -> int:
    return max(total - sum(parts), 0)


def micro_usd(yocto: int) -> int:
    return -(-yocto // YOCTO_PER_MICRO)
