"""The embedded registry: all that a registry of circuits promises, in bounded memory, whole when Ctrl-C falls in."""

from __future__ import annotations

import gc
import linecache
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from types import FrameType
from typing import Any

import pytest

from langgraph_guard.backends import BreakerRegistry, MemoryBackend
from langgraph_guard.backends.memory import breakers
from langgraph_guard.backends.memory.breakers import MOST, RETENTION
from langgraph_guard.policies.breaker import FAILURE, SUCCESS, CircuitKey
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import BreakerContract
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAIT, Circuits


class TestMemoryBreakers(BreakerContract):
    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        return MemoryBackend(clock=clock).breakers


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def circuits(clock: FakeClock) -> Circuits:
    """A memory registry on that time."""
    return Circuits(MemoryBackend(clock=clock).breakers.execute)


def numbered(number: int) -> CircuitKey:
    """A key of its own."""
    return KEY._replace(key=f"host:{number}")


# Memory


def test_memory_does_not_grow_with_keys(circuits: Circuits, clock: FakeClock) -> None:
    """A model that names a new host in each call must not fill a worker that runs for months."""
    sizes = []
    tracemalloc.start()
    try:
        for hour in range(6):
            for number in range(300):
                circuits.call(SUCCESS, FAILURE, key=numbered(1_000 * hour + number))
            clock.advance(3_600)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 60_000  # 1,200 circuits later; one that was kept would weigh about half a kilobyte


def test_what_is_never_recorded_is_never_remembered(circuits: Circuits) -> None:
    """Looking and asking leave nothing behind."""
    tracemalloc.start()
    try:
        circuits.status(numbered(0))
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2_000):
            circuits.admit("r", numbered(number))
            circuits.status(numbered(number))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 20_000


def test_for_one_circuit_too_many_the_oldest_goes(circuits: Circuits) -> None:
    """Bounded within the window, too."""
    for number in range(MOST + 1):
        circuits.call(FAILURE, key=numbered(number))
    found = circuits.statuses(numbered(0), numbered(1), numbered(MOST))
    assert [status.calls for status in found] == [0, 1, 1]


def test_a_circuit_that_is_held_open_is_never_pushed_out(circuits: Circuits) -> None:
    """A kill switch that ten thousand strangers can release is none."""
    circuits.force_open()
    for number in range(MOST + 10):
        circuits.call(FAILURE, key=numbered(number))
    assert circuits.status().state == "forced_open"


def test_an_open_circuit_is_remembered_however_long_nobody_asks(circuits: Circuits, clock: FakeClock) -> None:
    """The first call after a quiet night is a probe, not one of fifty."""
    circuits.trip()
    clock.advance(10 * 86_400)
    for number in range(100):
        circuits.call(FAILURE, key=numbered(number))
    assert circuits.status().state == "half_open"


@pytest.mark.parametrize(("later", "counted"), [(RETENTION / 1_000 - 1, False), (RETENTION / 1_000 + 120, True)])
def test_a_circuit_that_was_open_is_remembered_for_a_while(
    circuits: Circuits, clock: FakeClock, later: float, counted: bool
) -> None:
    """So that a call of its first generation which ends now counts for nothing. After an hour none is waited for."""
    circuits.admit("late")
    circuits.trip()
    clock.advance(WAIT)
    circuits.record("probe", circuits.probe(), SUCCESS)
    clock.advance(later)
    circuits.call(FAILURE, key=numbered(0))
    circuits.record("late", 0, FAILURE)
    assert circuits.status().calls == int(counted)


# Ctrl-C


@contextmanager
def interrupted(moment: int) -> Iterator[list[int]]:
    """Cut what runs here with a `KeyboardInterrupt` at the `moment`-th line of the registry that begins."""
    passed = [0]

    def arrive(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_globals["__name__"] != breakers.__name__:
            return None
        if event == "line" and not _leaves_a_lock(frame):
            passed[0] += 1
            if passed[0] == moment:
                sys.settrace(None)
                raise KeyboardInterrupt
        return arrive

    sys.settrace(arrive)
    try:
        with suppress(KeyboardInterrupt):
            yield passed
    finally:
        sys.settrace(None)


def _leaves_a_lock(frame: FrameType) -> bool:
    """A `with` that ends counts as a line too, but lets no signal in before its lock is free."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def test_an_interrupt_anywhere_leaves_all_or_nothing() -> None:
    """Ctrl-C in a notebook may fall between any two lines; the registry goes on being used afterwards."""
    for moment in count(1):
        circuits = Circuits(MemoryBackend(clock=FakeClock()).breakers.execute)
        circuits.call(FAILURE, FAILURE)
        with interrupted(moment) as passed:
            circuits.record("r", 0, FAILURE)
        assert circuits.status().state in ("closed", "open")
        circuits.record("r", 0, FAILURE)  # whoever was interrupted may send it again
        assert circuits.status()[:2] == ("open", False)
        if passed[0] < moment:
            break
    assert moment > 15


def test_what_the_garbage_collector_ends_in_the_middle_does_not_wait_for_itself() -> None:
    """An abandoned stream records its cancellation from a finalizer, in the thread that holds the lock."""
    clock = FakeClock()
    registry = MemoryBackend(clock=clock).breakers
    circuits = Circuits(registry.execute)

    class Abandoned:
        def __del__(self) -> None:
            Circuits(registry.execute).call(FAILURE)

    class Clock(FakeClock):
        def now(self) -> float:
            held.clear()
            return clock.now()

    held: list[Abandoned] = []
    registry._clock = Clock()
    held.append(Abandoned())
    circuits.call(FAILURE)
    assert not held
    assert circuits.status().calls == 2
