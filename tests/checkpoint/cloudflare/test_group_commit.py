"""Writes that are made at the same time travel together, and each caller learns of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_guard.checkpoint.cloudflare.commands import PutMany
from langgraph_guard.checkpoint.cloudflare.commits import MOST_CHARACTERS, Queue, Ticket
from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.checkpoint.cloudflare.saver import CloudflareKVSaver
from langgraph_guard.checkpoint.cloudflare.transport import Pair, Refused
from langgraph_guard.errors import ConfigError, StoreRefused
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv_front import KVFront

WINDOW = 0.01


def ticket(thread: str = "t", *, hurry: bool = True, value: str = "v") -> Ticket:
    """What one caller writes."""
    return Ticket(PutMany([Pair(f"{thread}{id(value)}", value)], thread, hurry))


def arrive(queue: Queue, now: float, *meanwhile: Ticket) -> None:
    """A request's whole way; what was written meanwhile."""
    sent = queue.take()
    for each in meanwhile:
        queue.add(each, now)
    for each in sent:
        each.settle()
    queue.landed(sent, now)


class Gate:
    """A transport whose writes wait until they are let through, so that a test decides what comes meanwhile."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.sent: list[list[str]] = []
        self.refused: set[str] = set()
        self.undone: set[str] = set()
        self.arrived = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        keys = [pair.key for pair in pairs]
        self.sent.append(keys)
        self.arrived.release()
        assert self.open.acquire(timeout=60)
        if any(part in key for key in keys for part in self.refused):
            raise Refused("HTTP 400")
        return [key for key in keys for part in self.undone if part in key]


class Writers:
    """Threads that put a checkpoint each, and what became of them."""

    def __init__(self, gate: Gate) -> None:
        clock = FakeClock()
        self._saver = CloudflareKVSaver(gate, group_window=0.0, clock=clock)  # type: ignore[arg-type]
        self._threads: list[threading.Thread] = []
        self.outcomes: dict[str, Exception | None] = {}
        self.queued = self._saver._link._threads._queue  # type: ignore[union-attr]

    def start(self, *names: str) -> None:
        """Returns when all of them wait."""
        before = len(self.queued._tickets)
        for name in names:
            self._threads.append(threading.Thread(target=self._put, args=(name,)))
            self._threads[-1].start()
        while len(self.queued._tickets) < before + len(names):
            self._threads[-1].join(0.001)

    def first(self, gate: Gate, name: str) -> None:
        """One whose request is on its way."""
        self._threads.append(threading.Thread(target=self._put, args=(name,)))
        self._threads[-1].start()
        assert gate.arrived.acquire(timeout=60)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _put(self, name: str) -> None:
        try:
            self._saver.put(at(name), checkpoint(uid(1)), about(1), {})
            self.outcomes[name] = None
        except SystemExit:
            pass
        except Exception as error:
            self.outcomes[name] = error


def threads_of(keys: list[str]) -> set[str]:
    """Whose keys these are."""
    return {key.split("/")[3] for key in keys}


# When a request leaves: the queue alone


def test_the_checkpoint_of_a_run_that_is_alone_leaves_at_once() -> None:
    """Nobody else is there to wait for."""
    queue = Queue(WINDOW)
    queue.add(ticket(), now=5.0)
    assert queue.wait(now=5.0) == 0


def test_writes_of_tasks_wait_for_the_checkpoint_that_follows_them() -> None:
    """So that a superstep is one request; no run waits for its tasks' writes."""
    queue = Queue(WINDOW)
    queue.add(ticket(hurry=False), now=5.0)
    assert queue.wait(now=5.0) == pytest.approx(WINDOW)
    queue.add(ticket(), now=5.001)
    assert queue.wait(now=5.001) == 0
    assert len(queue.take()) == 2


def test_writes_whose_checkpoint_does_not_follow_leave_soon() -> None:
    """An interrupt is stored though the run is over."""
    queue = Queue(WINDOW)
    queue.add(ticket(hurry=False), now=5.0)
    assert queue.wait(now=5.0 + WINDOW) == 0


