"""A charge says which prices it was made at, so that it can be computed again."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, Price, price_book
from langgraph_guard.events import subscribe
from langgraph_guard.testing import ScriptedChatModel, fails, says
from tests.nodes.agents import thread

LISTED = f"genai-prices/{version('genai-prices')}"


@pytest.fixture
def versions() -> Iterator[list[tuple[str, str | None]]]:
    """What each reservation and each settlement was priced by."""
    found: list[tuple[str, str | None]] = []

    def note(name: str, facts: Any) -> None:
        if "price_version" in facts:
            found.append((name, facts["price_version"]))

    stop = subscribe(note)
    yield found
    stop()


def call(*limits: Limit, reply: Any = "yes", model: str = "gpt-4o-mini", **settings: Any) -> None:
    """One call under a budget."""
    budget = BudgetCheckNode(Budget(limits), MemoryBackend(), **settings)
    try:
        budget.model(ScriptedChatModel([reply], model_name=model)).invoke("hi", thread())
    except TimeoutError:
        return


@pytest.mark.parametrize("reply", [says("yes"), says("yes", usage=None), fails(TimeoutError)])
def test_a_charge_names_the_list_that_priced_it(versions: list[Any], reply: Any) -> None:
    """A charge of what was reserved was priced when it was reserved."""
    call(Limit("usd", 1, per="session"), reply=reply)
    assert versions == [("budget.reserved", LISTED), ("budget.settled", LISTED)]


def test_ones_own_prices_have_a_version_too(versions: list[Any]) -> None:
    """It changes with them."""
    books = [price_book({"gpt-4o-mini": Price(usd, 1)}) for usd in (1, 2)]
    for book in books:
        call(Limit("usd", 1, per="session"), prices=book)
    assert [version for _, version in versions] == [book.version for book in books for _ in range(2)]
    assert books[0].version != books[1].version


def test_what_has_no_price_names_none(versions: list[Any]) -> None:
    """Tokens and calls were charged, and no list was asked in vain."""
    call(Limit("tokens", 100_000, per="session"), model="frontier-9")
    assert versions == [("budget.reserved", None), ("budget.settled", None)]
