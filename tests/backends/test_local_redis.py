"""A Redis that is gone and comes back, under load: nothing is lost, nothing is charged twice, and the cap holds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final, cast

import pytest

from langgraph_guard.backends.local import FallbackLedger
from langgraph_guard.backends.protocols import SystemClock
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.events import subscribe
from langgraph_guard.policies.ledger import Account, Balance, Charge, Granted, Read, Release, Reserve, Settle
from tests.servers.redis import RedisServer, until

SESSION: Final = Account("acme", "session", "s1", "usd")
USER: Final = Account("acme", "user", "42", "usd")
LIMIT, CAP, CALL = 60_000, 5_000, 100
WORKERS, THREADS = 2, 6


class Hurried(SystemClock):
    """A minute takes a second, so that nobody waits for the next question."""

    def now(self) -> float:
        return time.time() * 60


class Worker:
    """A process as the ledger knows one: its own connection, its own journal, several calls at a time."""

    def __init__(self, server: RedisServer, name: str) -> None:
        self.name = name
        self.backend = RedisBackend.from_url(server.url, tenant="acme", deadline=1.0)
        inner = getattr(self.backend.ledger, "inner", self.backend.ledger)
        self.ledger = FallbackLedger(inner, Hurried())
        self.spent: list[int] = []
        self.alone = 0
        self._charges = tuple(Charge(account, CALL, LIMIT, local=CAP) for account in (SESSION, USER))

    def work(self, seed: int, stop: threading.Event) -> None:
        random = Random(seed)
        for number in self._numbers(stop):
            id, cost = f"{self.name}-{seed}-{number}", random.randint(0, CALL)
            try:
                (reply,) = self.ledger.execute([Reserve(id, self._charges)])
            except BudgetUnavailable:
                self.ledger.execute([Release(id)])
                continue
            if isinstance(reply, Granted):
                self.spent.append(cost)
                self.ledger.execute([Settle(id, {"usd": cost})])

    async def awork(self, seed: int, stop: threading.Event) -> None:
        random = Random(seed)
        for number in self._numbers(stop):
            id, cost = f"{self.name}-{seed}-{number}", random.randint(0, CALL)
            try:
                (reply,) = await self.ledger.aexecute([Reserve(id, self._charges)])
            except BudgetUnavailable:
                await self.ledger.aexecute([Release(id)])
                continue
            if isinstance(reply, Granted):
                self.spent.append(cost)
                await self.ledger.aexecute([Settle(id, {"usd": cost})])
            await asyncio.sleep(0)

    async def several(self, stop: threading.Event) -> None:
        await asyncio.gather(*(self.awork(seed, stop) for seed in range(100, 100 + THREADS)))

    def _numbers(self, stop: threading.Event) -> Iterator[int]:
        number = 0
        while not stop.wait(0.001):
            yield number
            number += 1


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that keeps what it acknowledged."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@contextmanager
def at_work(workers: list[Worker]) -> Iterator[None]:
    """Threads, and tasks on an event loop, that spend until the end of the block."""
    stop = threading.Event()
    threads = [threading.Thread(target=worker.work, args=(seed, stop)) for worker in workers for seed in range(THREADS)]
    threads += [threading.Thread(target=lambda each=each: asyncio.run(each.several(stop))) for each in workers]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def balances(server: RedisServer) -> list[Balance]:
    """What the server says of the session and the user, to somebody who has time."""
    with RedisBackend.from_url(server.url, tenant="acme", deadline=30.0) as backend:
        (found,) = backend.ledger.execute([Read((SESSION, USER))])
    return list(cast(Any, found))


@contextmanager
def outages() -> Iterator[list[str]]:
    """One entry for each: a slow disk under the server is one, too."""
    heard: list[str] = []
    stop = subscribe(lambda name, attributes: heard.append(name) if name == "budget.away" else None)
    yield heard
    stop()


def test_what_was_spent_while_it_was_gone_is_charged_to_the_last_micro_dollar(server: RedisServer) -> None:
    """Killed in the middle of calls and started again: each call is charged once, nobody passed a cap."""
    workers = [Worker(server, f"w{number}") for number in range(WORKERS)]
    with outages() as away, at_work(workers):
        until(lambda: sum(map(len, (each.spent for each in workers))) > 200, "calls")
        server.kill()
        until(lambda: all(each.ledger.pending >= CAP // CALL // 2 for each in workers), "an outage for each worker")
        server.start()
        until(lambda: not any(each.ledger.pending for each in workers), "an end of it")
        until(lambda: balances(server)[0].spent > LIMIT - CALL, "the limit")
    for worker in workers:
        until(lambda worker=worker: not worker.ledger.rejoin(), "what the last calls left")  # type: ignore[misc]
    spent = sum(sum(each.spent) for each in workers)
    found = balances(server)
    for worker in workers:
        worker.backend.close()
    assert [(each.spent, each.reserved) for each in found] == [(spent, 0)] * 2
    assert LIMIT - CALL < spent <= LIMIT + len(away) * CAP


def test_a_process_spends_no_more_than_its_cap_while_it_is_gone(server: RedisServer) -> None:
    """A limit that is used up, and a server that cannot say so: what N processes get is N times the cap."""
    workers = [Worker(server, f"w{number}") for number in range(WORKERS)]
    workers[0].ledger.execute([Reserve("all", (Charge(SESSION, LIMIT), Charge(USER, LIMIT))), Settle("all")])
    server.kill()
    with at_work(workers):
        until(lambda: all(sum(each.spent) > CAP - CALL * 2 * THREADS for each in workers), "the caps")
    server.start()
    for worker in workers:
        until(lambda worker=worker: not worker.ledger.rejoin(), "its return")  # type: ignore[misc]
    alone = [sum(each.spent) for each in workers]
    found = balances(server)
    for worker in workers:
        worker.backend.close()
    assert all(CAP - CALL * 4 * THREADS < each <= CAP for each in alone)
    assert [(each.spent, each.reserved) for each in found] == [(LIMIT + sum(alone), 0)] * 2
