"""The user's own price of a model, as price lists print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from typing import Final, TypeAlias

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.prices.rates import ByKind, Rates, rates_by_kind

Usd: TypeAlias = str | int | float | Decimal

MOST_USD: Final = 1_000_000
"""The largest price that is believed: a dollar per token."""

_EXACT: Final = Context(prec=60)
_FINEST: Final = Decimal("1e-24")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, `request` in USD per call. `Price("0.15", "0.60", cache_read="0.075")`.

    A kind of token without a price costs what the kind does that contains it: 1 h writes as cache writes, these as
    input, reasoning as output. `tiers={200_000: Price(…)}`: a call with more input tokens than that pays that price
    for all its tokens. A tier is complete in itself; only the request's fee is taken over when it names none.
    """

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    input_audio: Usd | None = None
    output_audio: Usd | None = None
    cache_audio_read: Usd | None = None
    reasoning: Usd | None = None
    request: Usd | None = None
    tiers: Mapping[int, Price] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in _KINDS:
            value = getattr(self, name)
            if value is not None or name in ("input", "output"):
                checked_usd(f"price.{name}", value)
        _check_tiers(self.tiers)
        object.__setattr__(self, "tiers", dict(sorted(self.tiers.items())))  # what was checked is what stays

    def rates(self) -> Rates:
        base = self._by_kind()
        tiers = ((start, price._by_kind(default_request=base.request)) for start, price in self.tiers.items())
        return Rates(base, tuple(tiers), "own")

    def _by_kind(self, default_request: int = 0) -> ByKind:
        priced = {
            name: checked_usd(f"price.{name}", usd) for name in _KINDS if (usd := getattr(self, name)) is not None
        }
        request = priced.pop("request", None)
        fee = default_request if request is None else yocto(request)
        return rates_by_kind(request=fee, **{name: yocto_per_token(usd) for name, usd in priced.items()})


_KINDS: Final = tuple(each.name for each in fields(Price) if each.name != "tiers")


def yocto(usd: Decimal, per: int = 1) -> int:
    """USD per `per` things as yocto-USD per thing, rounded up where a price is finer than that."""
    whole = int(usd.quantize(_FINEST, ROUND_CEILING, _EXACT).scaleb(24, _EXACT))
    return -(-whole // per)


def yocto_per_token(usd_per_million: Decimal) -> int:
    return yocto(usd_per_million, per=1_000_000)


def checked_usd(name: str, value: object, most: int = MOST_USD) -> Decimal:
    """`value` as an amount of USD. Raises `InvalidAmount` that tells the kind of the value, not the value."""
    usd = _decimal(name, value)
    if not usd.is_finite():
        raise InvalidAmount(name, f"must be finite, got {type(value).__name__} that is not")
    if usd < 0:
        raise InvalidAmount(name, f"must not be negative, got a negative {type(value).__name__}")
    if usd > most:
        raise InvalidAmount(name, f"must be at most {most} USD, got a larger {type(value).__name__}")
    return usd


def _decimal(name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise InvalidAmount(name, f"must be a number of USD, got {type(value).__name__}")
    try:
        return Decimal(repr(float(value)) if isinstance(value, float) else value)
    except InvalidOperation:
        raise InvalidAmount(name, "must be a number of USD, got a str that is none") from None


def _check_tiers(tiers: object) -> None:
    if not isinstance(tiers, Mapping):
        raise ConfigError("price.tiers", f"must be a mapping of input tokens to Price, got {type(tiers).__name__}")
    for start, price in tiers.items():
        if type(start) is not int or start < 0:
            raise InvalidAmount("price.tiers", f"a tier starts at a whole number of tokens, got {type(start).__name__}")
        if not isinstance(price, Price):
            raise ConfigError(f"price.tiers[{start}]", f"must be a Price, got {type(price).__name__}")
        if price.tiers:
            raise ConfigError(f"price.tiers[{start}]", "must not have tiers of its own")
