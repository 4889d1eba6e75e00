"""Waking: who waits for room has it as soon as it is there, and sleeps to the end when it is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import pytest

from langgraph_guard.backends.protocols import BudgetLedger
from langgraph_guard.policies.ledger import Charge, Freeze, Granted, Reserve, Thaw, Wait, owner_of
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    SESSION,
    TENANT,
    THE_TURN,
    USER,
    WAYS,
    Harness,
    Till,
    Way,
    driven,
)

WANTED: Final = (Charge(SESSION, 40, 100), Charge(USER, 40, 100))
A_DAY: Final = 86_400.0
PATIENCE: Final = 60.0
"""Seconds of the machine's time after which a thread that nobody woke is given up."""


class PatientClock(FakeClock):
    """A clock on which nobody who waits for room gets older: only somebody who wakes him ends the wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Semaphore(0)
        """One more for each sleep that has begun."""

    def sleep_until(self, woken: SimpleQueue[None], seconds: float) -> bool:
        self.waits.release()
        woken.get(timeout=PATIENCE)
        return True

    async def asleep_until(self, woken: asyncio.Event, seconds: float) -> bool:
        self.waits.release()
        return await asyncio.wait_for(woken.wait(), PATIENCE)


# What makes room on a user's account of which all but 20 is held, by the reservations `a` and `b`.
MAKES_ROOM: Final[dict[str, Callable[[Till], Any]]] = {
    "settling for less": lambda till: till.settle("a", usd=1),
    "releasing": lambda till: till.release("a"),
    "giving credit": lambda till: till.adjust("c", USER, credit=40),
    "correcting": lambda till: till.adjust("c", USER, spent=-40),
}


def fill(till: Till) -> None:
    """Leave 20 of 100: 40 spent, 40 held."""
    till.reserve("b", Charge(SESSION, 40), Charge(USER, 40, 100))
    till.settle("b")
    till.reserve("a", Charge(SESSION, 40), Charge(USER, 40, 100))


class Waking(Harness):
    """A settlement is heard at once by those who wait in the same process; nobody polls for it, nobody misses it."""

    @pytest.mark.parametrize("cause", MAKES_ROOM)
    def test_room_that_is_there_already_ends_a_wait_at_once(self, till: Till, clock: FakeClock, cause: str) -> None:
        """It was made between the denial and the wait, when nobody was listening yet."""
        fill(till)
        MAKES_ROOM[cause](till)
        began = clock.now()
        till.send([Wait(A_DAY, (Charge(SESSION, 40, 1_000), Charge(USER, 40, 100)))])
        assert (clock.now(), clock.slept) == (began, [])

    def test_without_room_a_wait_lasts_as_long_as_it_says(self, till: Till, clock: FakeClock) -> None:
        """And no longer; the caller asks again then."""
        fill(till)
        till.send([Wait(2.5, WANTED)])
        assert clock.slept == [2.5]

    def test_a_wait_for_a_turn_looks_at_that_turn(self, till: Till, clock: FakeClock) -> None:
        """The open one may be another's: two runs on one thread."""
        till.open_turn("t1")
        till.reserve("a", Charge(THE_TURN, 90, 100))
        till.open_turn("t2")
        till.send([Wait(1.0, (Charge(THE_TURN, 20, 100),), "t1"), Wait(2.0, (Charge(THE_TURN, 20, 100),), "t2")])
        assert clock.slept == [1.0]

    def test_a_wait_for_an_owner_who_is_frozen_lasts(self, till: Till, clock: FakeClock) -> None:
        """There is room, and nobody may have it."""
        till.freeze(owner_of(USER))
        till.send([Wait(2.5, WANTED)])
        assert clock.slept == [2.5]

    @pytest.mark.parametrize("cause", [*MAKES_ROOM, "thawing"])
    @pytest.mark.parametrize("way", WAYS)
    def test_whoever_makes_room_wakes_those_who_wait_for_it(self, way: Way, cause: str) -> None:
        """From another thread, blocking or on an event loop. On this clock a wait that is not woken never ends."""
        clock = PatientClock()
        ledger = self.make_backend(clock, TENANT).ledger
        with driven(ledger, "execute") as till:
            if cause == "thawing":
                till.freeze(owner_of(USER))
            else:
                fill(till)
            wanted = (Charge(SESSION, 40, 1_000), Charge(USER, 40, 100))
            waiting = _in_a_thread(ledger, way, [Wait(A_DAY, wanted), Reserve("w", wanted)])
            assert clock.waits.acquire(timeout=PATIENCE)
            if cause == "thawing":
                till.thaw(owner_of(USER))
            else:
                MAKES_ROOM[cause](till)
            assert waiting()[1] == Granted("w", (40, 40))

    @pytest.mark.parametrize("way", WAYS)
    def test_who_is_woken_without_room_for_him_sleeps_on(self, way: Way) -> None:
        """Two wait for what one settlement gives: the one that needs more must not ask again and again."""
        clock = PatientClock()
        ledger = self.make_backend(clock, TENANT).ledger
        with driven(ledger, "execute") as till:
            fill(till)
            wanted = (Charge(USER, 60, 100),)
            waiting = _in_a_thread(ledger, way, [Wait(A_DAY, wanted), Reserve("w", wanted)])
            assert clock.waits.acquire(timeout=PATIENCE)
            till.settle("a", usd=39)
            assert clock.waits.acquire(timeout=PATIENCE)
            till.adjust("c", USER, spent=-79)
            assert waiting()[1] == Granted("w", (60,))

    def test_a_cancelled_wait_leaves_nobody_waiting(self) -> None:
        """A request that was given up is forgotten; the ledger serves the others as before."""
        clock = PatientClock()
        ledger = self.make_backend(clock, TENANT).ledger
        with driven(ledger, "execute") as till:
            fill(till)

            async def give_up() -> None:
                task = asyncio.create_task(ledger.aexecute([Wait(A_DAY, WANTED)]))
                assert await asyncio.to_thread(clock.waits.acquire, timeout=PATIENCE)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            asyncio.run(give_up())
            till.settle("a", usd=1)
            assert till.balance(USER) == (41, 0)

    def test_freezing_wakes_nobody_and_thawing_is_for_its_owner(self, till: Till, clock: FakeClock) -> None:
        """Of two owners who are frozen, the other one's thaw makes no room."""
        till.send([Freeze(owner_of(USER), "ada"), Freeze(owner_of(SESSION), "ada"), Thaw(owner_of(SESSION), "ada")])
        till.send([Wait(1.5, WANTED)])
        assert clock.slept == [1.5]


def _in_a_thread(ledger: BudgetLedger, way: Way, commands: list[Any]) -> Callable[[], list[Any]]:
    """Have `commands` sent in a thread of their own; what comes back waits for their replies."""
    replies: list[Any] = []

    def send() -> None:
        with driven(ledger, way) as till:
            replies.extend(till.send(commands))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()

    def waiting() -> list[Any]:
        thread.join(PATIENCE)
        return replies

    return waiting
