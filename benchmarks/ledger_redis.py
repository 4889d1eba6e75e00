"""The ledger on Redis, with 32 to 64 workers: how many calls it takes, and what they spend together.

One call is reserve and settle on four accounts. The first peer makes as many round trips that only add: two times
INCRBYFLOAT by redis-py, the physical limit. The second is the usual circuit breaker: it reads what each of the four
spent, compares, and adds to each with an expiry, as articles show it: eight round trips, and nothing holds them
together. All are threads of one process, nearby and behind a proxy that is 3 ms away.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any, Final, Protocol

import redis

from benchmarks.calling import Clock
from benchmarks.measure import Row
from benchmarks.servers import HOST, away, servers
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.policies.ledger import Account, Charge, Granted, Reserve, Settle

WORKERS: Final = (32, 48, 64)
CALLS: Final = 1_500
TINY: Final = ((4,), 40)
EACH_WAY: Final = 0.0015
"""Seconds that the proxy waits."""

LIMIT: Final = 500_000
HIGHEST, COST = 20_000, 15_000
"""What a call may cost, and what it does cost, in micro-USD."""

ACCOUNTS: Final = (
    Account("acme", "session", "s1", "usd"),
    Account("acme", "user", "42", "usd", "day"),
    Account("acme", "tenant", "acme", "usd", "month"),
    Account("", "global", "", "usd", "hour"),
)


class Spender(Protocol):
    """Spends the cost of one call, if it may."""

    def spend(self) -> bool: ...
    def close(self) -> None: ...


class Ledger:
    """Reserve, settle."""

    def __init__(self, port: int, workers: int, limit: int) -> None:
        terms = {"max_connections": workers}
        url = f"redis://{HOST}:{port}"
        prefix = uuid.uuid4().hex
        self._backend = RedisBackend.from_url(url, tenant="acme", prefix=prefix, deadline=60.0, connection_args=terms)
        self._execute = self._backend.ledger.execute
        self._charges = tuple(Charge(account, HIGHEST, limit) for account in ACCOUNTS)

    def spend(self) -> bool:
        id = uuid.uuid4().hex
        (reply,) = self._execute([Reserve(id, self._charges)])
        if isinstance(reply, Granted):
            self._execute([Settle(id, {"usd": COST})])
        return isinstance(reply, Granted)

    def close(self) -> None:
        self._backend.close()


class Bare:
    """Two additions."""

    def __init__(self, port: int, workers: int, limit: int) -> None:
        self.client: Any = redis.Redis(host=HOST, port=port, max_connections=workers, socket_timeout=60)
        self.name = uuid.uuid4().hex

    def spend(self) -> bool:
        self.client.incrbyfloat(self.name, HIGHEST / 1e6)
        self.client.incrbyfloat(self.name, (COST - HIGHEST) / 1e6)
        return True

    def close(self) -> None:
        self.client.close()


class CheckThenAdd(Bare):
    """Get, compare, add."""

    def __init__(self, port: int, workers: int, limit: int) -> None:
        super().__init__(port, workers, limit)
        self._names = [f"{self.name}-{account.scope}" for account in ACCOUNTS]
        self._limit = limit / 1e6

    def spend(self) -> bool:
        for name in self._names:
            if float(self.client.get(name) or 0) + COST / 1e6 > self._limit:
                return False
        for name in self._names:
            with self.client.pipeline() as both:
                both.incrbyfloat(name, COST / 1e6).expire(name, 86_400).execute()
        return True


KINDS: Final[dict[str, Callable[[int, int, int], Spender]]] = {
    "ours": Ledger,
    "bare": Bare,
    "check, then add": CheckThenAdd,
}


def rows(rounds: int) -> Iterator[Row]:
    crowds, calls = (WORKERS, CALLS) if rounds > 1 else TINY
    with servers() as there, ExitStack() as stack:
        near = there.ports["redis"]
        far = stack.enter_context(away(near, EACH_WAY))
        for workers in crowds:
            yield from compared("nearby", near, workers, calls, rounds)
            yield from compared(f"{2_000 * EACH_WAY:.0f} ms away", far, workers, calls, rounds)
        yield overspend(far, crowds[-1], rounds)


def compared(where: str, port: int, workers: int, calls: int, rounds: int) -> Iterator[Row]:
    ours, bare, usual = (each for each in rates(port, workers, calls, rounds))
    claim = f"ledger: redis {where}, {workers} threads, reserve and settle 4 limits against"
    shown = [f"{each:,.0f} calls/s" for each in (ours, bare, usual)]
    yield Row(f"{claim} 2 INCRBYFLOAT", shown[0], shown[1], ours / bare, "≥ 0.50", ours / bare >= 0.5)
    is_far = where != "nearby"
    holds = ours / usual >= 2.5 if is_far else None
    yield Row(f"{claim} check-then-add", shown[0], shown[2], ours / usual, "≥ 2.50" if is_far else "–", holds)


def rates(port: int, workers: int, calls: int, rounds: int) -> list[float]:
    """Calls per second of each kind: medians of rounds that take turns."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for at in range(rounds):
        for kind in list(KINDS)[:: -1 if at % 2 else 1]:
            found[kind].append(rate(KINDS[kind](port, workers, 2**50), workers, calls))
    return [median(each) for each in found.values()]


def rate(spender: Spender, workers: int, calls: int) -> float:
    each = max(1, calls // workers)
    spender.spend()  # connected, its scripts loaded

    def work() -> None:
        for _ in range(each):
            spender.spend()

    return each * workers / in_threads(work, workers, spender)


def overspend(port: int, workers: int, rounds: int) -> Row:
    """The worst of some trials, as a share of the limit."""
    ours, usual = (max(spent(kind, port, workers) for _ in range(rounds)) / LIMIT for kind in (Ledger, CheckThenAdd))
    claim = f"ledger: redis, spent/limit of {workers} threads against check-then-add, worst of {rounds}"
    return Row(claim, f"{ours:.2f}", f"{usual:.2f}", ours / usual, "≤ 1", ours <= 1)


def spent(kind: Callable[[int, int, int], Spender], port: int, workers: int) -> int:
    spender = kind(port, workers, LIMIT)
    granted: list[int] = []

    def work() -> None:
        while spender.spend():
            granted.append(COST)

    in_threads(work, workers, spender)
    return sum(granted)


def in_threads(work: Callable[[], None], workers: int, spender: Spender) -> float:
    """Seconds until all of them have done it, from the moment when all are there."""
    start = threading.Barrier(workers + 1)
    failed: list[BaseException] = []

    def caught() -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=caught) for _ in range(workers)]
    for thread in threads:
        thread.start()
    start.wait()
    with Clock() as clock:
        for thread in threads:
            thread.join()
    spender.close()
    if failed:
        raise failed[0]
    return clock.value
