"""What a call costs at given rates, and the most that it can cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.prices import Price, Usage
from langgraph_guard.prices.price import MOST_USD
from langgraph_guard.prices.usage import MOST_TOKENS
from tests.prices.strategies import prices, usages


@pytest.mark.parametrize(("tokens", "micro_usd"), [(0, 0), (1, 1), (10, 1), (11, 2)])
def test_a_part_of_a_micro_dollar_is_a_whole_one(tokens: int, micro_usd: int) -> None:
    """Rounding down, a million small calls would be free."""
    assert Price("0.1", 0).rates().cost(Usage(tokens)) == micro_usd


def test_the_sum_is_rounded_and_not_its_parts() -> None:
    """Five kinds of tokens at half a micro-dollar are 2.5, not 5."""
    price = Price(0.5, 0.5, cache_read=0.5, cache_write=0.5, reasoning=0.5)
    usage = Usage(3, 2, cache_read_tokens=1, cache_write_tokens=1, reasoning_tokens=1)
    assert price.rates().cost(usage) == 3


@pytest.mark.parametrize("price", ["0.15", 0.15, Decimal("0.15")])
def test_a_price_means_the_same_however_it_is_written(price: Any) -> None:
    """0.15 as a float is a little less than 0.15; people mean the figure they typed."""
    assert Price(price, price).rates() == Price("0.15", "0.15").rates()


def test_a_part_without_a_price_costs_what_contains_it() -> None:
    """A vendor without a cache price charges cached tokens like any others."""
    usage = Usage(
        600,
        300,
        cache_read_tokens=150,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
        input_audio_tokens=100,
        cache_audio_read_tokens=50,
        reasoning_tokens=100,
        output_audio_tokens=100,
    )
    assert Price(2, 10).rates().cost(usage) == 600 * 2 + 300 * 10


def test_an_hour_of_cache_costs_like_any_write_unless_it_has_a_price() -> None:
    """Vendors with one write price list one."""
    usage = Usage(100, 0, cache_write_tokens=100, cache_write_1h_tokens=40)
    costs = [Price(1, 1, cache_write=2).rates().cost(usage)]
    costs += [Price(1, 1, cache_write=2, cache_write_1h=3).rates().cost(usage)]
    assert costs == [100 * 2, 60 * 2 + 40 * 3]


@pytest.mark.parametrize(
    ("parts", "each"),
    [({"cache_read": 1}, 1), ({"input_audio": 8}, 8), ({"cache_read": 1, "input_audio": 8}, 8), ({}, 2)],
)
def test_cached_audio_without_a_price_costs_the_dearer_of_cache_and_audio(parts: dict[str, int], each: int) -> None:
    """It is both; where the price list is silent the guess must not be the cheap one."""
    usage = Usage(10, 0, cache_read_tokens=10, input_audio_tokens=10, cache_audio_read_tokens=10)
    assert Price(2, 2, **parts).rates().cost(usage) == 10 * each


def test_the_fee_of_a_request_is_charged_once() -> None:
    """Search models cost more per request than per token."""
    assert Price(1, 1, request="0.012").rates().cost(Usage(5, 5)) == 12_000 + 10


@pytest.mark.parametrize(("tokens", "price"), [(199_999, 1), (200_000, 1), (200_001, 2), (400_000, 2), (400_001, 4)])
def test_a_tier_applies_to_all_tokens_of_a_call_above_its_start(tokens: int, price: int) -> None:
    """Vendors bill a long prompt dearer from its first token on."""
    tiers = {400_000: Price(4, 40), 200_000: Price(2, 20)}
    assert Price(1, 10, tiers=tiers).rates().cost(Usage(tokens, 7)) == tokens * price + 7 * 10 * price


def test_a_tier_keeps_the_fee_of_the_request() -> None:
    """A tier is about tokens."""
    price = Price(1, 1, request=1, tiers={10: Price(2, 2), 20: Price(2, 2, request=3)})
    assert [price.rates().cost(Usage(n)) for n in (11, 21)] == [1_000_022, 3_000_042]


def test_parts_beyond_their_total_are_all_charged() -> None:
    """A vendor that leaves cached or reasoning tokens out of the total must not be cheap, and never give money back."""
    price = Price(4, 10, cache_read=1, tiers={100: Price(8, 20, cache_read=2)})
    bad = Usage(10, 5, cache_read_tokens=101, reasoning_tokens=50)
    assert price.rates().cost(bad) == 101 * 2 + 50 * 20


@given(prices(), usages(audio=False))
def test_no_split_costs_more_than_the_worst_case(price: Price, usage: Usage) -> None:
    """A reservation is made before anyone knows what the cache holds; it has to cover every answer."""
    rates = price.rates()
    assert rates.cost(usage) <= rates.worst(usage.input_tokens, usage.output_tokens)


@given(prices(), usages())
def test_no_split_with_audio_costs_more_than_the_worst_case_with_audio(price: Price, usage: Usage) -> None:
    """The same promise for models that hear and speak."""
    rates = price.rates()
    assert rates.cost(usage) <= rates.worst(usage.input_tokens, usage.output_tokens, audio=True)


@given(prices(), usages(audio=False), st.integers(0, 300_000), st.integers(0, 10_000))
def test_the_worst_case_covers_smaller_calls(price: Price, usage: Usage, more_in: int, more_out: int) -> None:
    """A count before the call is an upper bound, and a smaller prompt may be in a dearer tier of an odd price list."""
    rates = price.rates()
    assert rates.cost(usage) <= rates.worst(usage.input_tokens + more_in, usage.output_tokens + more_out)


def test_the_worst_case_is_met_by_some_call() -> None:
    """A bound that nothing reaches holds money back for nothing."""
    rates = Price(3, 15, cache_read=0.3, cache_write=3.75, cache_write_1h=6).rates()
    dearest = Usage(1_000, 10, cache_write_tokens=1_000, cache_write_1h_tokens=1_000)
    assert rates.worst(1_000, 10) == rates.cost(dearest)


def test_the_largest_call_at_the_largest_price_is_an_exact_amount() -> None:
    """Ledgers keep amounts below 2^53, where every server's numbers are exact."""
    count = MOST_TOKENS
    usage = Usage(count, count, count, count, count, count, count, 0, count)
    assert Price(MOST_USD, MOST_USD, request=MOST_USD).rates().cost(usage) < 2**53


