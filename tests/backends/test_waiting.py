"""Waiting for room: who is woken, who is left behind, and what a real clock does about it."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import Final

import pytest

from langgraph_guard.backends.protocols import SystemClock, WakingClock
from langgraph_guard.backends.waiting import Waiters
from langgraph_guard.policies.ledger import Account, Charge, Owner, Wait
from langgraph_guard.testing import FakeClock

USER: Final = Account("acme", "user", "42", "usd", "day")
THEY: Final = Owner("acme", "user", "42")
WANTED: Final = Wait(86_400.0, (Charge(USER, 1, 100),))
PATIENCE: Final = 60.0


class Interrupted(FakeClock):
    """A clock on which Ctrl-C falls into every sleep."""

    def sleep(self, seconds: float) -> None:
        raise KeyboardInterrupt


def never() -> bool:
    """No room, whenever somebody looks."""
    return False


def test_an_interrupted_wait_leaves_nobody_behind() -> None:
    """Ctrl-C in a notebook, a hundred times a day: each would be woken for ever."""
    waiters = Waiters(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        waiters.wait(WANTED, never)
    assert not waiters


@pytest.mark.parametrize("freed", [{USER}, {THEY}, {USER._replace(unit="tokens")}, {THEY._replace(id="43")}, set()])
def test_only_those_are_woken_who_wait_for_what_was_freed(freed: set[Account | Owner]) -> None:
    """Sixty-four that wait for one account need not look each time that another one is settled."""
    looks: list[bool] = []
    waiters = Waiters(FakeClock())

    def look() -> bool:
        looks.append(True)
        if len(looks) == 1:
            waiters.wake(freed)
        return len(looks) > 1

    waiters.wait(WANTED, look)
    assert len(looks) == (2 if freed & {USER, THEY} else 1)


def test_on_a_clock_that_wakes_nobody_a_wait_lasts_to_its_end() -> None:
    """A clock of the user's own need not know of any of this."""
    clock = FakeClock()
    assert not isinstance(clock, WakingClock)
    Waiters(clock).wait(WANTED, never)
    assert clock.slept == [86_400.0]


def test_the_machines_clock_wakes_a_thread() -> None:
    """From another thread, before a day is over."""
    waiters, looked, room = Waiters(SystemClock()), threading.Event(), threading.Event()

    def look() -> bool:
        looked.set()
        return room.is_set()

    thread = threading.Thread(target=waiters.wait, args=(WANTED, look), daemon=True)
    thread.start()
    assert looked.wait(PATIENCE)
    room.set()
    waiters.wake({USER})
    thread.join(PATIENCE)
    assert not thread.is_alive()


async def test_the_machines_clock_wakes_a_task_from_another_thread() -> None:
    """A worker's thread settles; an event loop of the same process has been waiting for it."""
    waiters, looked, room = Waiters(SystemClock()), asyncio.Event(), threading.Event()

    async def look() -> bool:
        looked.set()
        return room.is_set()

    task = asyncio.create_task(waiters.await_(WANTED, look))
    await looked.wait()
    room.set()
    await asyncio.to_thread(waiters.wake, {USER})
    await asyncio.wait_for(task, PATIENCE)
    assert not waiters


async def test_the_machines_clock_wakes_nobody_without_a_reason() -> None:
    """The time is over, and that is what it says."""
    clock = SystemClock()
    assert clock.sleep_until(SimpleQueue(), 0.001) is False
    assert await clock.asleep_until(asyncio.Event(), 0.001) is False


def test_a_loop_that_is_gone_is_no_trouble_to_who_settles() -> None:
    """Its waits ended with it; a late knock must not raise in somebody else's settlement."""
    waiters = Waiters(SystemClock())
    loop = asyncio.new_event_loop()

    async def look() -> bool:
        return False

    task = loop.create_task(waiters.await_(WANTED, look))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left on purpose
    loop.close()
    waiters.wake({USER})
    task.get_coro().close()  # type: ignore[union-attr]
    assert not waiters
