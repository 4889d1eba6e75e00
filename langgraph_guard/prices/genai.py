"""Prices from the list that genai-prices ships, read offline."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from langgraph_guard.prices.names import provider_id, spellings
from langgraph_guard.prices.price import yocto, yocto_per_token
from langgraph_guard.prices.rates import ByKind, Rates, rates_by_kind

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelPrice, TieredPrices

REMEMBERED: Final = 1024

KEYS: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "cache_audio_read": "cache_audio_read_mtok",
    "reasoning": "output_reasoning_mtok",
    "request": "requests_kcount",
}
"""Our kinds of tokens and the list's keys. A model has rates when the first two are listed."""


class GenaiPrices:
    """The list inside the installed genai-prices, so a version prices alike everywhere; nothing is downloaded.

    What `usage_metadata` does not count is not in the price: images, seconds of audio, searches. A fine-tuned model
    has a price when the list names fine-tunes of its base, never the base's own. A provider that resells others'
    models falls back to their lists where genai-prices says so (Azure to OpenAI's, Google to Anthropic's). A service
    tier that the list does not price costs what the standard tier does.
    """

    def __init__(self) -> None:
        # Prices may change within the day, so an answer holds for its minute.
        self._in_minute = lru_cache(REMEMBERED)(_rates)

    @property
    def version(self) -> str:
        return f"genai-prices/{_installed()}"

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        return self._in_minute(model, provider, tier, int((time.time() if at is None else at) // 60))

    def listed(self, provider: str | None, *, tier: str | None = None, at: float | None = None) -> list[Rates]:
        who = None if provider is None else provider_id(provider)
        models = (model for each in _list().providers if who in (None, each.id) for model in each.models)
        moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
        found = (rates_of(model.get_prices(moment, _context(tier))) for model in models)
        return [rates for rates in found if rates is not None]


def _rates(model: str, provider: str | None, tier: str | None, minute: int) -> Rates | None:
    found = (_listed(who, name, tier, minute) for who, name in spellings(model, provider))
    return next((rates_of(price) for price in found if price is not None), None)


def _listed(provider: str | None, model: str, tier: str | None, minute: int) -> ModelPrice | None:
    try:
        _, info = _list().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    if _is_fine_tuned(model) and not _is_fine_tuned(info.id):
        return None
    return info.get_prices(datetime.fromtimestamp(minute * 60, UTC), _context(tier))


def _context(tier: str | None) -> dict[str, str] | None:
    return {"service_tier": tier} if tier else None


def _is_fine_tuned(name: str) -> bool:
    return name.lower().startswith("ft:") or ".ft-" in name.lower()


@cache
def _installed() -> str:
    from importlib.metadata import version

    return version("genai-prices")


@cache
def _list() -> DataSnapshot:
    """Our own view of the shipped list: `set_custom_snapshot` changes prices, and `version` could not tell."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers, from_auto_update=False)


def rates_of(price: ModelPrice) -> Rates | None:
    """The rates of a listed price; `None` when it lacks input or output, and so cannot price a chat."""
    listed = {kind: value for kind, key in KEYS.items() if (value := getattr(price, key)) is not None}
    if not listed.keys() >= {"input", "output"}:
        return None
    starts = sorted({tier.start for value in listed.values() if not isinstance(value, Decimal) for tier in value.tiers})
    return Rates(_at(listed, 0), tuple((start, _at(listed, start + 1)) for start in starts))


def _at(listed: dict[str, Decimal | TieredPrices], input_tokens: int) -> ByKind:
    """The rates of a call with so many input tokens."""
    usd = {kind: _tier_price(value, input_tokens) for kind, value in listed.items()}
    fee = usd.pop("request", None)
    rates = {kind: yocto_per_token(value) for kind, value in usd.items()}
    return rates_by_kind(request=None if fee is None else yocto(fee, per=1_000), **rates)


def _tier_price(value: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return next((tier.price for tier in reversed(value.tiers) if input_tokens > tier.start), value.base)
