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
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.backends import BreakerRegistry, MemoryBackend
from langgraph_guard.backends.memory import breakers, tally
from langgraph_guard.backends.memory.breakers import MOST, RETENTION, MemoryBreakers
from langgraph_guard.backends.memory.tally import PLACES, Tally
from langgraph_guard.policies.breaker import (
    FAILURE,
    FRESH,
    IGNORED,
    SLOW,
    SUCCESS,
    BreakerSettings,
    CircuitKey,
    Outcome,
    peek,
    record,
)
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import BreakerContract
from langgraph_guard.testing.contracts.breakers.concurrency import THREADS, in_threads
from langgraph_guard.testing.contracts.breakers.harness import KEY, SETTINGS, WAIT, Circuits, examples


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


# Successes that take no lock

WINDOW = SETTINGS.sliding_window_size
BUCKET = WINDOW / 10

lots = st.one_of(st.integers(1, 5), st.sampled_from([PLACES - 1, PLACES, PLACES + 1, 2 * PLACES + 1]))
histories = st.lists(
    st.one_of(
        st.tuples(st.just(SUCCESS), lots),
        st.tuples(st.sampled_from([FAILURE, SLOW, IGNORED]), st.integers(1, 2)),
        st.tuples(st.sampled_from([0.5, BUCKET, -BUCKET, WINDOW]), st.just(1)),
    ),
    max_size=12,
)


@pytest.fixture
def registry(clock: FakeClock) -> MemoryBreakers:
    """A registry on that time, for those who ask for a tally."""
    return MemoryBackend(clock=clock).breakers


def tally_of(registry: MemoryBreakers, settings: BreakerSettings = SETTINGS) -> Tally:
    """The tally of the circuit of `KEY`."""
    return registry.tally(KEY, settings.figures)


def tick(found: Tally, clock: FakeClock) -> bool:
    """Whether a success that ends now was counted."""
    return found.count(clock.now() * 1_000, 0)


@given(history=histories, minimum=st.integers(1, 5))
@examples
def test_a_tally_changes_no_answer(history: list[tuple[Outcome | float, int]], minimum: int) -> None:
    """However many successes came between failures and slow calls, the circuit is the one that the rules make."""
    clock, reference = FakeClock(), FRESH
    settings = BreakerSettings(jitter=0, minimum_number_of_calls=minimum, slow_call_rate_threshold=0.5)
    circuits = Circuits(MemoryBackend(clock=clock).breakers.execute, settings)
    for what, times in history:
        if isinstance(what, float):
            clock.set(clock.now() + what)
            continue
        for _ in range(times):
            circuits.record("r", reference.generation, what)
            now_ms = int(clock.now() * 1_000)
            reference = record(reference, settings, now_ms, ("r", reference.generation), what, 0, 0.5)
        assert circuits.status() == peek(reference, settings, now_ms)


def test_successes_after_the_first_are_only_tallied(registry: MemoryBreakers) -> None:
    """Otherwise the tests of tallies test nothing."""
    circuits = Circuits(registry.execute)
    circuits.call(SUCCESS)
    found = tally_of(registry)
    circuits.call(*[SUCCESS] * PLACES)
    assert tally_of(registry) is found
    circuits.call(SUCCESS)
    assert tally_of(registry) is not found


def test_no_success_is_lost_while_others_settle_the_tally() -> None:
    """48 threads count by a tally that failures and switches close under their hands; each is counted once."""
    for _ in range(20):
        clock = FakeClock()
        registry = MemoryBackend(clock=clock).breakers
        patient = Circuits(registry.execute).under(minimum_number_of_calls=1_000_000)
        patient.call(SUCCESS)

        def work(
            worker: int,
            registry: MemoryBreakers = registry,
            patient: Circuits = patient,
            clock: FakeClock = clock,
        ) -> None:
            for at in range(20):
                if worker % 4 == 0:
                    patient.record("r", 0, FAILURE)
                elif worker % 4 == 1:
                    patient.record("r", 0, IGNORED if at % 2 else SUCCESS)
                elif not tick(tally_of(registry, patient.settings), clock):
                    patient.record("r", 0, SUCCESS)

        in_threads(work)
        quarter = THREADS // 4
        assert patient.status()[-3:] == (1 + quarter * 70, quarter * 20, 0)


