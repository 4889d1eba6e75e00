"""Fused guards take the supersteps and the checkpoints of one node. Counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.agent import CONFIG, guard, history
from benchmarks.gate import empty
from benchmarks.measure import Row
from langgraph_guard import fuse


def rows(rounds: int = 1) -> Iterator[Row]:
    ours, peer = counted(fuse(guard("a"), guard("b"))), counted(empty)
    apart = counted(guard("a"), guard("b"))
    yield Row(
        "fused: supersteps and checkpoints of fuse(a, b) against one node",
        "{} and {}".format(*ours),
        "{} and {} (a, b apart: {} and {})".format(*peer, *apart),
        ours[0] / peer[0],
        "the same",
        ours == peer,
    )


def counted(*nodes: Any) -> tuple[int, int]:
    graph = StateGraph(MessagesState)
    names = [f"step-{at}" for at in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    for one, other in pairwise([START, *names, END]):
        graph.add_edge(one, other)
    app = graph.compile(checkpointer=InMemorySaver())
    supersteps = list(app.stream({"messages": history()}, CONFIG, stream_mode="updates"))
    return len(supersteps), len(list(app.get_state_history(CONFIG)))
