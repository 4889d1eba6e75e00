"""Opening: what counts, for how long it counts, and when it is too much."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.breaker import (
    CANCELLED,
    FAILURE,
    IGNORED,
    SLOW,
    SUCCESS,
    Admitted,
    Change,
    Outcome,
    Refused,
    rate_limited,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAIT, Circuits, Harness, mixed


class Opening(Harness):
    """A circuit opens when enough calls ended and too many of them badly, and not before."""

    def test_a_key_that_nothing_is_known_of_is_closed(self, circuits: Circuits) -> None:
        """The first call of a new tool is let through."""
        assert circuits.status()[:2] == ("closed", True)
        assert circuits.admit("first") == Admitted(0)

    def test_three_failures_open_it(self, circuits: Circuits, clock: FakeClock) -> None:
        """The 2 a.m. incident ends here: whoever opens it is told, and the next call is refused with its time."""
        changes = circuits.call(FAILURE, FAILURE, FAILURE)
        retry_at = int((clock.now() + WAIT) * 1_000)
        assert changes == [None, None, Change("closed", "open", "failure_rate", retry_at)]
        assert circuits.admit("next") == Refused("open", retry_at, 30_000)

    def test_too_few_calls_say_nothing(self, circuits: Circuits) -> None:
        """One failure of one call is 100 %."""
        assert circuits.call(FAILURE, FAILURE) == [None, None]
        assert circuits.status().state == "closed"

    @pytest.mark.parametrize(
        ("calls", "failures", "state"),
        [(10, 4, "closed"), (10, 5, "open"), (3, 1, "closed"), (3, 2, "open"), (4, 2, "open"), (101, 50, "closed")],
    )
    def test_the_share_of_failures_decides(self, circuits: Circuits, calls: int, failures: int, state: str) -> None:
        """A busy service may fail now and then."""
        circuits.call(*mixed(calls, failures))
        assert circuits.status().state == state

    @pytest.mark.parametrize(("share", "calls", "failures"), [(1 / 3, 3, 1), (2 / 3, 3, 2), (0.3, 10, 3), (1.0, 7, 7)])
    def test_a_threshold_is_reached_when_it_is_met_exactly(
        self, circuits: Circuits, share: float, calls: int, failures: int
    ) -> None:
        """2 of 3 is two thirds, whatever a double makes of it."""
        circuits = circuits.under(failure_rate_threshold=share, minimum_number_of_calls=calls)
        circuits.call(*mixed(calls, failures)[:-1])
        assert circuits.status().state == "closed"
        circuits.call(FAILURE)
        assert circuits.status().state == "open"

    def test_a_success_may_complete_the_number_of_calls(self, circuits: Circuits) -> None:
        """Two of three failed, in whatever order."""
        assert circuits.call(FAILURE, FAILURE, SUCCESS)[-1] is not None

    def test_what_left_the_window_counts_no_more(self, circuits: Circuits, clock: FakeClock) -> None:
        """Two failures an hour ago and one now are no outage."""
        circuits.call(FAILURE, FAILURE)
        clock.advance(60)
        assert circuits.call(FAILURE) == [None]
        assert circuits.status()[-3:] == (1, 1, 0)

    def test_a_window_moves_on_by_tenths(self, circuits: Circuits, clock: FakeClock) -> None:
        """What counts are the calls of this tenth and of the nine before: a tenth is thrown away whole."""
        for _ in range(9):
            circuits.call(SUCCESS)
            clock.advance(6)
        assert circuits.status().calls == 9
        clock.advance(6)
        assert circuits.status().calls == 8

    @pytest.mark.parametrize("outcome", [IGNORED, CANCELLED], ids=["ignored", "cancelled"])
    def test_what_says_nothing_of_the_service_does_not_count(self, circuits: Circuits, outcome: Outcome) -> None:
        """Wrong arguments, an interrupt: not the service's fault, and no sign of its health."""
        circuits.call(*[outcome] * 50)
        assert circuits.status()[-3:] == (0, 0, 0)

    def test_slow_calls_open_it(self, circuits: Circuits) -> None:
        """A service that answers after a minute is down for whoever waits for it."""
        circuits = circuits.under(slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.5)
        assert circuits.call(SUCCESS, SUCCESS, duration_ms=1_999) == [None, None]
        assert circuits.call(SUCCESS, duration_ms=2_000) == [None]
        (change,) = circuits.call(SUCCESS, duration_ms=2_500)
        assert change is not None
        assert change[:3] == ("closed", "open", "slow_call_rate")

    def test_slow_is_what_a_caller_calls_slow(self, circuits: Circuits) -> None:
        """A stream that dripped: the caller knows better than a stop-watch."""
        changes = circuits.call(SLOW, SLOW, SLOW)
        assert changes[2] is not None
        assert changes[2].reason == "slow_call_rate"

    def test_without_a_duration_nothing_is_slow(self, circuits: Circuits) -> None:
        """An hour is a normal time for some tools."""
        circuits.call(*[SUCCESS] * 5, duration_ms=3_600_000)
        assert circuits.status()[-3:] == (5, 0, 0)

    @pytest.mark.parametrize(("told", "waits"), [(12.0, 12.0), (0.0, 0.0), (86_400.0, 600.0), (None, WAIT)], ids=str)
    def test_a_rate_limit_opens_it_until_the_service_wants_calls_again(
        self, circuits: Circuits, clock: FakeClock, told: float | None, waits: float
    ) -> None:
        """`Retry-After` is the service's own word; a day is cut to the longest wait. One answer is enough."""
        (change,) = circuits.call(rate_limited(told))
        assert change == Change("closed", "open", "rate_limited", int((clock.now() + waits) * 1_000))
        clock.advance(waits)
        assert circuits.probe()

    def test_a_rate_limit_is_no_failure(self, circuits: Circuits, clock: FakeClock) -> None:
        """Afterwards the window is empty, as after every change."""
        circuits.call(FAILURE, rate_limited(5))
        clock.advance(5)
        circuits.record("probe", circuits.probe(), SUCCESS)
        assert circuits.status()[-3:] == (0, 0, 0)

    def test_a_result_of_an_older_generation_changes_nothing(self, circuits: Circuits, clock: FakeClock) -> None:
        """A call that was under way when the circuit opened ends after it closed again: its failure is history."""
        circuits.admit("late")
        circuits.trip()
        clock.advance(WAIT)
        circuits.record("probe", circuits.probe(), SUCCESS)
        before = circuits.status()
        assert [circuits.record("late", 0, FAILURE) for _ in range(5)] == [None] * 5
        assert circuits.status() == before

    def test_thirty_failures_under_way_are_one_opening(self, circuits: Circuits) -> None:
        """The back-off grows by openings in a row; late results must not be any."""
        for at in range(30):
            circuits.admit(f"r{at}")
        changes = [circuits.record(f"r{at}", 0, FAILURE) for at in range(30)]
        assert len([change for change in changes if change]) == 1
        assert (circuits.status().generation, circuits.status().opened) == (1, 1)

    def test_looking_takes_nothing(self, circuits: Circuits, clock: FakeClock) -> None:
        """A node peeks for every step of every run."""
        circuits.trip()
        clock.advance(WAIT)
        assert [circuits.status() for _ in range(5)] == [circuits.status()] * 5
        assert circuits.status()[:2] == ("half_open", True)
        assert circuits.probe()

    def test_many_are_looked_at_at_once(self, circuits: Circuits) -> None:
        """One question for all the calls of a message, in order."""
        other = KEY._replace(key="other")
        circuits.trip()
        assert [status.state for status in circuits.statuses(other, KEY, other)] == ["closed", "open", "closed"]
        assert circuits.statuses() == ()
