"""Probing: who may try a half-open circuit, and what their results mean."""

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
from langgraph_guard.testing.contracts.breakers.harness import LEASE, WAIT, Circuits, Harness


class Probing(Harness):
    """Exactly the permitted calls pass, each on a lease; what they bring decides."""

    @pytest.fixture
    def half_open(self, circuits: Circuits, clock: FakeClock) -> Circuits:
        """One call may pass."""
        circuits.trip()
        clock.advance(WAIT)
        return circuits

    @pytest.fixture
    def three(self, circuits: Circuits, clock: FakeClock) -> Circuits:
        """Three calls may pass."""
        circuits = circuits.under(permitted_number_of_calls_in_half_open_state=3)
        circuits.trip()
        clock.advance(WAIT)
        return circuits

    def test_the_first_who_asks_is_the_probe(self, half_open: Circuits, clock: FakeClock) -> None:
        """It is told so, and that the state changed; everyone else is told when the place is free at the latest."""
        assert half_open.admit("probe") == Admitted(2, True, Change("open", "half_open", "wait_is_over"))
        ends = int((clock.now() + LEASE) * 1_000)
        assert [half_open.admit(f"r{at}") for at in range(9)] == [Refused("half_open", ends, 60_000)] * 9
        assert half_open.status()[:3] == ("half_open", False, ends)

    def test_a_probe_that_asks_again_keeps_its_place(self, half_open: Circuits) -> None:
        """Its first answer was lost on the way. The change was told with it."""
        half_open.admit("probe")
        assert [half_open.admit("probe") for _ in range(3)] == [Admitted(2, probe=True)] * 3
        assert isinstance(half_open.admit("other"), Refused)

    def test_a_success_closes_it(self, half_open: Circuits) -> None:
        """With an empty window: two old failures and a new one are no reason to open again."""
        change = half_open.record("probe", half_open.probe(), SUCCESS)
        assert change == Change("half_open", "closed", "probes_succeeded")
        assert half_open.status()[-4:] == (0, 0, 0, 0)

    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [(FAILURE, "failure_rate"), (SLOW, "slow_call_rate"), (rate_limited(60), "rate_limited")],
        ids=["failure", "slow", "rate limited"],
    )
    def test_a_bad_probe_opens_it_for_longer(
        self, half_open: Circuits, clock: FakeClock, outcome: Outcome, reason: str
    ) -> None:
        """It is still down."""
        change = half_open.record("probe", half_open.probe(), outcome)
        assert change == ("half_open", "open", reason, int((clock.now() + 2 * WAIT) * 1_000))

    @pytest.mark.parametrize("outcome", [IGNORED, CANCELLED], ids=["ignored", "cancelled"])
    def test_a_probe_that_learned_nothing_gives_its_place_back(self, half_open: Circuits, outcome: Outcome) -> None:
        """An approval that interrupts a tool must not keep its circuit from closing."""
        assert half_open.record("probe", half_open.probe(), outcome) is None
        assert half_open.status()[:2] == ("half_open", True)
        assert half_open.probe("next")

    def test_a_dead_prober_blocks_nothing_beyond_its_lease(self, half_open: Circuits, clock: FakeClock) -> None:
        """kill -9 in the middle of a probe: other breakers stay half-open for ever."""
        half_open.probe("dead")
        clock.advance(LEASE - 0.001)
        assert isinstance(half_open.admit("next"), Refused)
        clock.advance(0.001)
        assert half_open.status().admits
        assert half_open.probe("next") == 2

    @pytest.mark.parametrize("taken", [True, False], ids=["place taken", "place free"])
    @pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, rate_limited(9)], ids=["success", "failure", "rate limited"])
    def test_what_a_dead_prober_says_is_ignored(
        self, half_open: Circuits, clock: FakeClock, outcome: Outcome, taken: bool
    ) -> None:
        """It was only slow, and nobody waits for its word any more."""
        generation = half_open.probe("dead")
        clock.advance(LEASE)
        if taken:
            half_open.probe("next")
        assert half_open.record("dead", generation, outcome) is None
        assert half_open.status()[:2] == ("half_open", not taken)

    def test_a_probes_result_counts_once(self, three: Circuits) -> None:
        """Its place is gone with it."""
        generation = three.probe("a")
        assert [three.record("a", generation, FAILURE) for _ in range(3)] == [None] * 3
        assert three.status()[-3:] == (1, 1, 0)

    def test_a_stranger_decides_nothing(self, half_open: Circuits) -> None:
        """Whoever holds no place has no say, whatever number it names."""
        generation = half_open.probe()
        assert half_open.record("stranger", generation, SUCCESS) is None
        assert half_open.record("probe", generation + 1, SUCCESS) is None
        assert half_open.record("probe", generation - 1, SUCCESS) is None
        assert half_open.status().state == "half_open"

    def test_no_more_than_the_permitted_calls_pass_one_after_another_either(self, three: Circuits) -> None:
        """A place that was used is not free: the decision is made by three."""
        for id in "ab":
            three.record(id, three.probe(id), SUCCESS)
        three.probe("c")
        assert isinstance(three.admit("d"), Refused)

    @pytest.mark.parametrize(
        ("outcomes", "state"),
        [
            ([SUCCESS] * 3, "closed"),
            ([SUCCESS, FAILURE, SUCCESS], "closed"),
            ([FAILURE, SUCCESS, SUCCESS], "closed"),
            ([FAILURE, FAILURE], "open"),
            ([SUCCESS, FAILURE, FAILURE], "open"),
            ([SLOW, SLOW, SLOW], "open"),
            ([SLOW, SLOW, SUCCESS], "closed"),
            ([SUCCESS, SUCCESS], "half_open"),
            ([FAILURE, IGNORED, SUCCESS], "half_open"),
        ],
        ids=[
            "all good",
            "one bad",
            "first bad",
            "two bad",
            "last two bad",
            "slow",
            "two slow",
            "not yet",
            "one ignored",
        ],
    )
    def test_the_same_thresholds_decide_as_soon_as_they_can(
        self, three: Circuits, outcomes: list[Outcome], state: str
    ) -> None:
        """Of three, two failures are too many whatever the third brings; it need not be waited for."""
        for at, outcome in enumerate(outcomes):
            three.record(f"p{at}", three.probe(f"p{at}"), outcome)
        assert three.status().state == state

    def test_probes_that_are_late_to_a_decision_change_nothing(self, three: Circuits) -> None:
        """The third succeeds after two have failed."""
        generations = {id: three.probe(id) for id in "abc"}
        for id in "ab":
            three.record(id, generations[id], FAILURE)
        before = three.status()
        assert three.record("c", generations["c"], SUCCESS) is None
        assert three.status() == before
        assert before.opened == 2

    def test_the_place_that_is_free_first_is_named(self, three: Circuits, clock: FakeClock) -> None:
        """Of several leases the earliest."""
        for id in "abc":
            three.probe(id)
            clock.advance(10)
        refused = three.admit("d")
        assert isinstance(refused, Refused)
        assert refused.wait_ms == 30_000

    def test_a_long_trial_loses_no_result(self, three: Circuits, clock: FakeClock) -> None:
        """Probes may take longer than the window lasts: they count until they have decided."""
        three.record("a", three.probe("a"), FAILURE)
        clock.advance(3_600)
        three.record("b", three.probe("b"), FAILURE)
        assert three.status().state == "open"
