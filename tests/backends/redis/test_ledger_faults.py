"""The network and the server fail while money is spent: the books are right to the micro-USD afterwards."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
import redis.sentinel

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.policies.ledger import Account, Balance, Charge, Expire, Granted, Read, Reserve, Settle
from langgraph_guard.testing import FakeClock, FaultProxy
from tests.servers.redis import HOST, RedisSentinel, RedisServer, until

WINDOWS: Final = {"session": None, "user": "day", "tenant": "month"}
FOUR: Final = (
    *(Account("acme", scope, "1", "usd", window) for scope, window in WINDOWS.items()),
    Account("", "global", "", "usd", "hour"),
)
WORKERS: Final = 16


def charges(amount: int, limit: int | None = None) -> tuple[Charge, ...]:
    """The same charge on four owners."""
    return tuple(Charge(account, amount, limit) for account in FOUR)


def balances(ledger: RedisLedger) -> list[tuple[int, int]]:
    """What each of the four has spent, and what is held."""
    (found,) = ledger.execute([Read(FOUR)])
    assert isinstance(found, tuple)
    return [(each.spent, each.reserved) for each in found if isinstance(each, Balance)]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The network between the ledger and the server."""
    with FaultProxy(HOST, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: FaultProxy, prefix: str) -> Iterator[Callable[..., RedisLedger]]:
    """Makes ledgers whose way to the server leads through the proxy."""
    links: list[RedisLink] = []

    def make(deadline: float = 30.0, **options: Any) -> RedisLedger:
        links.append(RedisLink.from_url(f"redis://{HOST}:{proxy.port}", deadline=deadline))
        return RedisLedger(links[-1], prefix=prefix, **options)

    yield make
    for link in links:
        link.close()


def size_of(proxy: FaultProxy, act: Callable[[], Any]) -> int:
    """How many bytes an act sends."""
    proxy.forget()
    act()
    return proxy.request_bytes


@pytest.mark.parametrize("step", ["reserve", "settle"])
@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_request_that_tears_at_any_byte_is_done_once(
    proxy: FaultProxy, distant: Callable[..., RedisLedger], step: str, direction: Any
) -> None:
    """Half a request is none, and a lost answer is asked for again."""
    ledger = distant(clock=FakeClock())
    ledger.execute([Reserve("first", charges(5)), Settle("first")])
    acts: dict[str, Callable[[str], Any]] = {
        "reserve": lambda id: ledger.execute([Reserve(id, charges(5, 10**9))]),
        "settle": lambda id: ledger.execute([Settle(id, {"usd": 3})]),
    }
    acts["reserve"]("begin")
    size = size_of(proxy, lambda: acts[step]("begin"))
    if direction == "reply":
        size = proxy.reply_bytes
    if step == "reserve":
        acts["settle"]("begin")
    places = range(0, size, 1 if direction == "reply" else 7)
    for at in places:
        id = f"r{at:04d}"
        if step == "settle":
            acts["reserve"](id)
        proxy.cut_after(at, direction)
        acts[step](id)
        proxy.heal()
        if step == "reserve":
            acts["settle"](id)
    assert balances(ledger) == [(5 + 3 + 3 * len(places), 0)] * 4


def test_an_outage_is_waited_out(proxy: FaultProxy, distant: Callable[..., RedisLedger]) -> None:
    """A server that restarts within the deadline costs nobody a run."""
    ledger = distant()
    ledger.execute([Reserve("a", charges(5))])
    proxy.refuse()
    healing = threading.Timer(1.5, proxy.heal)
    healing.start()
    ledger.execute([Settle("a", {"usd": 3})])
    healing.join()
    assert balances(ledger) == [(3, 0)] * 4


def test_a_silent_server_is_unavailable_within_the_deadline(
    proxy: FaultProxy, distant: Callable[..., RedisLedger]
) -> None:
    """And what was asked for while nobody answered is done at most once, when asked for again."""
    ledger = distant(0.5)
    ledger.execute([Read(FOUR)])
    proxy.blackhole()
    with pytest.raises(BudgetUnavailable) as caught:
        ledger.execute([Reserve("a", charges(5))])
    proxy.heal()
    assert 0 < caught.value.waited < 30
    patient = distant()
    patient.execute([Reserve("a", charges(5))])
    assert balances(patient) == [(0, 5)] * 4


def spend(ledger: RedisLedger, worker: int, calls: int) -> int:
    """Make calls of random size, each as often as it takes; what they cost."""
    dice = random.Random(worker)
    cost = 0
    for call in range(calls):
        held = dice.randint(1, 30)
        (reply,) = _insist(ledger, Reserve(f"{worker}-{call}", charges(held, 10**9)))
        assert isinstance(reply, Granted)
        actual = dice.randint(0, held)
        _insist(ledger, Settle(f"{worker}-{call}", {"usd": actual}))
        cost += actual
    return cost


