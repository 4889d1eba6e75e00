"""One superstep on a saver: what `put`, `put_writes`, `get_tuple` and `list` cost, and what they send.

Wall time of single calls, because savers wait. Threads have messages of 1,000 characters and are made by what a graph
sends; all savers' rounds are interleaved. The limit is what redis-py alone takes for an EVALSHA of as many new bytes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from statistics import median, quantiles

from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks.calling import Call, Clock, Session, Traffic, Wire, session
from benchmarks.measure import Row, no_garbage_collection, show
from benchmarks.peers import BARE, BOTH, OFFICIAL, OURS, How, absent, present
from benchmarks.servers import HOST, Servers, servers
from benchmarks.supersteps import LISTED, OPERATIONS, Recorded, record
from langgraph_guard.flow import Flow
from langgraph_guard.testing.faults import FaultProxy

ROUNDS = 9
SIZES = (10, 100, 1_000)
TINY = (2, 3, 4)
READS, LISTS, COMMITS = 5, 1, 20

Port = Callable[[str], int | None]
"""Where a saver finds its server; `None` leaves it out."""

_number = count()


@dataclass
class Found:
    """What was measured of one saver on threads of one length."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)

    def note(self, seconds: dict[str, list[float]]) -> None:
        for name, values in seconds.items():
            self.seconds.setdefault(name, []).extend(values)

    def typical(self, operation: str) -> float:
        return median(self.seconds[operation])


@dataclass
class Measured:
    """All savers, on threads of `sizes` messages."""

    sizes: tuple[int, ...]
    missing: dict[str, str]
    found: dict[tuple[How, str, int], Found] = field(default_factory=dict)

    def of(self, how: How, name: str, size: int) -> Found:
        return self.found.setdefault((how, name, size), Found())

    def names(self, how: How) -> list[str]:
        return list(dict.fromkeys(name for each, name, _ in self.found if each == how))


@cache
def measured(rounds: int) -> Measured:
    with servers() as there:
        result = Measured(SIZES if rounds > 1 else TINY, absent(there))
        weigh(there, result)
        time(there, there.nearby, rounds, result)
        return result


def weigh(there: Servers, result: Measured) -> None:
    """What each operation sends, by a proxy that counts."""
    for name, peer in present(there).items():
        if peer.server and name != BARE:
            with FaultProxy(HOST, there.nearby(peer.server)) as proxy:
                for how in BOTH:
                    with session(peer, how, proxy.port) as weighed:
                        for size in result.sizes:
                            visit = record(weighed.saver, size).visit(thread(), 1, 1)
                            last = {op: values[-1] for op, values in weighed.perform(visit, Wire(proxy)).items()}
                            result.of(how, name, size).traffic = last


