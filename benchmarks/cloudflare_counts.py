"""What a graph on `CloudflareKVSaver` asks for: of an invoke, of a superstep, of a look at the latest state.

The graph is a chain: each node is a superstep with one task. A saver is new, and its threads are, for each count.
"""

from __future__ import annotations

import asyncio
import operator
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any, Final

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from benchmarks.cloudflare_prices import Operations
from benchmarks.cloudflare_wire import Connect, Log
from benchmarks.growth import after_turns
from benchmarks.peers import How
from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver

FIVE: Final = 5
"""Steps of an invoke that is counted whole."""


class Chained(TypedDict):
    """What each step appends to."""

    items: Annotated[list[str], operator.add]


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds: a node, from and to, at random; a request, beyond what it takes here.

    Where both take none, runs go in step, and the most of them share a request.
    """

    node: tuple[float, float] = (0.0, 0.0)
    request: float = 0.0


AT_ONCE: Final = Pace()


def chain(saver: Any, steps: int, pace: Pace = AT_ONCE) -> Any:
    """A graph of so many nodes in a row."""
    names = [f"step-{number}" for number in range(steps)]
    graph = StateGraph(Chained)
    for name in names:
        graph.add_node(name, _step(name) if pace is AT_ONCE else _slow_step(name, pace))
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=saver)


def _step(name: str) -> Any:
    return lambda state: {"items": [name]}


def _slow_step(name: str, pace: Pace) -> Any:
    chance = random.Random(name)

    async def step(state: Chained) -> dict[str, list[str]]:
        await asyncio.sleep(chance.uniform(*pace.node))
        return {"items": [name]}

    return step


def thread(number: int) -> Any:
    return {"configurable": {"thread_id": f"run-{number}"}}


# What is counted


def invokes(
    connect: Connect,
    how: How,
    runs: int,
    steps: int,
    *,
    pace: Pace = AT_ONCE,
    durability: str = "async",
    **options: Any,
) -> Operations:
    """What an invoke of so many steps asks for, when so many run at once. `options`: the saver's."""
    log, terms = Log(pace.request), {"durability": durability}
    saver = connect(log, **options)
    graph = chain(saver, steps, pace)
    if how == "sync":
        with ThreadPoolExecutor(runs) as pool:
            [*pool.map(lambda number: graph.invoke({"items": []}, thread(number), **terms), range(runs))]
        saver.close()
    else:
        asyncio.run(_ainvokes(graph, runs, terms, saver))
    return log.counted(runs)


async def _ainvokes(graph: Any, runs: int, terms: dict[str, Any], saver: CloudflareKVSaver) -> None:
    async with saver:
        await asyncio.gather(*(graph.ainvoke({"items": []}, thread(number), **terms) for number in range(runs)))


def latest(connect: Connect) -> Operations:
    """What a process that just started asks for to see the latest state of a thread."""
    before, log = Log(), Log()
    with connect(before) as saver:
        chain(saver, FIVE).invoke({"items": []}, thread(0))
    with connect(log, again=before) as saver:
        assert saver.get_tuple(thread(0)) is not None
    return log.counted()


def stored(connect: Connect, turns: int) -> int:
    """Bytes of a conversation of so many turns, each a message of 400 bytes and an answer of 400 bytes."""
    log = Log()
    with connect(log) as saver:
        (size,) = after_turns(saver, lambda: log.size, (turns,))
    return size


def marginal(short: Operations, long: Operations, steps: int) -> Operations:
    """Of one superstep, from two invokes, of which one has so many more. At least nothing: on a busy machine, more
    writes of the longer one may leave together."""
    return {name: max(0.0, long[name] - short[name]) / steps for name in short}


def typical(counted: Sequence[Operations]) -> Operations:
    """The median of each."""
    return {name: median(each[name] for each in counted) for name in counted[0]}
