"""What tools cost that charge money."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices import ToolPrice
from langgraph_guard.prices.tools import run_by_provider, tool_prices, worst_of_tools

SEARCH = ToolPrice("0.01")
SCRAPE = ToolPrice("0.001", per_unit="0.00025", most_units=20)


def test_a_call_has_its_price() -> None:
    """A thousand searches are ten dollars."""
    assert (SEARCH.cost(), SEARCH.worst()) == (10_000, 10_000)


@pytest.mark.parametrize(("units", "cost"), [(0, 1_000), (1, 1_250), (20, 6_000), (25, 7_250)])
def test_units_are_charged_as_they_were_used(units: int, cost: int) -> None:
    """Beyond what was announced too: they are on the invoice."""
    assert SCRAPE.cost(units) == cost


@given(st.integers(0, 20))
def test_no_announced_call_costs_more_than_the_worst(units: int) -> None:
    """That is what gets reserved."""
    assert SCRAPE.cost(units) <= SCRAPE.worst()


def test_a_part_of_a_micro_dollar_is_a_whole_one() -> None:
    """A million cheap calls are not free."""
    assert ToolPrice("0.0000001").cost() == 1


def test_a_batch_of_calls_is_reserved_as_a_whole() -> None:
    """Tools without a price are free, and a tool called twice costs twice."""
    assert worst_of_tools({"search": SEARCH, "scrape": SCRAPE}, ["search", "search", "scrape", "clock"]) == 26_000


@pytest.mark.parametrize(
    ("content", "tools"),
    [
        ("just text", {}),
        ([{"type": "text", "text": "web_search_call"}, "text"], {}),
        ([{"type": "server_tool_use", "name": "web_search"}] * 3, {"web_search": 3}),
        ([{"type": "web_search_call"}, {"type": "file_search_call"}], {"web_search": 1, "file_search": 1}),
        ([{"type": "server_tool_call", "name": "web_search"}, {"type": "function_call"}], {"web_search": 1}),
        ([{"type": "server_tool_call_chunk", "name": "fetch"}, {"type": "server_tool_call_chunk"}], {"fetch": 1}),
    ],
)
def test_tools_that_the_provider_ran_are_found_in_its_answer(content: Any, tools: dict[str, int]) -> None:
    """They are on its invoice by the call, and usage does not mention them."""
    assert run_by_provider(AIMessage(content)) == tools


def test_blocks_beside_the_content_are_found_too() -> None:
    """langchain-openai's first form of a message keeps them there."""
    beside = AIMessage("Kites fly.", additional_kwargs={"tool_outputs": [{"type": "web_search_call"}]})
    assert run_by_provider(beside) == {"web_search": 1}


# What a call says it used


def told(artifact: Any, **settings: Any) -> ToolMessage:
    """A tool's result."""
    return ToolMessage("done", tool_call_id="1", artifact=artifact, **settings)


def test_a_result_tells_its_units_in_its_artifact() -> None:
    """Where the model does not read it."""
    assert SCRAPE.used(told({"units": 7, "pages": ["a"]})) == 7


def test_a_function_may_read_them_elsewhere() -> None:
    """A tool of somebody else's has a form of its own."""
    by_length = ToolPrice(0, per_unit="0.001", most_units=100, units=lambda result: len(result.content))
    assert by_length.used(told(None)) == 4


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        told(None),
        told({}),
        told({"units": -1}),
        told({"units": 1.5}),
        told({"units": True}),
        told({"units": 10**9}),
        told({"units": 7}, status="error"),
    ],
)
def test_a_result_that_tells_nothing_that_can_be_is_not_measured(result: Any) -> None:
    """Then the call costs what was reserved; what an error says of itself is not known to be all."""
    assert SCRAPE.used(result) is None


def test_a_function_that_fails_does_not_fail_the_run() -> None:
    """The work is done and paid for; only its measure is missing."""
    broken = ToolPrice(0, per_unit="0.001", most_units=100, units=lambda result: result["pages"])
    assert broken.used(told(None)) is None


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("tool_price.per_call", {"per_call": -1}),
        ("tool_price.per_call", {"per_call": "a secret"}),
        ("tool_price.per_call", {"per_call": float("nan")}),
        ("tool_price.per_call", {"per_call": 10**6}),
        ("tool_price.per_unit", {"per_call": 0, "per_unit": -1, "most_units": 1}),
        ("tool_price.most_units", {"per_call": 0, "per_unit": 1}),
        ("tool_price.most_units", {"per_call": 0, "most_units": 5}),
        ("tool_price.most_units", {"per_call": 0, "per_unit": 1, "most_units": 1.5}),
        ("tool_price.units", {"per_call": 0, "units": len}),
        ("tool_price.units", {"per_call": 0, "per_unit": 1, "most_units": 5, "units": 3}),
    ],
)
def test_a_price_that_is_none_is_refused_by_name(field: str, settings: dict[str, Any]) -> None:
    """Where it was written, and without quoting it."""
    with pytest.raises(ConfigError) as caught:
        ToolPrice(**settings)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("prices", "field"), [([1], "tool_prices"), ({"search": 0.01}, "tool_prices['search']")])
def test_prices_of_another_kind_are_refused_at_once(prices: Any, field: str) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError) as caught:
        tool_prices(prices)
    assert caught.value.field == field


def test_changing_the_dict_afterwards_changes_nothing() -> None:
    """What was checked is what stays."""
    table = {"search": SEARCH}
    checked = tool_prices(table)
    table.clear()
    assert (dict(checked), dict(tool_prices(None))) == ({"search": SEARCH}, {})
