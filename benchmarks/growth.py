"""Bytes that a thread of plain `add_messages` state takes, turn after turn, and how fast they grow.

A turn is one `invoke` with a message of 400 bytes and an answer of 400 bytes. Redis: the server's `used_memory`, all of
it. `InMemorySaver`: the bytes that it holds. SQLite: its file.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.measure import Row
from benchmarks.peers import MEMORY, OURS, SQLITE, url
from benchmarks.servers import HOST, servers
from benchmarks.supersteps import loop, message
from langgraph_guard.checkpoint.redis import RedisSaver

TURNS, TINY = (50, 100, 200, 400), (2, 8, 9, 10)
SIZE = 400
SUPERSTEPS = 200

LINEAR = 1.1
MOST = 2_000_000
"""Bytes after the third number of turns."""

MOST_PER_SUPERSTEP = 4_096

Bytes = Callable[[], int]


def rows(rounds: int = 2) -> Iterator[Row]:
    """Bytes do not vary: more than one round only says that the size is to be the real one."""
    turns, supersteps = (TURNS, SUPERSTEPS) if rounds > 1 else (TINY, 20)
    with ExitStack() as stack:
        savers = held(stack)
        found = {name: list(after_turns(*each, turns)) for name, each in savers.items()}
        looped = {name: in_a_loop(*each, supersteps) for name, each in savers.items()}
    ours = found[OURS]
    for name in (MEMORY, SQLITE):
        peer = found[name]
        for turn, mine, theirs in zip(turns, ours, peer, strict=True):
            goal = (f"≤ {mb(MOST)}", mine <= MOST) if turn == turns[2] else ("–", None)
            yield Row(f"growth: bytes after {turn} turns, against {name}", mb(mine), mb(theirs), theirs / mine, *goal)
        mine, theirs = exponent(turns, ours), exponent(turns, peer)
        claim = f"growth: exponent, {turns[0]} to {turns[-1]} turns, against {name}"
        yield Row(claim, f"{mine:.2f}", f"{theirs:.2f}", theirs / mine, f"≤ {LINEAR}", mine <= LINEAR)
    for name in (MEMORY, SQLITE):
        mine, theirs = looped[OURS], looped[name]
        claim = f"growth: bytes per superstep, {supersteps} of them with a 1 KB message each, against {name}"
        goal = (f"≤ {MOST_PER_SUPERSTEP:,}", mine <= MOST_PER_SUPERSTEP)
        yield Row(claim, f"{mine:,.0f}", f"{theirs:,.0f}", theirs / mine, *goal)


def held(stack: ExitStack) -> dict[str, tuple[Any, Bytes]]:
    """Savers, and how many bytes each holds."""
    port = stack.enter_context(servers()).ports["redis"]
    client = stack.enter_context(redis.Redis(host=HOST, port=port))
    ours = stack.enter_context(RedisSaver.from_conn_string(url(port)))
    memory = InMemorySaver()
    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "db"
    sqlite = stack.enter_context(SqliteSaver.from_conn_string(str(file)))
    return {
        OURS: (ours, lambda: used(client, ours)),
        MEMORY: (memory, lambda: in_memory(memory)),
        SQLITE: (sqlite, lambda: sum(each.stat().st_size for each in file.parent.iterdir())),
    }


def used(client: Any, ours: RedisSaver) -> int:
    """All that the server uses, without the buffers of the saver's connections."""
    ours.close()
    return int(client.info("memory")["used_memory"])


def in_memory(saver: InMemorySaver) -> int:
    """Serialized values; what Python needs to hold them is not counted."""
    blobs = (data for _, data in saver.blobs.values())
    writes = (data for of_task in saver.writes.values() for _, _, (_, data), _ in of_task.values())
    told = (
        data
        for namespaces in saver.storage.values()
        for checkpoints in namespaces.values()
        for (_, core), (_, metadata), _ in checkpoints.values()
        for data in (core, metadata)
    )
    return sum(len(data) for every in (blobs, writes, told) for data in every)


def after_turns(saver: Any, bytes_of: Bytes, turns: tuple[int, ...]) -> Iterator[int]:
    app = chat().compile(checkpointer=saver)
    app.invoke(question(0), config("warm"))  # tables, scripts and buffers are there afterwards
    before = bytes_of()
    for turn in range(1, turns[-1] + 1):
        app.invoke(question(2 * turn), config("thread"))
        if turn in turns:
            yield bytes_of() - before


def in_a_loop(saver: Any, bytes_of: Bytes, supersteps: int) -> float:
    before = bytes_of()
    loop().compile(checkpointer=saver).invoke({"messages": [], "until": supersteps}, config("loop"))
    return max(bytes_of() - before, 0) / supersteps


def chat() -> StateGraph[Any]:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [message(2 * len(state["messages"]) + 1, SIZE)]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph


def question(at: int) -> Any:
    return {"messages": [message(at, SIZE)]}


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 10_000}


def exponent(turns: tuple[int, ...], sizes: list[int]) -> float:
    """1 is linear, 2 quadratic."""
    grown = math.log(sizes[-1] / sizes[0]) / math.log(turns[-1] / turns[0])
    return max(1e-9, grown)  # over few turns, a server may give back more than they take


def mb(size: float) -> str:
    return f"{size / 1e6:.2f} MB"
