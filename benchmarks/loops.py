"""Whole runs of a graph on each saver: a long loop, and an agent that calls a tool ten times, alone and fifty at once.

Wall time of `invoke` and `ainvoke` as users call them (durability "async"), medians of interleaved rounds. The loop
adds a message of 1,000 characters per superstep. Who has no goal runs what is long only once.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from benchmarks.calling import Clock, Session, session
from benchmarks.measure import Row, no_garbage_collection
from benchmarks.peers import BARE, BOTH, MEMORY, OURS, How, absent, present
from benchmarks.servers import Servers, servers
from benchmarks.supersteps import loop, message

ROUNDS = 3
SUPERSTEPS, CALLS, CROWD = 400, 10, 50
TINY = (4, 2, 2)

_number = count()


@dataclass
class Runs:
    """How long the runs of one kind took on one saver, or why they ended."""

    seconds: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def typical(self) -> float:
        return median(self.seconds)

    def shown(self) -> str:
        return self.error or f"{self.typical * 1e3:,.0f} ms (least {min(self.seconds) * 1e3:,.0f})"


@dataclass(frozen=True)
class Kind:
    """So many runs of a graph at once."""

    name: str
    graph: Callable[[], Any]
    start: dict[str, Any]
    at_once: int = 1
    heavy: bool = False
    """Whether savers without a goal run it once only."""

    def run(self, opened: Session, how: How) -> float:
        app = self.graph().compile(checkpointer=opened.saver)
        configs = [config() for _ in range(self.at_once)]
        with Clock() as clock:
            if how == "async":
                opened.do(_all(app, self.start, configs))
            elif self.at_once == 1:
                app.invoke(self.start, configs[0])
            else:
                with ThreadPoolExecutor(self.at_once) as pool:
                    list(pool.map(lambda each: app.invoke(self.start, each), configs))
        return clock.value


async def _all(app: Any, start: dict[str, Any], configs: list[Any]) -> None:
    await asyncio.gather(*(app.ainvoke(start, each) for each in configs))


def kinds(supersteps: int, calls: int, crowd: int) -> list[Kind]:
    asked = {"messages": [HumanMessage("Where are my orders?", id="question")]}
    return [
        Kind(f"loop of {supersteps} supersteps", loop, {"messages": [], "until": supersteps}, heavy=True),
        Kind(f"agent of {2 * calls} steps", lambda: agent(calls), asked),
        Kind(f"agent of {2 * calls} steps, {crowd} at once", lambda: agent(calls), asked, crowd, heavy=True),
    ]


def agent(calls: int) -> StateGraph[Any]:
    """A model that asks for an order again and again, and a tool that tells of it at length."""

    @tool
    def look_up(order: int) -> str:
        """What is known of an order."""
        return str(message(order).content)

    def model(state: MessagesState) -> dict[str, Any]:
        asked = len(state["messages"]) // 2
        call: Any = {"name": "look_up", "args": {"order": asked}, "id": f"call-{asked}"}
        return {"messages": [AIMessage("I look it up.", id=f"answer-{asked}", tool_calls=[call])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", ToolNode([look_up]))
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    graph.add_conditional_edges("tools", lambda state: "model" if len(state["messages"]) < 2 * calls else END)
    return graph


def config() -> Any:
    return {"configurable": {"thread_id": f"run-{next(_number)}"}, "recursion_limit": 10_000}


# Measuring

Found = dict[tuple[How, str, str], Runs]
"""By how, kind and saver."""


def time(there: Servers, how: How, rounds: int, found: Found) -> None:
    peers = {name: peer for name, peer in present(there).items() if name != BARE}
    with ExitStack() as stack, no_garbage_collection():
        opened = {
            name: stack.enter_context(session(peer, how, there.nearby(peer.server))) for name, peer in peers.items()
        }
        for kind in kinds(*((SUPERSTEPS, CALLS, CROWD) if rounds > 1 else TINY)):
            for at in range(rounds):
                for name, each in list(opened.items())[:: -1 if at % 2 else 1]:
                    runs = found.setdefault((how, kind.name, name), Runs())
                    if not runs.error and not (at and kind.heavy and name not in (OURS, MEMORY)):
                        gc.collect()
                        _note(runs, kind, each, how)


def _note(runs: Runs, kind: Kind, opened: Session, how: How) -> None:
    try:
        runs.seconds.append(kind.run(opened, how))
    except Exception as error:  # a peer that cannot do it is a result
        runs.error = type(error).__name__


# What is claimed


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    found: Found = {}
    with servers() as there:
        for how in BOTH:
            time(there, how, rounds, found)
    names = list(dict.fromkeys(name for _, _, name in found))
    for how, kind in dict.fromkeys((how, kind) for how, kind, _ in found):
        ours = found[how, kind, OURS]
        assert not ours.error, ours.error
        for name in names:
            peer = found[how, kind, name]
            if name != OURS:
                claim = f"loops: {how} {kind}, against {name}"
                ratio = None if peer.error else peer.typical / ours.typical
                goal = "> 1×" if name == MEMORY and kind.startswith("loop") else None
                holds = ratio is not None and ratio > 1 if goal else None
                yield Row(claim, ours.shown(), peer.shown(), ratio, goal or "–", holds)
    yield from (Row.skipped("loops", f"{name}: {why}") for name, why in absent(there).items())