@pytest.mark.parametrize("name", ["input", "output", "cache_read", "cache_write_1h", "reasoning", "request"])
@pytest.mark.parametrize(
    "bad", [-1, -0.1, "-3", True, float("nan"), float("inf"), "NaN", "Infinity", "a secret", [1], 2 * MOST_USD, 1e300]
)
def test_a_price_that_is_none_is_refused_by_name(name: str, bad: Any) -> None:
    """A negative price would be a budget that grows as it is spent; the mistake shows where it was written."""
    with pytest.raises(InvalidAmount) as caught:
        Price(**{"input": 1, "output": 1, name: bad})
    assert caught.value.field == f"price.{name}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["input", "output"])
def test_input_and_output_must_have_a_price(name: str) -> None:
    """`None` is no price, and free is written 0."""
    with pytest.raises(InvalidAmount, match="NoneType"):
        Price(**{"input": 1, "output": 1, name: None})  # type: ignore[arg-type]  # that is the mistake


@pytest.mark.parametrize(
    "tiers",
    [
        [(1, Price(1, 1))],
        {-1: Price(1, 1)},
        {True: Price(1, 1)},
        {"9": Price(1, 1)},
        {9: 2},
        {9: Price(1, 1, tiers={1: Price(1, 1)})},
    ],
)
def test_tiers_of_another_shape_are_refused(tiers: Any) -> None:
    """A tier that would never apply is a price that was not meant."""
    with pytest.raises(ConfigError, match=r"^price\.tiers"):
        Price(1, 1, tiers=tiers)


@pytest.mark.parametrize("price", ["1e-30", "0." + "3" * 100, "1e-999999"])
def test_a_price_finer_than_the_arithmetic_is_rounded_up(price: str) -> None:
    """Any price above zero charges something."""
    assert Price(price, 0).rates().base.input > 0
