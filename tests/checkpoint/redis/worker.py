"""A worker process that runs a graph on Redis and may be killed at any moment: a script for `test_crashes.py`."""

from __future__ import annotations

import json
import operator
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import redis
from langgraph.graph import END, START, StateGraph
from redis.sentinel import Sentinel
from typing_extensions import TypedDict

from langgraph_guard.checkpoint.redis import RedisSaver

STEPS = 10
WIDTH = 3


class State(TypedDict, total=False):
    """What the steps leave behind, in one list and in one value."""

    items: Annotated[list[Any], operator.add]
    last: str


def note(journal: Path, words: str) -> None:
    """Append a line that a kill cannot tear."""
    place = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, f"{words}\n".encode())
    os.close(place)


def chain(saver: Any, journal: Path) -> Any:
    """Ten steps; each notes that it began, and that it is done."""

    def step(number: int) -> Any:
        def run(state: State) -> dict[str, Any]:
            note(journal, f"began {number}")
            return {"items": [{"step": number, "seen": len(state["items"])}], "last": f"step {number}"}

        return run

    builder = StateGraph(State)
    for number in range(STEPS):
        builder.add_node(f"s{number}", step(number))
    for one, two in zip([START, *builder.nodes], [*builder.nodes, END], strict=True):
        builder.add_edge(one, two)
    return builder.compile(checkpointer=saver)


def parallel(saver: Any, journal: Path) -> Any:
    """Three tasks at once, then one that joins them. They wait for a line on standard input, one after the other."""

    def task(number: int) -> Any:
        def run(state: State) -> dict[str, Any]:
            note(journal, f"began {number}")
            if number and os.environ.get("STUCK"):
                os.read(0, 1)  # never comes
            return {"items": [number]}

        return run

    builder = StateGraph(State)
    for number in range(WIDTH):
        builder.add_node(f"t{number}", task(number))
        builder.add_edge(START, f"t{number}")
        builder.add_edge(f"t{number}", "join")
    builder.add_node("join", lambda state: {"last": f"joined {len(state['items'])}"})
    builder.add_edge("join", END)
    return builder.compile(checkpointer=saver)


def connect(where: str) -> RedisSaver:
    """`redis://…`, or the ports of a Cluster's node or of Sentinels."""
    kind, _, rest = where.partition(":")
    if kind == "cluster":
        return RedisSaver(redis.RedisCluster(host="127.0.0.1", port=int(rest)), deadline=20.0)
    if kind == "sentinel":
        ports = [("127.0.0.1", int(port)) for port in rest.split(",")]
        return RedisSaver(Sentinel(ports).master_for("mymaster"), deadline=20.0)
    return RedisSaver.from_conn_string(where, deadline=20.0)


def main(shape: str, where: str, journal: str, thread: str) -> None:
    """Start the run of `thread`, or go on with it; print its state at the end."""
    graph = {"chain": chain, "parallel": parallel}[shape](connect(where), Path(journal))
    config = {"configurable": {"thread_id": thread}}
    started = graph.get_state(config).values
    note(Path(journal), "up")
    state = graph.invoke(None if started else {"items": ["input"]}, config, durability="sync")
    sys.stdout.write(json.dumps(state))


if __name__ == "__main__":
    main(*sys.argv[1:])
