"""What a gate adds to a superstep, when there is nothing to say.

A chain of the same node, per superstep: the gate, and a node that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.agent import CONFIG, GOAL, guard, history
from benchmarks.measure import Batch, Row, interleaved

STEPS = 25


def rows(rounds: int = 60) -> Iterator[Row]:
    plain = interleaved(runs(guard()), runs(empty), rounds=rounds, calls=STEPS)
    yield plain.adds_less_than(GOAL, "gate: a superstep of BudgetCheckNode against one of an empty node")
    saved = interleaved(runs(guard(), save=True), runs(empty, save=True), rounds=rounds, calls=STEPS)
    yield saved.adds_less_than(GOAL, "gate: the same with an InMemorySaver")


def empty(state: MessagesState) -> dict[str, Any]:
    return {}


def runs(node: Any, *, save: bool = False) -> Batch:
    """One run of a chain of `node`."""

    def batch(steps: int) -> None:
        assert steps == STEPS
        chain = app.copy({"checkpointer": InMemorySaver()}) if save else app
        chain.invoke(given, CONFIG)

    graph = StateGraph(MessagesState)
    names = [f"step-{at}" for at in range(STEPS)]
    for name in names:
        graph.add_node(name, node)
    for one, other in pairwise([START, *names, END]):
        graph.add_edge(one, other)
    app: Any = graph.compile()
    given: Any = {"messages": history()}
    return batch
