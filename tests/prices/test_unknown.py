"""What a model costs that no price book knows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices import GenaiPrices, Price, Rates, Usage, price_book
from langgraph_guard.prices.book import FirstOf
from tests.prices.strategies import usages

NEW = "frontier-9"
CALL = Usage(1_000, 100)
AT = 1_795_000_000.0


class FlatBook:
    """Knows one model, and cannot list it."""

    version = "flat/1"

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        return Price(7, 70).rates() if model == "mine" else None


def _rates(book: Any, model: str = NEW, provider: str | None = "openai", **more: Any) -> Rates:
    rates = book.rates(model, provider, at=AT, **more)
    assert isinstance(rates, Rates)
    return rates


def test_by_default_an_unknown_model_has_no_price() -> None:
    """Never 0: a usd limit refuses what nobody can price."""
    assert price_book().rates(NEW, "openai") is None


@pytest.mark.parametrize("unknown", ["assume", "zero"])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_a_policy_changes_no_known_price(unknown: Any, model: str) -> None:
    """It is for what the books lack."""
    book = price_book({"mine": Price(7, 70)}, unknown=unknown)
    assert _rates(book, model) == GenaiPrices().rates(model, "openai", at=AT)
    assert _rates(book, "mine") == Price(7, 70).rates()


@pytest.mark.parametrize("name", [NEW, ""])
def test_zero_is_free_and_says_that_it_was_assumed(name: str) -> None:
    """Somebody chose it; whoever reads the ledger can tell."""
    rates = _rates(price_book(unknown="zero"), name)
    assert (rates.cost(CALL), rates.worst(10**6, 10**6), rates.basis) == (0, 0, "assumed")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google_genai", "azure", "nobody", None])
@pytest.mark.parametrize("name", [NEW, ""])
def test_assume_has_a_price_for_whatever_is_called(provider: str | None, name: str) -> None:
    """Unnamed models and unheard-of providers included."""
    rates = _rates(price_book(unknown="assume"), name, provider)
    assert rates.cost(CALL) > 0
    assert rates.basis == "assumed"


ANTHROPIC = GenaiPrices().listed("anthropic", at=AT)


@settings(deadline=None)
@given(st.sampled_from(ANTHROPIC), usages())
def test_an_assumed_price_is_not_below_any_of_its_provider(listed: Rates, usage: Usage) -> None:
    """That is what "the dearest" promises: whichever of them the new model resembles, the ledger has enough."""
    assert _rates(price_book(unknown="assume"), provider="anthropic").cost(usage) >= listed.cost(usage)


def test_what_is_assumed_is_of_the_provider_where_it_has_prices() -> None:
    """A new Claude is not charged like the dearest model on earth."""
    book = price_book(unknown="assume")
    assert _rates(book, provider="anthropic").cost(CALL) < _rates(book, provider="nobody").cost(CALL)


def test_the_service_tier_counts_for_what_is_assumed() -> None:
    """Priority is dearer for unknown models too."""
    book = price_book(FirstOf(GenaiPrices()), unknown="assume")
    assert _rates(book, tier="priority").cost(CALL) >= _rates(book).cost(CALL)


def test_assume_needs_a_book_that_can_be_searched() -> None:
    """Found out when the graph is built."""
    with pytest.raises(ConfigError, match="listed"):
        price_book(FlatBook(), unknown="assume")


def test_an_empty_list_leaves_nothing_to_assume() -> None:
    """No price is invented."""
    assert price_book({}, FlatBook(), unknown="assume").rates(NEW, "openai", at=AT) is None


@pytest.mark.parametrize("unknown", ["ignore", None, 0])
def test_another_word_is_refused(unknown: Any) -> None:
    """A typo must not mean free."""
    with pytest.raises(ConfigError, match="fail, assume, zero"):
        price_book(unknown=unknown)


def test_books_are_asked_in_order() -> None:
    """One's own table, then a book; genai-prices only if no book was given."""
    book = price_book({"gpt-4o-mini": Price(1, 1)}, FlatBook())
    assert _rates(book, "gpt-4o-mini") == Price(1, 1).rates()
    assert _rates(book, "mine") == Price(7, 70).rates()
    assert book.rates("gpt-4o", "openai") is None
    assert _rates(price_book({"mine": Price(1, 1)}, None), "gpt-4o") == GenaiPrices().rates("gpt-4o", "openai", at=AT)


@pytest.mark.parametrize(
    ("unknown", "version"),
    [
        ("fail", GenaiPrices().version),
        ("assume", f"{GenaiPrices().version} unknown/assume"),
        ("zero", f"{GenaiPrices().version} unknown/zero"),
    ],
)
def test_the_policy_is_part_of_the_version(unknown: Any, version: str) -> None:
    """A charge is recomputed with the book and the policy that made it. The form is stored: it is pinned here."""
    assert price_book(unknown=unknown).version == version
