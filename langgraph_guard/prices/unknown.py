"""What a model costs that no price book knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.book import Listing, PriceBook
from langgraph_guard.prices.rates import ByKind, Rates

Unknown = Literal["fail", "assume", "zero"]
"""`fail`: no price, so a usd limit refuses the call. `assume`: the dearest known price. `zero`: nothing."""

FREE: Final = Rates(ByKind(*[0] * len(ByKind._fields)), basis="assumed")

Policy = Callable[[str | None, str | None, float | None], Rates | None]
"""From provider, service tier and time to a price."""

_DAY: Final = 86_400


class Assuming:
    """A book that has a price for every model: its own where it knows one, `policy`'s where it does not."""

    def __init__(self, book: PriceBook, name: Unknown, policy: Policy) -> None:
        self._book = book
        self._name = name
        self._policy = policy

    @property
    def version(self) -> str:
        return f"{self._book.version} unknown/{self._name}"

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        known = self._book.rates(model, provider, tier=tier, at=at) if model else None
        return known or self._policy(provider, tier, at)


def with_unknown(book: PriceBook, unknown: Unknown) -> PriceBook:
    """`book` under a policy for the models it lacks."""
    if unknown not in get_args(Unknown):
        raise ConfigError("unknown", f"must be one of {', '.join(get_args(Unknown))}, got {type(unknown).__name__}")
    if unknown == "fail":
        return book
    if unknown == "zero":
        return Assuming(book, unknown, lambda provider, tier, at: FREE)
    if not isinstance(book, Listing):
        raise ConfigError("unknown", "assume needs a price book that has `listed`, to find its dearest price")
    return Assuming(book, unknown, dearest_in(book))


def dearest_in(book: Listing) -> Policy:
    """The dearest price in `book` of the call's provider, else of all; `None` from an empty book."""

    @lru_cache(256)
    def on_day(provider: str | None, tier: str | None, day: int) -> Rates | None:
        at = float(day * _DAY)
        return dearest(book.listed(provider, tier=tier, at=at) or book.listed(None, tier=tier, at=at))

    return lambda provider, tier, at: on_day(provider, tier, int((time.time() if at is None else at) // _DAY))


def dearest(listed: Sequence[Rates]) -> Rates | None:
    """For each kind of token the dearest price, in any tier: no call costs more with any of `listed`."""
    every = [by_kind for rates in listed for by_kind in (rates.base, *(tier for _, tier in rates.tiers))]
    return Rates(ByKind(*map(max, zip(*every, strict=True))), basis="assumed") if every else None
