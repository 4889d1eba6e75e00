"""`get_state` of a thread whose channel stores what was added at each step: how often it asks, how long it takes."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated, Any, TypedDict

from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph

from benchmarks.calling import Clock, Wire
from benchmarks.measure import Row
from benchmarks.peers import BARE, OURS, Peer, absent, present
from benchmarks.servers import HOST, Servers, servers
from langgraph_guard.testing.faults import FaultProxy

ROUNDS = 5
DELTAS, TINY = 1_000, 5
TRIPS = 3


def added(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(each for write in writes for each in write)]


class Log(TypedDict):
    """A list of which no checkpoint holds all."""

    steps: Annotated[list[str], DeltaChannel(added, snapshot_frequency=100_000)]
    at: Annotated[int, operator.add]
    until: int


@dataclass
class Found:
    """`trips` of one `get_state`, `answered`: how many of the deltas it returned."""

    answered: int
    trips: int | None
    seconds: list[float] = field(default_factory=list)

    def shown(self, deltas: int) -> str:
        wrong = "" if self.answered == deltas else f", and {self.answered:,} of {deltas:,} deltas"
        return f"{median(self.seconds) * 1e3:.1f} ms{wrong}"


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    deltas = DELTAS if rounds > 1 else TINY
    with servers() as there:
        found = measured(there, deltas, rounds)
    ours = found[OURS]
    assert ours.trips
    holds = ours.trips <= TRIPS and ours.answered == deltas
    claim = f"deltas: round trips of get_state of {deltas:,} deltas"
    yield Row(claim, f"{ours.trips}", f"{TRIPS}", ours.trips / TRIPS, f"≤ {TRIPS}", holds)
    for name, peer in found.items():
        if name != OURS:
            ratio = median(peer.seconds) / median(ours.seconds)
            trips = f", {peer.trips:,} round trips" if peer.trips else ""
            claim = f"deltas: get_state of {deltas:,} deltas, against {name}"
            yield Row(claim, ours.shown(deltas), peer.shown(deltas) + trips, ratio)
    yield from (Row.skipped("deltas", f"{name}: {why}") for name, why in absent(there).items())


def measured(there: Servers, deltas: int, rounds: int) -> dict[str, Found]:
    found: dict[str, Found] = {}
    with ExitStack() as stack:
        apps = {}
        for name, peer in present(there).items():
            if name != BARE:
                port = there.nearby(peer.server)
                apps[name] = graph(stack.enter_context(peer.open(port)))
                apps[name].invoke({"steps": [], "at": 0, "until": deltas}, config())
                trips = round_trips(peer, port) if peer.server else None
                found[name] = Found(len(apps[name].get_state(config()).values["steps"]), trips)
        for _ in range(rounds):
            for name, app in apps.items():
                with Clock() as clock:
                    app.get_state(config())
                found[name].seconds.append(clock.value)
    return found


def round_trips(peer: Peer, port: int) -> int:
    with FaultProxy(HOST, port) as proxy, peer.open(proxy.port) as saver:
        app = graph(saver)
        app.get_state(config("another"))  # a connection's greetings are no part of a read
        with Wire(proxy) as wire:
            app.get_state(config())
        return wire.value.trips


def graph(saver: Any) -> Any:
    def step(state: Log) -> dict[str, Any]:
        return {"steps": [f"step {state['at']}"], "at": 1}

    made = StateGraph(Log)
    made.add_node("step", step)
    made.add_edge(START, "step")
    made.add_conditional_edges("step", lambda state: "step" if state["at"] < state["until"] else END, ["step", END])
    return made.compile(checkpointer=saver)


def config(thread: str = "deltas") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 100_000}
