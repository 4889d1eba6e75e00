"""What `prices=` may be, and who wins."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices import GenaiPrices, Price, PriceBook, Rates, Usage, price_book

MINE = Price(7, 70)
USAGE = Usage(1_000, 100)


class FlatBook:
    """Every model costs the same: a book of a user's own."""

    version = "flat/1"

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        return MINE.rates()


def test_by_default_prices_are_genai_prices() -> None:
    """Most users type no price at all."""
    assert price_book(None).rates("gpt-4o-mini", "openai") == GenaiPrices().rates("gpt-4o-mini", "openai") is not None


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "my-own-model"])
@pytest.mark.parametrize("provider", ["openai", "ollama", None])
def test_the_users_own_price_comes_first(model: str, provider: str | None) -> None:
    """Contracts, self-hosted models and new names are known to the user alone."""
    book = price_book({"gpt-4o-mini": MINE, "my-own-model": MINE})
    assert book.rates(model, provider) == MINE.rates()


def test_a_dated_name_in_the_table_is_for_that_date() -> None:
    """An exact name is more than its family."""
    book = price_book({"gpt-4o": Price(1, 1), "gpt-4o-2024-05-13": MINE})
    assert book.rates("gpt-4o-2024-05-13", "openai") == MINE.rates()


def test_models_that_the_table_lacks_have_their_list_price() -> None:
    """One price of one's own must not hide two thousand others."""
    book = price_book({"my-own-model": MINE})
    assert book.rates("gpt-4o-mini", "openai") == GenaiPrices().rates("gpt-4o-mini", "openai") is not None


def test_a_free_model_is_free_because_somebody_said_so() -> None:
    """A local model costs nothing, and 0 in the table says it."""
    rates = price_book({"llama3:8b": Price(0, 0)}).rates("llama3:8b", "ollama")
    assert rates is not None
    assert (rates.cost(USAGE), rates.worst(1_000, 100)) == (0, 0)


def test_a_price_book_is_used_as_it_is() -> None:
    """Two methods are all that a book of one's own needs."""
    book: PriceBook = FlatBook()
    assert price_book(book) is book


def test_changing_the_dict_afterwards_changes_nothing() -> None:
    """A version that was recorded has to keep its meaning."""
    table = {"my-own-model": MINE}
    book = price_book(table)
    table["my-own-model"] = Price(0, 0)
    assert book.rates("my-own-model", None) == MINE.rates()


def test_the_version_is_the_contents() -> None:
    """Two processes with the same table agree, and a changed price shows."""
    same = price_book({"a": Price("0.50", 1), "b": MINE}).version == price_book({"b": MINE, "a": Price(0.5, 1)}).version
    other = (
        price_book({"a": Price("0.51", 1), "b": MINE}).version != price_book({"a": Price("0.5", 1), "b": MINE}).version
    )
    assert (same, other) == (True, True)


def test_the_versions_form_is_pinned() -> None:
    """It is stored beside charges: another form would be another table to whoever compares."""
    assert price_book({"my-own-model": Price(7, 70)}).version == f"table/6b90fda68443 {GenaiPrices().version}"


@pytest.mark.parametrize(
    ("prices", "field"),
    [
        (3, "prices"),
        ("gpt-4o", "prices"),
        ([("gpt-4o", MINE)], "prices"),
        (FlatBook, "prices"),
        (object(), "prices"),
        ({"": MINE}, "prices"),
        ({3: MINE}, "prices"),
        ({"gpt-4o": 2.5}, "prices['gpt-4o']"),
        ({"gpt-4o": {"input": 1, "output": 1}}, "prices['gpt-4o']"),
    ],
)
def test_prices_of_another_kind_are_refused_at_once(prices: Any, field: str) -> None:
    """A wrong setting shows when the graph is built, not in its tenth superstep."""
    with pytest.raises(ConfigError) as caught:
        price_book(prices)
    assert caught.value.field == field
