"""Many runs at once on a saver that was made by nothing but its URL: 150 tasks, and 64 threads.

The peer is redis-py alone, as many at once, making as many round trips per turn as the saver makes; its pool must be
told to wait, for by default it refuses the 101st connection. A run is some turns on a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Any

import redis
import redis.asyncio
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.calling import Clock, Wire
from benchmarks.growth import chat, config, question
from benchmarks.measure import Row
from benchmarks.peers import MEMORY, Bare, url
from benchmarks.servers import HOST, servers
from benchmarks.supersteps import message
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.testing.faults import FaultProxy

ROUNDS = 5
TASKS, THREADS, TURNS = 150, 64, 3
TINY = (3, 3, 1)
CONNECTIONS = 50

_number = count()


@dataclass
class Crowd:
    """How many runs per second, and how many failed."""

    rates: list[float]
    errors: int = 0

    @property
    def typical(self) -> float:
        return median(self.rates)

    def note(self, runs: int, outcomes: list[Any], seconds: float) -> None:
        self.errors += sum(isinstance(each, Exception) for each in outcomes)
        self.rates.append(runs / seconds)


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    tasks, threads, turns = (TASKS, THREADS, TURNS) if rounds > 1 else TINY
    with servers() as there:
        port = there.ports["redis"]
        each = (port, turns, round_trips(port))
        yield from compared("ainvoke", tasks, turns, rounds, lambda kind: asyncio.run(in_tasks(kind, tasks, *each)))
        yield from compared("invoke", threads, turns, rounds, lambda kind: in_threads(kind, threads, *each))


def compared(how: str, runs: int, turns: int, rounds: int, crowd: Callable[[str], tuple[Any, float]]) -> Iterator[Row]:
    found = {kind: Crowd([]) for kind in ("ours", "bare", "memory")}
    for at in range(rounds):
        for kind in list(found)[:: -1 if at % 2 else 1]:
            found[kind].note(runs * turns, *crowd(kind))
    ours, bare, memory = found.values()
    at_once = f"{runs} {how} at once"
    claim = f"crowd: errors of {at_once}, by default, of {rounds * runs * turns:,}"
    yield Row(claim, f"{ours.errors}", "0", float(ours.errors), "0", ours.errors == 0)
    for peer, name in ((bare, "as many bare round trips"), (memory, MEMORY)):
        rates = f"{ours.typical:,.0f} turns/s", f"{peer.typical:,.0f} turns/s"
        yield Row(f"crowd: {at_once}, against {name}", *rates, ours.typical / peer.typical)


def round_trips(port: int) -> int:
    """Of one turn."""
    with FaultProxy(HOST, port) as proxy, RedisSaver.from_conn_string(url(proxy.port)) as saver:
        app, thread = chat().compile(checkpointer=saver), config("counted")
        app.invoke(question(0), thread)
        with Wire(proxy) as wire:
            app.invoke(question(1), thread)
        return wire.value.trips


# Tasks


async def in_tasks(kind: str, tasks: int, port: int, turns: int, trips: int) -> tuple[list[Any], float]:
    if kind == "bare":
        pool = redis.asyncio.BlockingConnectionPool(host=HOST, port=port, max_connections=CONNECTIONS)
        async with redis.asyncio.Redis(connection_pool=pool) as client:
            bare = Bare(client, await client.script_load(Bare.SCRIPT))
            return await _gathered([_aturns(lambda _: bare.commit(*payload()), turns * trips) for _ in range(tasks)])
    async with RedisSaver.from_conn_string(url(port)) as saver:
        app = chat().compile(checkpointer=saver if kind == "ours" else InMemorySaver())
        return await _gathered([_conversation(app, turns) for _ in range(tasks)])


async def _conversation(app: Any, turns: int) -> None:
    to = thread()
    await _aturns(lambda at: app.ainvoke(question(at), to), turns)


async def _aturns(turn: Callable[[int], Awaitable[Any]], turns: int) -> None:
    for at in range(turns):
        await turn(at)


async def _gathered(runs: list[Awaitable[None]]) -> tuple[list[Any], float]:
    with Clock() as clock:
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
    return outcomes, clock.value


# Threads


def in_threads(kind: str, threads: int, port: int, turns: int, trips: int) -> tuple[list[Any], float]:
    if kind == "bare":
        pool = redis.BlockingConnectionPool(host=HOST, port=port, max_connections=CONNECTIONS)
        with redis.Redis(connection_pool=pool) as client:
            bare = Bare(client, client.script_load(Bare.SCRIPT))
            return _threaded(lambda: _turns(lambda _: bare.commit(*payload()), turns * trips), threads)
    with RedisSaver.from_conn_string(url(port)) as saver:
        app = chat().compile(checkpointer=saver if kind == "ours" else InMemorySaver())

        def run() -> None:
            to = thread()
            _turns(lambda at: app.invoke(question(at), to), turns)

        return _threaded(run, threads)


def _turns(turn: Callable[[int], Any], turns: int) -> None:
    for at in range(turns):
        turn(at)


def _threaded(run: Callable[[], None], threads: int) -> tuple[list[Any], float]:
    start = threading.Barrier(threads + 1)

    def caught() -> Exception | None:
        start.wait()
        try:
            run()
        except Exception as error:
            return error
        return None

    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(caught) for _ in range(threads)]
        start.wait()
        with Clock() as clock:
            outcomes = [each.result() for each in waiting]
    return outcomes, clock.value


def thread() -> Any:
    return config(f"run-{next(_number)}")


def payload() -> tuple[str, bytes, bytes]:
    """A thread, an element and a record."""
    return f"bare-{next(_number)}", str(message(0).content).encode(), b"r" * 600
