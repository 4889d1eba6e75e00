"""Five steps in a row, each saying what it saw; and a process that works on them, to be killed in the middle."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.testing.contracts.saver.harness import at

NAMES = "abcde"

INPUT = {"items": ["in"]}

WHOLE = {"items": ["in", "a saw 1", "b saw 2", "c saw 3", "d saw 4", "e saw 5"]}
"""The state of a run that nothing happened to."""


class Items(TypedDict):
    """A list that grows."""

    items: Annotated[list[str], operator.add]


def chain(saver: CloudflareKVSaver, began: Callable[[str], None] = lambda name: None) -> Any:
    """The graph. `began` is told of each step that begins."""

    def step(name: str) -> Any:
        def work(state: Items) -> Any:
            began(name)
            return {"items": [f"{name} saw {len(state['items'])}"]}

        return work

    builder = StateGraph(Items)
    for name in NAMES:
        builder.add_node(name, step(name))
    for one, two in zip([START, *NAMES], [*NAMES, END], strict=True):
        builder.add_edge(one, two)
    return builder.compile(checkpointer=saver)


if __name__ == "__main__":
    # A window that no machine is too slow for: what a step wrote always travels with the checkpoint after it.
    terms = {"api_token": sys.argv[2], "group_window": 60, "deadline": 300}
    with CloudflareKVSaver.from_conn_string(sys.argv[1], **terms) as saver:
        chain(saver).invoke(INPUT, at(), durability="sync")
