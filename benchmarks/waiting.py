"""Limits that `wait=`, with 32 who wait: how much of the rate they get, what they ask of the store, how late they are.

Sixteen calls are allowed per period, for 32 threads that always want another one. A minute takes a second here, on a
clock of ours, so that some periods are over before anybody is tired. The peers:

limits            alisaifee's, a fixed window of a second: ask, and if the answer is no, ask when there is room again,
                  and sleep until then, 10 ms at the least
LangChain         `InMemoryRateLimiter`, a token bucket in the process, at the same rate, asked as it is by default

Late is how long after the period began, or after its token was due, a call is granted: the median. Asked is what goes
to the store (for LangChain: looks at the bucket) for each call that is granted. Ours settles each call, too.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from queue import SimpleQueue
from statistics import median
from typing import Any, Final

import redis
from langchain_core.rate_limiters import InMemoryRateLimiter

from benchmarks.measure import Row
from benchmarks.servers import HOST, servers
from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend
from langgraph_guard.backends.protocols import SystemClock
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.policies.ledger import Command, Reply, Wait
from langgraph_guard.testing import ScriptedChatModel, says

RATE, WAITERS, PERIODS = 16, 32, 5
TINY: Final = (4, 2)
"""Waiters, and periods."""

HASTE: Final = 60
"""Seconds of our clock in a second."""


class Hurried(SystemClock):
    """A minute takes a second."""

    def now(self) -> float:
        return super().now() * HASTE

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / HASTE)

    async def asleep(self, seconds: float) -> None:
        await super().asleep(seconds / HASTE)

    def sleep_until(self, woken: SimpleQueue[None], seconds: float) -> bool:
        return super().sleep_until(woken, seconds / HASTE)

    async def asleep_until(self, woken: asyncio.Event, seconds: float) -> bool:
        return await super().asleep_until(woken, seconds / HASTE)


class Counted:
    """A ledger, and how many commands it was given. To wait is to ask nothing."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.instant: bool = inner.instant
        self.asked = 0

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self.asked += sum(not isinstance(command, Wait) for command in commands)
        replies: list[Reply] = self._inner.execute(commands)
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return self.execute(commands)


class Ours:
    """A model behind a limit of so many calls a minute."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        limit = Limit("model_calls", RATE, per="global", window="minute", wait=3_600)
        node = BudgetCheckNode(Budget([limit]), backend)
        self._model = node.model(ScriptedChatModel([says("fine", usage=(1, 1))], cycle=True))

    @property
    def asked(self) -> int:
        asked: int = self.backend.ledger.asked
        return asked

    def warm(self) -> None:
        self.acquire()

    def acquire(self) -> None:
        self._model.invoke("?")

    def lates(self, granted: list[float], began: float) -> list[float]:
        return [at % 1 for at in granted if at >= began + 1]  # in the first period, nobody waits

    def close(self) -> None:
        pass


class OnRedis(Ours):
    """The same; each question is a script that the server counts."""

    def __init__(self, port: int) -> None:
        self._server: Any = redis.Redis(host=HOST, port=port)
        terms: Any = {"prefix": f"w{time.time_ns()}", "clock": Hurried(), "deadline": 600.0}
        super().__init__(RedisBackend.from_url(f"redis://{HOST}:{port}", **terms))

    @property
    def asked(self) -> int:
        return int(self._server.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))

    def close(self) -> None:
        self.backend.close()
        self._server.close()


def in_memory() -> Ours:
    backend: Any = MemoryBackend(clock=Hurried())
    backend.ledger = Counted(backend.ledger)
    return Ours(backend)


class OfLimits:
    """`limits`, on a storage of its own."""

    def __init__(self, url: str) -> None:
        from limits import RateLimitItemPerSecond
        from limits.storage import storage_from_string
        from limits.strategies import FixedWindowRateLimiter

        self.asked = 0
        self._item = RateLimitItemPerSecond(RATE)
        self._limiter = FixedWindowRateLimiter(storage_from_string(url))
        self._name = f"crowd-{time.time_ns()}"

    def warm(self) -> None:
        self._limiter.hit(self._item, "somebody else")  # the window of the crowd begins with its first call

    def acquire(self) -> None:
        self.asked += 1
        while not self._limiter.hit(self._item, self._name):
            self.asked += 3  # the count, its expiry, and then again whether there is room
            ends = self._limiter.get_window_stats(self._item, self._name).reset_time
            time.sleep(max(0.01, ends - time.time()))

    def lates(self, granted: list[float], began: float) -> list[float]:
        """Its windows follow the first call of each, so each is late by what those before it were."""
        return [at - granted[0] - number // RATE for number, at in enumerate(granted) if number >= RATE]

    def close(self) -> None:
        pass


class Bucket(InMemoryRateLimiter):
    """LangChain's, and how often it was looked at."""

    def __init__(self) -> None:
        super().__init__(requests_per_second=RATE)
        self.asked = 0

    def warm(self) -> None:
        self.acquire()

    def _consume(self) -> bool:
        self.asked += 1
        return super()._consume()

    def lates(self, granted: list[float], began: float) -> list[float]:
        return [max(0.0, at - last - 1 / RATE) for last, at in pairwise(granted)]

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Found:
    """Of one crowd: the share of the rate that it got, what it asked for each call, and by how much calls are late."""

    share: float
    asked: float
    late: float