def test_runs_that_are_active_together_wait_for_each_other() -> None:
    """For a moment, from when the first of them wrote, or the last request came back."""
    queue = Queue(WINDOW)
    queue.add(ticket("c"), now=4.9)
    queue.take()
    queue.add(ticket("a"), now=5.0)
    queue.add(ticket("b"), now=5.002)
    assert queue.wait(now=5.002) == pytest.approx(WINDOW - 0.002)
    queue.take()
    queue.add(ticket("a"), now=5.1)
    queue.landed([], now=5.2)
    assert queue.wait(now=5.2) == pytest.approx(WINDOW)


def test_runs_that_are_all_here_leave_at_once() -> None:
    """The last one that is active came: nobody is left to wait for. One that only wrote for a task is still to come."""
    queue = Queue(WINDOW)
    for thread in "ab":
        queue.add(ticket(thread, hurry=False), now=5.0)
    queue.add(ticket("a"), now=5.0)
    one = queue.wait(now=5.0)
    queue.add(ticket("b"), now=5.0)
    assert (one, queue.wait(now=5.0)) == (pytest.approx(WINDOW), 0)


def test_a_run_is_alone_again_when_the_others_are_done() -> None:
    """It was one of fifty a second ago."""
    queue = Queue(WINDOW)
    queue.add(ticket("a"), now=5.0)
    queue.take()
    queue.add(ticket("b"), now=6.0)
    assert queue.wait(now=6.0) == 0


def test_runs_that_go_one_after_another_wait_in_vain_once() -> None:
    """A process that serves one caller at a time must not pay the window for each put."""
    queue, waits = Queue(WINDOW), []
    for turn, thread in enumerate("abcd"):
        now = 5.0 + turn / 10
        queue.add(ticket(thread), now)
        waits.append(queue.wait(now))
        arrive(queue, now + WINDOW)
    assert waits == [0, pytest.approx(WINDOW), 0, 0]


def test_runs_that_meet_wait_for_each_other_again() -> None:
    """That nobody came once says little of fifty runs."""
    queue = Queue(WINDOW)
    for thread in "ab":
        queue.add(ticket(thread), now=5.0)
        arrive(queue, now=5.0)
    queue.add(ticket("a"), now=5.1)
    alone = queue.wait(now=5.1)
    arrive(queue, 5.3, ticket("b"))
    assert (alone, queue.wait(now=5.3)) == (0, pytest.approx(WINDOW))


