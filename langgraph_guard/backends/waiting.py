"""Who waits for room in this process, and how whoever makes room wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Final

from langgraph_guard.backends.protocols import Clock, WakingClock
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.ledger import Account, Owner, Wait, owner_of

LOOK: Final = object()
"""The command that asks whether there is room; a number of seconds is the command to wait as long for being woken."""

WaitFlow = Generator[Sequence[Any], list[Any], None]


class Waiter:
    """One who waits, and for what."""

    __slots__ = ("accounts", "wake")

    def __init__(self, wanted: Wait, wake: Callable[[], object]) -> None:
        self.accounts = tuple(charge.account for charge in wanted.charges)
        self.wake = wake


class Waiters:
    """The waits of one process.

    Whoever waits is registered first and looks for room then, so room that is made between a denial and the wait is
    seen. No lock: the garbage collector may settle an abandoned stream here, and would wait for its own thread.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[Waiter] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wake(self, freed: Collection[Account | Owner]) -> None:
        """Have those look for room who wait for one of these accounts, or for one of these owners'."""
        for waiter in list(self._waiting):
            if any(account in freed or owner_of(account) in freed for account in waiter.accounts):
                waiter.wake()

    def wait(self, wanted: Wait, has_room: Callable[[], bool]) -> None:
        """Let time pass until `has_room`, or until the seconds are over."""
        if not wanted.charges:
            self._clock.sleep(wanted.seconds)
            return
        woken: SimpleQueue[None] = SimpleQueue()  # reentrant, which an Event is not

        def execute(batch: Sequence[Any]) -> list[Any]:
            return [has_room() if batch[0] is LOOK else self._sleep(woken, batch[0])]

        with self._registered(Waiter(wanted, lambda: woken.put(None))):
            run(self._until_room(wanted.seconds), execute)

    async def await_(self, wanted: Wait, has_room: Callable[[], Awaitable[bool]]) -> None:
        """`wait` on an event loop, woken from whatever thread."""
        if not wanted.charges:
            await self._clock.asleep(wanted.seconds)
            return
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits there any more
                loop.call_soon_threadsafe(woken.set)

        async def execute(batch: Sequence[Any]) -> list[Any]:
            return [await has_room() if batch[0] is LOOK else await self._asleep(woken, batch[0])]

        with self._registered(Waiter(wanted, wake)):
            await arun(self._until_room(wanted.seconds), execute)

    @contextmanager
    def _registered(self, waiter: Waiter) -> Iterator[None]:
        try:
            self._waiting.add(waiter)
            yield
        finally:
            self._waiting.discard(waiter)

    def _until_room(self, seconds: float) -> WaitFlow:
        left, ends = seconds, self._clock.now() + seconds
        while left > 0:
            (room,) = yield [LOOK]
            if room:
                return
            (woken,) = yield [left]
            if not woken:
                return
            left = min(left, ends - self._clock.now())  # a clock that is set back lets nobody wait for ever

    def _sleep(self, woken: SimpleQueue[None], seconds: float) -> bool:
        if isinstance(self._clock, WakingClock):
            return self._clock.sleep_until(woken, seconds)
        if woken.empty():
            self._clock.sleep(seconds)
        return _drained(woken)

    async def _asleep(self, woken: asyncio.Event, seconds: float) -> bool:
        if isinstance(self._clock, WakingClock):
            found = await self._clock.asleep_until(woken, seconds)
        else:
            if not woken.is_set():
                await self._clock.asleep(seconds)
            found = woken.is_set()
        woken.clear()
        return found


def _drained(woken: SimpleQueue[None]) -> bool:
    """Whether anybody knocked; all of it is heard at once."""
    found = not woken.empty()
    while not woken.empty():
        woken.get_nowait()
    return found