def _insist(ledger: RedisLedger, command: Any) -> list[Any]:
    for _ in range(100):
        try:
            return ledger.execute([command])
        except BudgetUnavailable:
            continue
    raise AssertionError("it never came back")


def written(server: RedisServer) -> int:
    """Bytes of its append-only file, wherever it keeps it."""
    return sum(each.stat().st_size for each in server.folder.rglob("*aof*") if each.is_file())


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(prefix: str) -> None:
    """kill -9 of Redis with its append-only file, under load: the difference is 0."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        link = RedisLink.from_url(server.url)
        ledger = RedisLedger(link, prefix=prefix)
        with ThreadPoolExecutor(WORKERS) as pool:
            costs = [pool.submit(spend, ledger, worker, 25) for worker in range(WORKERS)]
            for _ in range(3):
                enough = written(server) + 20_000
                until(lambda: written(server) > enough or all(each.done() for each in costs), "load")  # noqa: B023 - run now
                server.restart()
            total = sum(each.result() for each in costs)
        assert balances(ledger) == [(total, 0)] * 4
        link.close()


def test_tasks_share_a_ledger_through_a_restart(prefix: str) -> None:
    """The other world: an event loop whose connections all break at once."""

    async def work(ledger: RedisLedger, worker: int) -> int:
        cost = 0
        for call in range(10):
            await ledger.aexecute([Reserve(f"{worker}-{call}", charges(9, 10**9))])
            await ledger.aexecute([Settle(f"{worker}-{call}", {"usd": worker})])
            cost += worker
        return cost

    async def main(server: RedisServer) -> int:
        link = RedisLink.from_url(server.url, deadline=60.0)
        ledger = RedisLedger(link, prefix=prefix)
        await ledger.aexecute([Read(FOUR)])  # connected: a server that was never there is another story
        tasks = [asyncio.create_task(work(ledger, worker)) for worker in range(WORKERS)]
        await asyncio.sleep(0)
        await asyncio.to_thread(server.restart)
        total = sum(await asyncio.gather(*tasks))
        (found,) = await ledger.aexecute([Read(FOUR)])
        assert {(each.spent, each.reserved) for each in found} == {(total, 0)}  # type: ignore[union-attr]
        await link.aclose()
        return total

    with RedisServer(appendonly="yes", appendfsync="always") as server:
        assert asyncio.run(main(server)) == 10 * sum(range(WORKERS))


def test_many_orphans_are_closed_in_short_steps(redis_server: RedisServer, prefix: str) -> None:
    """A fleet died. Whoever comes next closes them page by page, and no page keeps the others waiting for long."""
    clock, orphans = FakeClock(), 1_000
    link = RedisLink.from_url(redis_server.url, deadline=60.0)
    ledger = RedisLedger(link, clock, prefix=prefix)
    ledger.execute([Reserve("first", charges(1), lease=60.0)])
    clock.advance(60)
    ledger.execute([Expire()])
    for number in range(orphans):
        ledger.execute([Reserve(f"r{number}", charges(1), lease=60.0)])
    clock.advance(60)
    redis_server.forget_calls()
    (closed,) = ledger.execute([Expire()])
    steps = redis_server.calls()["evalsha"]
    found = balances(ledger)
    link.close()
    assert (closed, steps, found) == (orphans, 2 * orphans // 25 + 1, [(orphans + 1, 0)] * 4)


# Fail-over


@pytest.mark.slow
def test_a_fail_over_loses_nothing_that_survivors_are_at(redis_sentinel: RedisSentinel, prefix: str) -> None:
    """Reservations that the replica never saw are charged by whoever made them. What is lost is what was acknowledged
    last by workers that died, or was settled already: nobody is left who knows."""
    master = redis.sentinel.Sentinel(redis_sentinel.addresses).master_for(redis_sentinel.service)
    link = RedisLink(master, deadline=60.0)
    ledger = RedisLedger(link, prefix=prefix)
    ledger.execute([Reserve("old", charges(30)), Settle("old", {"usd": 20})])
    until(lambda: redis_sentinel.replica.tell("EXISTS", f"{{{prefix}:budget}}:h:aold") == 1, "replication")
    with redis_sentinel.replica.frozen():
        redis_sentinel.master.tell("CLIENT", "KILL", "TYPE", "replica")
        ledger.execute([Reserve("open", charges(30))])
        ledger.execute([Reserve("closed", charges(30)), Settle("closed", {"usd": 5})])
        redis_sentinel.master.kill()
    ledger.execute([Settle("open", {"usd": 12})])
    found = balances(ledger)
    link.close()
    assert found == [(32, 0)] * 4  # the 5 of "closed" are within the stated bound