def test_a_tally_of_an_older_bucket_counts_no_more(registry: MemoryBreakers, clock: FakeClock) -> None:
    """What ends now must not leave the window early. A clock that was set back has another bucket, too."""
    circuits = Circuits(registry.execute)
    circuits.call(SUCCESS)
    found = tally_of(registry)
    clock.advance(BUCKET)
    assert not tick(found, clock)
    clock.set(clock.now() - 2 * BUCKET)
    assert not tick(found, clock)
    assert circuits.status().calls == 1


@pytest.mark.parametrize("what", ["reset", "force_open", "failures", "forgotten"])
def test_a_tally_of_an_older_generation_counts_no_more(registry: MemoryBreakers, clock: FakeClock, what: str) -> None:
    """Its calls were admitted by another circuit than the one that stands there now."""
    circuits = Circuits(registry.execute)
    circuits.call(SUCCESS)
    found = tally_of(registry)
    match what:
        case "reset":
            circuits.reset()
        case "force_open":
            circuits.force_open()
        case "failures":
            circuits.call(FAILURE, FAILURE)
        case _:
            for number in range(MOST):
                circuits.call(SUCCESS, key=numbered(number))
    assert not found.open
    assert not tick(found, clock)


def test_a_late_success_has_no_part_in_a_newer_tally(registry: MemoryBreakers) -> None:
    """It was admitted before somebody reset the circuit."""
    circuits = Circuits(registry.execute)
    circuits.reset()
    circuits.call(SUCCESS)
    assert tally_of(registry).open
    circuits.record("late", 0, SUCCESS)
    assert circuits.status().calls == 1


def test_callers_with_other_settings_have_no_part_in_a_tally(registry: MemoryBreakers) -> None:
    """Their buckets are other ones, and their thresholds may be reached by a success."""
    circuits = Circuits(registry.execute)
    circuits.call(SUCCESS)
    assert tally_of(registry).open
    assert not tally_of(registry, BreakerSettings(sliding_window_size=10)).open


def test_a_success_that_may_open_the_circuit_is_judged(registry: MemoryBreakers) -> None:
    """Two failed, and the third call makes them enough to judge by."""
    circuits = Circuits(registry.execute)
    circuits.call(FAILURE, FAILURE)
    assert not tally_of(registry).open
    circuits.call(SUCCESS)
    assert circuits.status().state == "open"


# Ctrl-C


@contextmanager
def interrupted(moment: int) -> Iterator[list[int]]:
    """Cut what runs here with a `KeyboardInterrupt` at the `moment`-th line of the registry that begins."""
    passed = [0]

    def arrive(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_globals["__name__"] not in (breakers.__name__, tally.__name__):
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


@pytest.mark.parametrize("tallied", [0, 5, PLACES])
def test_an_interrupt_anywhere_loses_no_success(tallied: int) -> None:
    """What was tallied is counted once, wherever the call that settles it was cut, or cut and made again."""
    for moment in count(1):
        registry = MemoryBackend(clock=FakeClock()).breakers
        circuits = Circuits(registry.execute)
        circuits.call(SUCCESS, *[SUCCESS] * tallied)
        with interrupted(moment) as passed:
            circuits.record("r", 0, FAILURE)
        before = circuits.status()
        assert before.calls - before.failures == 1 + tallied
        circuits.call(SUCCESS, SUCCESS)
        after = circuits.status()
        assert (after.calls - after.failures, after.failures) == (3 + tallied, before.failures)
        if passed[0] < moment:
            break
    assert moment > 20


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


@pytest.mark.parametrize("at", ["record", "added_to"])
def test_what_the_garbage_collector_begins_in_the_middle_does_not_stay_open(at: str) -> None:
    """A tally that no row has would count for nobody, and let calls through that the circuit refuses."""
    registry = MemoryBackend(clock=FakeClock()).breakers
    circuits = Circuits(registry.execute)
    begun: list[Tally] = []

    class Abandoned:
        def __del__(self) -> None:
            Circuits(registry.execute).call(SUCCESS)
            begun.append(tally_of(registry))

    owner: Any = breakers.rules if at == "record" else Tally
    original = getattr(owner, at)

    def meanwhile(*arguments: Any) -> Any:
        held.clear()
        return original(*arguments)

    circuits.call(SUCCESS)
    held = [Abandoned()]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, at, meanwhile)
        circuits.call(FAILURE)
    assert [found.open for found in begun] == [False]