def test_a_request_is_not_larger_than_it_may_be() -> None:
    """What does not fit goes with the next; what is too large for any request goes alone."""
    queue = Queue(WINDOW)
    for size in (MOST_CHARACTERS // 2, MOST_CHARACTERS // 2 + 1, 1, MOST_CHARACTERS + 1):
        queue.add(ticket(value="x" * size), now=5.0)
    assert queue.wait(now=5.0) == 0
    assert [len(queue.take()) for _ in range(3)] == [1, 2, 1]
    assert not queue


# Who learns what


def test_what_is_written_while_a_request_is_on_its_way_shares_the_next() -> None:
    """Any number of runs, two requests."""
    gate = Gate()
    writers = Writers(gate)
    writers.first(gate, "a")
    writers.start("b", "c", "d")
    gate.open.release(2)
    writers.join()
    assert [threads_of(keys) for keys in gate.sent] == [{"a"}, {"b", "c", "d"}]
    assert writers.outcomes == dict.fromkeys("abcd")


def test_a_key_that_was_not_written_fails_its_caller_alone() -> None:
    """Part of a bulk write may fail; the others' checkpoints are stored."""
    gate = Gate()
    gate.undone = {"/c/"}
    writers = Writers(gate)
    writers.first(gate, "a")
    writers.start("b", "c")
    gate.open.release(10)
    writers.join()
    assert {name for name, error in writers.outcomes.items() if error} == {"c"}
    assert isinstance(writers.outcomes["c"], StoreRefused)


def test_a_request_that_is_refused_for_one_caller_is_sent_again_for_the_others() -> None:
    """Which of them the server did not like, it does not say."""
    gate = Gate()
    gate.refused = {"/c/"}
    writers = Writers(gate)
    writers.first(gate, "a")
    writers.start("b", "c", "d")
    gate.open.release(10)
    writers.join()
    assert {name for name, error in writers.outcomes.items() if error} == {"c"}


def test_a_sender_that_is_interrupted_leaves_the_rest_to_the_others() -> None:
    """Ctrl-C in one thread must not hang fifty."""
    gate = Gate()
    writers = Writers(gate)
    writers.first(gate, "a")
    gate.put_many, put_many = _interrupted_once(gate.put_many)  # type: ignore[method-assign]
    writers.start("b", "c")
    gate.open.release(10)
    writers.join()
    assert len(writers.outcomes) == 2  # one of the two was interrupted
    assert set(writers.outcomes.values()) == {None}
    assert put_many


def _interrupted_once(put_many: Any) -> tuple[Any, Any]:
    interrupted: list[bool] = []

    def send(pairs: Sequence[Pair]) -> list[str]:
        if not interrupted:
            interrupted.append(True)
            raise SystemExit
        result: list[str] = put_many(pairs)
        return result

    return send, put_many


async def test_a_task_that_is_cancelled_takes_nobody_along() -> None:
    """Its write may or may not happen; the others' do, and are told."""
    front = fronts.front()
    saver = fronts.saver(front, group_window=0.02)
    calls = [
        asyncio.ensure_future(saver.aput_writes(at(f"t{who}", id=uid(1)), [("c", who)], task(1))) for who in range(3)
    ]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [
        asyncio.CancelledError,
        type(None),
        type(None),
    ]


# In graphs


def writes(front: KVFront) -> int:
    """Bulk writes so far."""
    return front.calls.count("PUT bulk")


async def test_a_superstep_of_a_chain_is_one_bulk_write() -> None:
    """Its checkpoint, and what its task wrote. Every write is billed; every request counts for the rate limit."""
    front = fronts.front()
    graph = graphs.steps(fronts.saver(front, group_window=30.0), "abcde")
    await graph.ainvoke({"items": ["in"]}, at())
    found = [each async for each in graph.aget_state_history(at())]
    assert len(found) == 7
    assert writes(front) <= 7


@pytest.mark.parametrize("way", ["threads", "tasks"])
async def test_without_group_commit_each_call_is_a_request(way: str) -> None:
    """What sharing saves is measured against this; nobody waits for anybody."""
    front = fronts.front()
    graph = graphs.steps(fronts.saver(front, group_commit=False), "abcde")
    if way == "tasks":
        await asyncio.gather(*(graph.ainvoke({"items": ["in"]}, at(f"t{who}")) for who in range(3)))
    else:
        for who in range(3):
            await asyncio.to_thread(graph.invoke, {"items": ["in"]}, at(f"t{who}"))
    assert writes(front) == 3 * (7 + 6)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_without_group_commit_a_failure_is_told_too(way: str) -> None:
    """And only to its caller."""
    front = fronts.front()
    front.store.refuse("/c/", times=100)
    saver = fronts.saver(front, group_commit=False)
    with pytest.raises(StoreRefused, match="1 of 1 keys"):
        if way == "async":
            await saver.aput(at("c"), checkpoint(uid(1)), about(1), {})
        else:
            saver.put(at("c"), checkpoint(uid(1)), about(1), {})
    await saver.aput(at("b"), checkpoint(uid(1)), about(1), {})
    assert len([*saver.list(None)]) == 1


@pytest.mark.parametrize("way", ["threads", "tasks"])
async def test_fifty_runs_share_their_requests(way: str) -> None:
    """At most one request for five supersteps; alone it is one for each."""
    front = fronts.front()
    graph = graphs.steps(fronts.saver(front, group_window=0.5), "abcde")
    if way == "tasks":
        await asyncio.gather(*(graph.ainvoke({"items": ["in"]}, at(f"t{who}")) for who in range(50)))
    else:
        running = [threading.Thread(target=graph.invoke, args=({"items": ["in"]}, at(f"t{who}"))) for who in range(50)]
        for thread in running:
            thread.start()
        for thread in running:
            await asyncio.to_thread(thread.join)
    assert writes(front) <= 50 * 7 * 0.2
    assert len([*fronts.saver(front).list(None)]) == 50 * 7


def test_a_saver_for_event_loops_only_says_so() -> None:
    """A Workers binding has no blocking calls."""
    saver = CloudflareKVSaver(async_transport=fronts.transport(fronts.front()).aio)
    with pytest.raises(ConfigError, match="event loops only"):
        saver.get_tuple(at())
