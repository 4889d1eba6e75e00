"""The embedded ledger: all that a ledger promises, in bounded memory, and whole when Ctrl-C falls into the middle."""

from __future__ import annotations

import gc
import inspect
import linecache
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import pytest

from langgraph_guard.backends import Backend, MemoryBackend
from langgraph_guard.errors import ConfigError, ReservationConflict
from langgraph_guard.policies.bookkeeping import RETENTION
from langgraph_guard.policies.ledger import RUN, Account, Charge, Denied, Granted
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import LedgerContract
from langgraph_guard.testing.contracts.ledger.harness import ACCOUNTS, SESSION, TENANT, Till, everywhere

LEASE: Final = 60.0
THE_RUN: Final = Account(TENANT, RUN, "run-1", "usd")


class TestMemoryLedger(LedgerContract):
    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        return MemoryBackend(tenant=tenant, clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def till(clock: FakeClock) -> Till:
    """A memory ledger on that time."""
    return Till(MemoryBackend(tenant=TENANT, clock=clock).ledger.execute)


@pytest.mark.parametrize("tenant", [None, 7, b"acme", ["acme"]])
def test_a_tenant_is_a_name(tenant: object) -> None:
    """It becomes part of every account; a wrong one would be found when the first bill is split."""
    with pytest.raises(ConfigError, match="tenant: must be a str"):
        MemoryBackend(tenant=tenant)  # type: ignore[arg-type]


def test_without_a_clock_it_is_the_machines() -> None:
    """Nobody passes a clock in production."""
    ledger = MemoryBackend().ledger
    reply = Till(ledger.execute).reserve("r", Charge(Account("", "global", "", "usd", "day"), 2, 1))
    assert isinstance(reply, Denied)
    assert reply.retry_after is not None
    assert 0 < reply.retry_after <= 86_400


# Memory


def test_a_closed_reservation_is_remembered_for_a_while_and_then_forgotten(till: Till, clock: FakeClock) -> None:
    """A replay comes within minutes; what it would cost to remember for ever, nobody has."""
    till.reserve("r", *everywhere(30), lease=LEASE)
    till.settle("r", usd=12)
    clock.advance(LEASE + RETENTION - 1)
    assert till.settle("r", usd=12).overrun == {}
    clock.advance(1)
    with pytest.raises(ReservationConflict, match="unknown"):
        till.settle("r", usd=12)
    assert till.balance(SESSION) == (12, 0)


def test_a_tombstone_is_forgotten_too(till: Till, clock: FakeClock) -> None:
    """Releases of what never arrived would pile up otherwise."""
    till.release("late")
    clock.advance(RETENTION)
    assert isinstance(till.reserve("late", Charge(SESSION, 1)), Granted)


def test_memory_does_not_grow_with_calls(till: Till, clock: FakeClock) -> None:
    """A worker runs for months: a million calls must cost what the last hour's do."""
    sizes = []
    tracemalloc.start()
    try:
        for hour in range(6):
            for call in range(300):
                id = f"{hour}-{call}"
                till.reserve(id, *everywhere(2, 10**9), Charge(THE_RUN._replace(id=id), 2), lease=LEASE)
                till.settle(id, usd=1) if call % 3 else till.release(id)
                till.release(f"unknown-{id}")
            clock.advance(LEASE + RETENTION)
            till.expire()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 20_000  # 1,200 calls later; one that was kept would weigh about a kilobyte


def test_the_account_of_a_run_ends_with_the_last_of_its_reservations(till: Till, clock: FakeClock) -> None:
    """Runs without a thread come and go; their accounts go with them, and not before."""
    charge = Charge(THE_RUN, 30, 100)
    till.reserve("first", charge, lease=LEASE)
    till.settle("first")
    clock.advance(1_800)
    till.reserve("second", charge, lease=LEASE)
    till.settle("second")

    clock.advance(LEASE + RETENTION - 1_800)
    kept = till.balance(THE_RUN)
    clock.advance(1_800)

    assert kept == (60, 0)
    assert till.balance(THE_RUN) == (0, 0)


def test_a_run_that_lasts_for_hours_keeps_its_limit(till: Till, clock: FakeClock) -> None:
    """Forgetting its first call must not refund those that came after."""
    for call in range(10):
        assert isinstance(till.reserve(f"r{call}", Charge(THE_RUN, 10, 100), lease=LEASE), Granted)
        till.settle(f"r{call}")
        clock.advance(1_000)
    assert till.balance(THE_RUN) == (100, 0)
    assert isinstance(till.reserve("more", Charge(THE_RUN, 1, 100), lease=LEASE), Denied)


def test_a_run_is_kept_as_long_as_its_longest_reservation(till: Till, clock: FakeClock) -> None:
    """The last to be reserved need not be the last to end."""
    till.reserve("long", Charge(THE_RUN, 30, 100), lease=4 * RETENTION)
    till.reserve("short", Charge(THE_RUN, 30, 100), lease=LEASE)
    till.settle("short")
    clock.advance(2 * RETENTION)
    assert till.balance(THE_RUN) == (30, 30)
    till.settle("long", usd=1)
    assert till.balance(THE_RUN) == (31, 0)


# Ctrl-C


@contextmanager
def interrupted(moment: int) -> Iterator[list[int]]:
    """Cut what runs here with a `KeyboardInterrupt` at the `moment`-th place of the ledger where one can fall.

    The interpreter handles signals as a function starts, as a call into C returns, and as a loop begins again, which
    is at the start of a line at the earliest. The list counts the places.
    """
    passed = [0]

    def arrive(frame: FrameType, event: str, argument: Any) -> Any:
        if not _ours(frame):
            return None
        if event in ("call", "c_return") or (event == "line" and not _leaves_a_lock(frame)):
            passed[0] += 1
            if passed[0] == moment:
                _stop()
                raise KeyboardInterrupt
        return arrive

    sys.settrace(arrive)
    sys.setprofile(arrive)
    try:
        with suppress(KeyboardInterrupt):
            yield passed
    finally:
        _stop()


def _stop() -> None:
    sys.settrace(None)
    sys.setprofile(None)


def _leaves_a_lock(frame: FrameType) -> bool:
    """A `with` that ends counts as a line too, but lets no signal in before its lock is free."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def _ours(frame: FrameType) -> bool:
    # A generator that is being thrown away starts too; what is raised in it then is raised to nobody.
    name, generator = frame.f_globals["__name__"], frame.f_code.co_flags & inspect.CO_GENERATOR
    return not generator and name.startswith(OURS)


OURS: Final = ("langgraph_guard.backends.memory.ledger", "langgraph_guard.policies.bookkeeping")


def _held(till: Till) -> None:
    till.reserve("r", *everywhere(30, 100), lease=LEASE)


BEFORE: Final = [(0, 0)] * 4
HELD: Final = [(0, 30)] * 4

# What is interrupted: what comes before it, the command, and the balances before and after.
STEPS: Final[dict[str, tuple[Callable[[Till], None], Callable[[Till], Any], list[Any], list[Any]]]] = {
    "reserve": (lambda till: None, _held, BEFORE, HELD),
    "settle": (_held, lambda till: till.settle("r", usd=12), HELD, [(12, 0)] * 4),
    "release": (_held, lambda till: till.release("r"), HELD, BEFORE),
}


def every_moment(attempt: Callable[[int], int]) -> int:
    """Run `attempt` with an interrupt at its first place, its second, … until it gets through; how many there are."""
    moment = 1
    while attempt(moment) >= moment:
        moment += 1
    return moment - 1


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_anywhere_leaves_all_or_nothing(step: str) -> None:
    """Ctrl-C in a notebook may fall between any two instructions; the ledger goes on being used afterwards."""
    prepare, act, before, after = STEPS[step]

    def attempt(moment: int) -> int:
        clock = FakeClock()
        till = Till(MemoryBackend(tenant=TENANT, clock=clock).ledger.execute)
        prepare(till)
        with interrupted(moment) as passed:
            act(till)
        assert till.balances(*ACCOUNTS) in (before, after)
        act(till)  # whoever was interrupted may send it again
        assert till.balances(*ACCOUNTS) == after
        return passed[0]

    assert every_moment(attempt) > 40


def test_a_reservation_that_was_interrupted_is_still_closed_by_its_lease() -> None:
    """Held, but missing from the list of leases, it would take its room for ever."""

    def attempt(moment: int) -> int:
        clock = FakeClock()
        till = Till(MemoryBackend(tenant=TENANT, clock=clock).ledger.execute)
        with interrupted(moment) as passed:
            _held(till)
        held = till.balances(*ACCOUNTS) == HELD
        clock.advance(LEASE)
        till.expire()
        assert till.balances(*ACCOUNTS) == [(30 if held else 0, 0)] * 4
        return passed[0]

    assert every_moment(attempt) > 40


def test_an_interrupted_sweep_is_finished_by_the_next_command() -> None:
    """Each orphan is charged once, each run forgotten, wherever the first sweep was cut."""

    def attempt(moment: int) -> int:
        clock = FakeClock()
        till = Till(MemoryBackend(tenant=TENANT, clock=clock).ledger.execute)
        till.reserve("old", Charge(THE_RUN, 5), Charge(THE_RUN._replace(unit="tokens"), 5), lease=LEASE)
        clock.advance(RETENTION)
        for id in ("a", "b"):
            till.reserve(id, *everywhere(30, 100), lease=LEASE)
        clock.advance(LEASE)
        with interrupted(moment) as passed:
            till.expire()
        assert till.balances(*ACCOUNTS) == [(60, 0)] * 4
        assert till.balances(THE_RUN, THE_RUN._replace(unit="tokens")) == [(0, 0), (0, 0)]
        with pytest.raises(ReservationConflict, match="unknown"):
            till.settle("old", usd=1)
        return passed[0]

    assert every_moment(attempt) > 40