def time(there: Servers, port: Port, rounds: int, result: Measured) -> None:
    """What each operation takes. `result` has the bytes that ours sends: as many the bare client shall send."""
    for how in BOTH:
        with opened(there, how, port) as sessions, no_garbage_collection():
            plans = {
                (size, name): plan(name, each, size, result.of(how, OURS, size).traffic["put"].sent)
                for size in result.sizes
                for name, each in sessions.items()
            }
            for at in range(rounds):
                for size, name in list(plans)[:: -1 if at % 2 else 1]:
                    gc.collect()
                    for _ in range(max(1, result.sizes[1] // size // 2)):
                        visit = plans[size, name].visit(thread(), READS, LISTS)
                        result.of(how, name, size).note(sessions[name].perform(visit, Clock()))


def plan(name: str, session: Session, size: int, sent: int) -> Recorded | NewBytes:
    return NewBytes(sent) if name == BARE else record(session.saver, size)


@dataclass(frozen=True)
class NewBytes:
    """An EVALSHA of so many bytes, an element and a record."""

    sent: int

    def visit(self, thread: str, reads: int, lists: int) -> Flow[Call, float, dict[str, list[float]]]:
        half = (self.sent - FRAME) // 2
        seconds: list[float] = []
        for at in range(COMMITS):
            seconds += yield [Call("commit", (thread, b"e" * half, b"%08d" % at + b"r" * (half - 8)))]
        yield [Call("delete_thread", (thread,))]
        return {"put": seconds}


FRAME = 150
"""Bytes around the two values."""


@contextmanager
def opened(there: Servers, how: How, port: Port) -> Iterator[dict[str, Session]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(session(peer, how, where))
            for name, peer in present(there).items()
            if (where := port(peer.server)) is not None
        }


def thread() -> str:
    return f"thread-{next(_number)}"


# What is claimed


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    found = measured(rounds)
    for how in BOTH:
        yield from of_limit(found, how, "savers", dict.fromkeys(found.sizes[:2], 2.5))
        yield from of_history(found, how)
        if OFFICIAL in found.names(how):
            yield from of_official(found, how, "savers", GOALS[how])
    yield from (Row.skipped("savers", f"{name}: {why}") for name, why in found.missing.items())


GOALS: dict[How, dict[tuple[str, int], float | None]] = {
    "sync": {("put", 0): 5, ("put", 2): 50, **{("get_tuple", at): 4 for at in range(3)}},
    "async": {("put", 0): 5, ("put", 2): 50, **{("get_tuple", at): 4 for at in range(3)}, ("list", 1): 20},
}
"""How many times faster than `langgraph-checkpoint-redis`. Its sync list returns messages that it has not decoded."""


def of_limit(found: Measured, how: How, name: str, goals: dict[int, float]) -> Iterator[Row]:
    """`put` against the bare round trip; `goals` by size."""
    for size in found.sizes:
        ours, bare = (found.of(how, each, size).typical("put") for each in (OURS, BARE))
        claim = f"{name}: {how} put, {size:,} messages, against one EVALSHA of the new bytes"
        yield at_most(claim, ours, bare, goals.get(size))


def of_history(found: Measured, how: How) -> Iterator[Row]:
    """What must not grow with the conversation."""
    small, *_, large = found.sizes
    few, many = (found.of(how, OURS, size) for size in (small, large))
    claim = f"savers: {how} put, {large:,} messages, against {small}"
    yield at_most(claim, many.typical("put"), few.typical("put"), 2.5)
    for operation in ("put", "put_writes"):
        sent, before = (each.traffic[operation].sent for each in (many, few))
        claim = f"savers: bytes that {how} {operation} sends, {large:,} messages, against {small}"
        yield Row(claim, f"{sent:,}", f"{before:,}", sent / before, "≤ 1.1×", sent <= 1.1 * before)
    for operation in ("put", "put_writes", "get_tuple"):
        trips = max(found.of(how, OURS, size).traffic[operation].trips for size in found.sizes)
        yield Row(f"savers: round trips of {how} {operation}", f"{trips}", "1", trips, "1", trips == 1)


def of_official(found: Measured, how: How, name: str, goals: dict[tuple[str, int], float | None]) -> Iterator[Row]:
    """How many times faster than the official saver; `goals` by operation and which size."""
    for (operation, at), goal in goals.items():
        size = found.sizes[at]
        ours, peer = (found.of(how, each, size).typical(operation) for each in (OURS, OFFICIAL))
        claim = f"{name}: {how} {shown(operation)}, {size:,} messages, against {OFFICIAL}"
        holds = None if goal is None else peer >= goal * ours
        yield Row(claim, show(ours), show(peer), peer / ours, "–" if goal is None else f"≥ {goal:g}×", holds)


def at_most(claim: str, ours: float, peer: float, goal: float | None) -> Row:
    holds = ours <= goal * peer if goal else None
    return Row(claim, show(ours), show(peer), ours / peer, f"≤ {goal}×" if goal else "–", holds)


def shown(operation: str) -> str:
    return f"list({LISTED})" if operation == "list" else operation


# All of it


def every_operation() -> RenderableType:
    found = measured(ROUNDS)
    return Group(*(times(found, how) for how in BOTH), *(traffic(found, how) for how in BOTH))


def times(found: Measured, how: How, title: str = "") -> Table:
    table = _table(f"{how}{title}: median, 99th percentile and least of µs; operations per second", found.names(how))
    for size, operation in _lines(found, table):
        table.add_row(
            *(f"{size:,}", shown(operation)),
            *(_times(found.of(how, name, size).seconds.get(operation)) for name in found.names(how)),
        )
    return table


def traffic(found: Measured, how: How) -> Table:
    names = [name for name in found.names(how) if found.of(how, name, found.sizes[0]).traffic]
    table = _table(f"{how}: bytes sent, bytes received, round trips", names)
    for size, operation in _lines(found, table):
        every = (found.of(how, name, size).traffic[operation] for name in names)
        table.add_row(
            *(f"{size:,}", shown(operation)),
            *(f"{each.sent:,} / {each.received:,} / {each.trips}" for each in every),
        )
    return table


def _table(title: str, names: list[str]) -> Table:
    return Table("messages", "", *names, title=title)


def _lines(found: Measured, table: Table) -> Iterator[tuple[int, str]]:
    for size in found.sizes:
        table.add_section()
        yield from ((size, operation) for operation in OPERATIONS)


def _times(seconds: list[float] | None) -> str:
    if not seconds:
        return ""
    typical, worst = median(seconds), quantiles(seconds, n=100, method="inclusive")[98] if seconds[1:] else seconds[0]
    return f"{typical * 1e6:,.0f} / {worst * 1e6:,.0f} / {min(seconds) * 1e6:,.0f}; {1 / typical:,.0f}/s"
