"""Our integers and genai-prices' own decimals agree, on every model that it prices by the token."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.prices import GenaiPrices, Usage
from tests.prices.strategies import usages

BOOK = GenaiPrices()


def _priced_by_token() -> list[tuple[str, str]]:
    every = [(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models]
    return [(provider, model) for provider, model in every if BOOK.rates(model, provider) is not None]


PRICED = _priced_by_token()


def _their_usage(usage: Usage) -> genai_prices.Usage:
    return genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        cache_audio_read_tokens=usage.cache_audio_read_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )


def _their_micro_usd(provider: str, model: str, usage: Usage, tier: str | None, at: float) -> int:
    price = genai_prices.calc_price(
        _their_usage(usage),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(at, UTC),
        price_context={"service_tier": tier} if tier else None,
    ).total_price
    return int((price * 1_000_000).to_integral_value(ROUND_CEILING))


moments = st.floats(datetime(2024, 1, 1, tzinfo=UTC).timestamp(), datetime(2027, 12, 31, tzinfo=UTC).timestamp())
tiers = st.sampled_from([None, "default", "flex", "priority", "unheard-of"])


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(PRICED), usages(), tiers, moments)
def test_a_cost_is_the_price_lists_own_rounded_up(
    model: tuple[str, str], usage: Usage, tier: str | None, at: float
) -> None:
    """The list's own calculator is the second opinion: same tiers, same tokens, same minute, same micro-dollar."""
    provider, name = model
    rates = BOOK.rates(name, provider, tier=tier, at=at)
    assert rates is not None
    assert rates.cost(usage) == _their_micro_usd(provider, name, usage, tier, at)


def test_every_listed_model_that_charges_for_tokens_has_rates() -> None:
    """The promise above would be empty if most models were left out of it."""
    every = [model for provider in get_snapshot().providers for model in provider.models]
    assert len(PRICED) / len(every) > 0.8


def test_rates_never_hold_a_listed_price_inexactly() -> None:
    """Some lists carry 17 decimals: integers that round them would be dearer than the bill by whole micro-dollars."""
    finest = Decimal("0.041666666666666664")
    rates = BOOK.rates("google/gemini-3.8-flash", "openrouter", at=datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    assert rates is not None
    assert rates.base.cache_write == int(finest.scaleb(18))
