"""What lives long, ends or splits: caches, event loops, tasks, and processes that fork."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.checkpoint.cloudflare.recent import Recent
from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.errors import StoreUnavailable
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import BUSY, checkpoint

# Memory


class Sink:
    """A transport that takes everything and keeps nothing."""

    pace = Pace()

    def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        return []


def test_ten_thousand_threads_leave_no_trace_in_the_process() -> None:
    """Ten a second, each with a run of its own: what is remembered is what was written within two minutes."""
    clock = FakeClock()
    saver = CloudflareKVSaver(Sink(), clock=clock, group_window=0.0)  # type: ignore[arg-type]
    for number in range(10_000):
        saver.put(at(f"thread {number}"), checkpoint(uid(1)), about(1, run_id=f"run {number}"), {})
        clock.advance(0.1)
    store = saver._store
    assert len(store.recent._known) == len(store.recent._order) <= 2 * 1_202
    assert len(store._indexed) <= 6_001
    assert len(saver._link._threads._queue._active) < 10_000  # type: ignore[union-attr]
    clock.advance(601)
    for number in range(1_000):
        saver.put(at(f"later {number}"), checkpoint(uid(1)), about(1, run_id=f"later {number}"), {})
    assert len(store._indexed) == 1_000


@pytest.mark.parametrize("value", ["", "x" * 1_000], ids=len)
def test_the_cache_of_values_has_an_end(value: str) -> None:
    """Of many small values the keys are what takes room."""
    recent = Recent(FakeClock().now, 120.0, cached=100_000)
    for number in range(1_000):
        recent.read(f"{number:0500}", value)
    assert len(recent._values) == 100_000 // (500 + len(value) + 300)
    recent.deleted([f"{number:0500}" for number in range(1_000)])
    assert (len(recent._values), recent._size) == (0, 0)


# Event loops


def test_event_loops_that_come_and_go_leave_nothing_open() -> None:
    """A web framework's tests start hundreds; each has connections of its own, which are closed before it ends."""
    front = fronts.front()
    saver, clients = fronts.saver(front), list[httpx.AsyncClient]()
    aio = saver._link._loops._transport  # type: ignore[union-attr]

    async def use(number: int) -> None:
        await saver.aput(at(), checkpoint(uid(number)), about(number), {})
        clients.append(await aio._clients.get())  # type: ignore[attr-defined]

    for number in range(1, 31):
        asyncio.run(use(number))
    assert all(client.is_closed for client in clients)
    assert len(aio._clients._homes) <= 1  # type: ignore[attr-defined]
    assert len(saver._link._loops._commits._homes) <= 1  # type: ignore[union-attr]
    assert len([*saver.list(at())]) == 30


class Never:
    """An async transport whose writes never come back."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.arrived = asyncio.Event()

    async def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        self.arrived.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_nobody_waits_for_a_sender_that_was_cancelled() -> None:
    """Someone cancelled every task but their own; a run must not hang on a request that nobody sends any more."""
    transport = Never()
    saver = CloudflareKVSaver(async_transport=transport)  # type: ignore[arg-type]
    callers = [
        asyncio.create_task(saver.aput_writes(at(id=uid(1)), [("c", number)], task(number))) for number in range(3)
    ]
    await transport.arrived.wait()
    late = asyncio.create_task(saver.aput(at(), checkpoint(uid(1)), about(1), {}))
    await asyncio.sleep(0)
    for each in asyncio.all_tasks() - {asyncio.current_task(), *callers, late}:  # type: ignore[arg-type]
        each.cancel()
    outcomes: list[Any] = await asyncio.gather(*callers, late, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 4


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("group_commit", [True, False])
def test_a_child_uses_the_saver_that_its_parent_opened(group_commit: bool) -> None:
    """A server that loads first and forks then: connections are its own, and a lock that a thread held is not held."""
    front = fronts.front()
    with front.served() as place:
        terms = {"api_token": place.api_token, "group_commit": group_commit, "deadline": BUSY}
        saver = CloudflareKVSaver.from_conn_string(place.url, **terms)
        saver.put(at(), checkpoint(uid(1)), about(1), {})
        store, threads = saver._store, saver._link._threads
        assert threads is not None
        with store.recent._lock, store.stamps._lock, saver._link.owner.pace._lock, threads._changed:  # type: ignore[union-attr]
            if not (child := os.fork()):
                os._exit(_in_child(saver))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert saver.get_tuple(at(id=uid(2))) is not None
        saver.close()


def _in_child(saver: CloudflareKVSaver) -> int:
    """Reads what the parent wrote, and writes; 0 if it could."""
    signal.alarm(60)  # a lock that is still held would keep the test for ever
    try:
        found = saver.get_tuple(at())
        saver.put(at(id=uid(1)), checkpoint(uid(2)), about(2), {})
    except BaseException:
        return 1
    return 0 if found is not None and found.checkpoint["id"] == uid(1) else 2
