"""Time in tests: moved by hand, the same for everybody, never backwards by accident."""

from __future__ import annotations

import asyncio
import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from langgraph_guard.errors import ConfigError
from langgraph_guard.testing import FakeClock


def test_time_stands_still_until_a_test_moves_it() -> None:
    """Windows and leases are computed from now(); a figure that drifts makes a test flaky."""
    clock = FakeClock()
    assert clock.now() == clock.now() == 1_767_225_600.0


def test_advance_moves_time_by_that_much() -> None:
    """The one way for a test to let a window end."""
    clock = FakeClock(100)
    clock.advance(0.5)
    assert clock.now() == 100.5


def test_a_sleep_passes_without_waiting_and_is_recorded() -> None:
    """Tests of back-off assert how long the code would have waited."""
    clock, began = FakeClock(0), time.monotonic()
    clock.sleep(3600)
    assert (clock.now(), clock.slept) == (3600, [3600.0])
    assert time.monotonic() - began < 60


async def test_an_async_sleep_passes_too_and_lets_others_run() -> None:
    """A waiting task that never yields would hide every race from a test."""
    clock, order = FakeClock(0), []

    async def wait() -> None:
        await clock.asleep(5)
        order.append("woke")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    order.append("other")
    await waiting
    assert (order, clock.now(), clock.slept) == (["other", "woke"], 5, [5.0])


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, True, "1", None])
@pytest.mark.parametrize("move", ["advance", "sleep"])
def test_time_does_not_pass_backwards_or_by_nonsense(move: str, wrong: object) -> None:
    """A negative wait computed by a policy is a bug that real sleeps report and a lenient clock would swallow."""
    clock = FakeClock(7)
    with pytest.raises(ConfigError, match="seconds"):
        getattr(clock, move)(wrong)
    assert (clock.now(), clock.slept) == (7, [])


async def test_an_async_sleep_refuses_nonsense_too() -> None:
    """asyncio.sleep(-1) returns silently; the bug behind it would pass every test."""
    with pytest.raises(ConfigError, match="seconds"):
        await FakeClock().asleep(-1)


def test_set_goes_back_on_purpose() -> None:
    """Servers' clocks are corrected; a ledger's test must be able to do that to it."""
    clock = FakeClock(100)
    clock.set(40)
    assert clock.now() == 40


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "2026-01-01", True])
def test_a_moment_is_a_finite_number(wrong: object) -> None:
    """NaN compares false with everything: every lease would look both valid and expired."""
    with pytest.raises(ConfigError, match="start"):
        FakeClock(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="epoch"):
        FakeClock().set(wrong)  # type: ignore[arg-type]


def test_threads_lose_no_time() -> None:
    """64 workers share one clock; `+=` without a lock would drop steps."""
    clock = FakeClock(0)

    def work(_: int) -> None:
        for _ in range(100):
            clock.sleep(1)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))
    assert (clock.now(), len(clock.slept)) == (6400, 6400)


def test_a_deep_copy_lives_in_the_same_time() -> None:
    """Models are copied with their fields; a copy with a clock of its own would stand still."""
    clock = FakeClock()
    assert copy.deepcopy(clock) is clock
