"""Waiting: how long a circuit stays open, and what a clock that is set back does to it."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.breaker import FAILURE, SUCCESS, Admitted, Refused
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import LEASE, WAIT, Circuits, Harness


class Waiting(Harness):
    """Each opening in a row takes longer, within bounds; no clock makes it take for ever."""

    def test_it_refuses_until_its_time_is_over(self, circuits: Circuits, clock: FakeClock) -> None:
        """To the millisecond: an earlier call would be refused, so the model need not be told a later one."""
        circuits.trip()
        clock.advance(WAIT - 0.001)
        refused = circuits.admit("early")
        assert isinstance(refused, Refused)
        assert (refused.wait_ms, refused.retry_after) == (1, 0.001)
        clock.advance(0.001)
        assert isinstance(circuits.admit("in time"), Admitted)

    def test_each_opening_in_a_row_takes_twice_as_long(self, circuits: Circuits, clock: FakeClock) -> None:
        """A service that is down for the night is asked less and less, and no less than every ten minutes."""
        circuits.trip()
        waits = []
        for at in range(7):
            waits.append(circuits.status().wait_ms)
            clock.advance((waits[-1] or 0) / 1_000)
            circuits.record(f"probe-{at}", circuits.probe(f"probe-{at}"), FAILURE)
        assert waits == [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]

    def test_a_success_starts_the_back_off_anew(self, circuits: Circuits, clock: FakeClock) -> None:
        """Tonight's outage has nothing to do with last night's."""
        circuits.trip()
        clock.advance(WAIT)
        circuits.record("probe", circuits.probe(), FAILURE)
        clock.advance(2 * WAIT)
        circuits.record("probe", circuits.probe(), SUCCESS)
        circuits.trip()
        assert (circuits.status().wait_ms, circuits.status().opened) == (30_000, 1)

    @pytest.mark.parametrize(("chance", "wait_ms"), [(0.0, 27_000), (0.5, 30_000), (0.75, 31_500), (1.0, 33_000)])
    def test_jitter_spreads_the_wait_both_ways(self, circuits: Circuits, chance: float, wait_ms: int) -> None:
        """Breakers that opened at once should not probe at once. Chance is the caller's, so a store needs none."""
        circuits = circuits.under(jitter=0.1)
        circuits.call(FAILURE, FAILURE, FAILURE, chance=chance)
        assert circuits.status().wait_ms == wait_ms

    def test_no_wait_is_longer_than_the_longest(self, circuits: Circuits) -> None:
        """With jitter, too."""
        circuits = circuits.under(jitter=0.5, wait_duration_in_open_state=600.0)
        circuits.call(FAILURE, FAILURE, FAILURE, chance=1.0)
        assert circuits.status().wait_ms == 600_000

    def test_without_back_off_every_wait_is_the_same(self, circuits: Circuits, clock: FakeClock) -> None:
        """`backoff_multiplier=1`."""
        circuits = circuits.under(backoff_multiplier=1)
        circuits.trip()
        for at in range(5):
            assert circuits.status().wait_ms == 30_000
            clock.advance(WAIT)
            circuits.record(f"probe-{at}", circuits.probe(f"probe-{at}"), FAILURE)

    @pytest.mark.parametrize("back", [2.0, 3_600.0])
    def test_a_clock_that_is_set_back_does_not_hold_it_open(
        self, circuits: Circuits, clock: FakeClock, back: float
    ) -> None:
        """An hour back must not be an hour more. One call is let through and decides; a node that looks sees it."""
        circuits.trip()
        clock.set(clock.now() - back)
        assert circuits.status().admits
        circuits.probe()
        assert isinstance(circuits.admit("other"), Refused)

    def test_a_clock_that_is_set_back_does_not_keep_a_dead_probers_place(
        self, circuits: Circuits, clock: FakeClock
    ) -> None:
        """Nor does it free the place of each prober after."""
        circuits.trip()
        clock.advance(WAIT)
        circuits.probe("dead")
        clock.set(clock.now() - 3_600)
        circuits.probe("next")
        assert isinstance(circuits.admit("other"), Refused)
        clock.advance(LEASE)
        assert circuits.probe("other")

    def test_a_clock_that_is_corrected_by_a_moment_changes_nothing(self, circuits: Circuits, clock: FakeClock) -> None:
        """Servers do that all day."""
        circuits.trip()
        clock.set(clock.now() - 0.5)
        assert isinstance(circuits.admit("early"), Refused)

    def test_a_clock_that_is_set_back_does_not_spoil_the_window(self, circuits: Circuits, clock: FakeClock) -> None:
        """Calls of the future are forgotten, those of now are counted."""
        circuits.call(FAILURE, FAILURE)
        clock.set(clock.now() - 3_600)
        assert circuits.call(FAILURE) == [None]
        circuits.call(FAILURE, FAILURE)
        assert circuits.status().state == "open"
