"""The keys that the pack declares, as LangGraph reads the declaration."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.graph import StateGraph
from typing_extensions import get_type_hints

from langgraph_guard.state import REDUCERS, BudgetState, GuardState
from tests.state.strategies import FULL_STATE

every_key = pytest.mark.parametrize("key", sorted(get_type_hints(GuardState)))


def test_every_key_says_whose_it_is() -> None:
    """A host has keys of its own, and `create_agent` merges keys of the same name without a word."""
    assert [key for key in get_type_hints(GuardState) if not key.startswith("guard_")] == []


def test_guard_state_holds_the_budgets_keys() -> None:
    """Inheriting `GuardState` must be enough, whichever guards the graph has."""
    assert get_type_hints(BudgetState).keys() <= get_type_hints(GuardState).keys()


def test_every_key_has_a_sample_here() -> None:
    """The tests of this folder go through the samples: a key without one would be tested by none of them."""
    assert FULL_STATE.keys() == REDUCERS.keys() == get_type_hints(GuardState).keys()


@every_key
def test_langgraph_takes_the_key_as_a_reducer_that_starts_empty(key: str) -> None:
    """A type that it cannot make would let the first write bypass the reducer."""
    channel = StateGraph(GuardState).channels[key]

    assert isinstance(channel, BinaryOperatorAggregate)
    assert channel.operator is REDUCERS[key]
    assert channel.get() == type(FULL_STATE[key])()


@every_key
def test_a_reducer_is_a_function_of_two_that_has_a_name(key: str) -> None:
    """LangGraph counts the positional parameters, and compares reducers by name when a key is declared twice."""
    reducer = REDUCERS[key]

    assert inspect.isfunction(reducer)
    assert reducer is getattr(sys.modules[reducer.__module__], reducer.__name__)
    assert len(inspect.signature(reducer).parameters) == 2


def test_the_state_loads_neither_langgraph_nor_langchain() -> None:
    """Reading a checkpoint's values, in a dashboard or a test, should not cost the import of a framework."""
    code = "import sys, langgraph_guard.state; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = answer.stdout.split()

    assert "langgraph_guard.state" in loaded
    assert [name for name in loaded if name.partition(".")[0] in {"langgraph", "langchain_core", "pydantic"}] == []