def rows(rounds: int = 3) -> Iterator[Row]:
    waiters, periods = (WAITERS, PERIODS) if rounds > 1 else TINY
    with servers() as there:
        port = there.ports["redis"]
        makes: dict[str, Callable[[], Any]] = {"memory": in_memory, "redis": lambda: OnRedis(port)}
        if find_spec("limits") is None:
            yield Row.skipped("waiting", "limits is not installed")
        else:
            makes |= {
                "limits, memory": lambda: OfLimits("memory://"),
                "limits, redis": lambda: OfLimits(f"redis://{HOST}:{port}"),
            }
        makes["InMemoryRateLimiter"] = Bucket
        found = {kind: middle([crowd(make(), waiters, periods) for _ in range(rounds)]) for kind, make in makes.items()}
        for store in ("memory", "redis"):
            peers = [peer for peer in found if peer in (f"limits, {store}", "InMemoryRateLimiter")]
            for peer in peers:
                yield from compared(store, found[store], peer, found[peer], waiters)


def compared(store: str, ours: Found, name: str, peer: Found, waiters: int) -> Iterator[Row]:
    of = f"of {waiters} waiters, on {store}, against {name}"
    share = ratio(ours.share, peer.share)
    asked = ratio(ours.asked, peer.asked)
    yield Row(f"waiting: share of the rate {of}", f"{ours.share:.2f}", f"{peer.share:.2f}", share)
    yield Row(f"waiting: asked per call {of}", f"{ours.asked:.1f}", f"{peer.asked:.1f}", asked)
    late = (f"{1_000 * each.late:.1f} ms" for each in (ours, peer))
    yield Row(f"waiting: late {of}", *late, ratio(ours.late, peer.late))


def ratio(ours: float, peer: float) -> float:
    """A peer that got nothing, or was never late, is no zero to divide by."""
    return ours / max(peer, 1e-6)


def crowd(limiter: Any, waiters: int, periods: int) -> Found:
    """Let the crowd in with the beginning of a period, and note what it is granted in so many."""
    granted: list[float] = []
    limiter.warm()  # everything is loaded, in a period before
    time.sleep(1 - time.time() % 1)
    began, before = float(int(time.time())), limiter.asked

    def work() -> None:
        while True:
            limiter.acquire()
            at = time.time()
            if at >= began + periods:
                return
            granted.append(at)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(waiters)]
    for thread in threads:
        thread.start()
    while time.time() < began + periods:
        time.sleep(0.05)
    asked, number = limiter.asked - before, len(granted)
    for thread in threads:
        thread.join()
    limiter.close()
    late = median(limiter.lates(sorted(granted), began) or [0.0])
    return Found(number / (RATE * periods), asked / max(1, number), late)


def middle(found: list[Found]) -> Found:
    return Found(*(median(getattr(each, name) for each in found) for name in ("share", "asked", "late")))
