"""What a report says of a thread whose run is not at its end."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, guard_report

THREAD: Any = {"configurable": {"thread_id": "t-1"}}


def app(second: Any) -> Any:
    """A gate, and a node behind it."""
    budget = BudgetCheckNode(Budget([Limit("steps", 50, per="turn")]), MemoryBackend())
    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_node("second", second)
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route, budget.paths(ok="second", exceeded="second"))
    return graph.compile(checkpointer=InMemorySaver())


def test_a_run_that_raised_says_so() -> None:
    """No guard stopped it, and it is not well. Which kind of error, and nothing of what it says."""

    def fails(state: MessagesState) -> None:
        raise RuntimeError("provider said: secret")

    graph = app(fails)
    with pytest.raises(RuntimeError):
        graph.invoke({"messages": [("user", "Hi")]}, THREAD)
    report = guard_report(graph, THREAD)
    assert (report.status, report.reason) == ("ok", "failed: second raised RuntimeError")


def test_a_run_that_waits_for_a_person_says_so() -> None:
    """It is not over, and costs nothing meanwhile."""

    def asks(state: MessagesState) -> None:
        interrupt("May I?")

    graph = app(asks)
    graph.invoke({"messages": [("user", "Hi")]}, THREAD)
    assert str(guard_report(graph, THREAD)).splitlines()[0] == "waiting: second asks a person"
