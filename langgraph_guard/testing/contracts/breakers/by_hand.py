"""By hand: a person opens a circuit or closes it, and it is known who, when and why."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.breaker import FAILURE, SUCCESS, AuditRecord, Change, Refused, rate_limited
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAIT, Circuits, Harness


class ByHand(Harness):
    """What a person said holds until a person says otherwise."""

    def test_a_circuit_that_is_held_open_stays_open(self, circuits: Circuits, clock: FakeClock) -> None:
        """A kill switch that times out is none."""
        assert circuits.force_open() == Change("closed", "forced_open", "forced_open")
        clock.advance(365 * 86_400)
        assert circuits.admit("r") == Refused("forced_open", None, None)
        assert circuits.status()[:3] == ("forced_open", False, None)

    @pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, rate_limited(5)], ids=["success", "failure", "rate limited"])
    def test_no_result_changes_what_a_person_said(self, circuits: Circuits, clock: FakeClock, outcome: object) -> None:
        """Neither of calls that were under way, nor of a probe."""
        circuits.trip()
        clock.advance(WAIT)
        generation = circuits.probe()
        circuits.force_open()
        for of in range(generation + 2):
            assert circuits.record("probe", of, outcome) is None  # type: ignore[arg-type]
        assert circuits.status().state == "forced_open"

    def test_holding_it_twice_is_holding_it(self, circuits: Circuits) -> None:
        """The answer was lost, or a second person pressed the same button: one change, two records."""
        circuits.force_open(by="ada")
        generation = circuits.status().generation
        assert circuits.force_open(by="bob") is None
        assert circuits.status().generation == generation
        assert [record.by for record in circuits.audit()] == ["ada", "bob"]

    @pytest.mark.parametrize("state", ["closed", "open", "half_open", "forced_open"])
    def test_a_reset_closes_it_whatever_it_was(self, circuits: Circuits, clock: FakeClock, state: str) -> None:
        """With an empty window, and without what calls under way have to say."""
        circuits.call(FAILURE, FAILURE)
        if state in ("open", "half_open"):
            circuits.call(FAILURE)
        if state == "half_open":
            clock.advance(WAIT)
            circuits.probe()
        if state == "forced_open":
            circuits.force_open()
        under_way = circuits.status().generation
        change = circuits.reset()
        assert (change is None) == (state == "closed")
        assert circuits.status()[:2] == ("closed", True)
        assert circuits.status()[-4:] == (0, 0, 0, 0)
        assert circuits.record("probe", under_way, FAILURE) is None
        assert circuits.status().calls == 0

    def test_the_record_says_who_when_why_and_what_it_was(self, circuits: Circuits, clock: FakeClock) -> None:
        """The first question after an incident."""
        at = int(clock.now() * 1_000)
        circuits.force_open(by="ada", reason="INC-7")
        clock.advance(60)
        circuits.reset(by="bob", reason="fixed")
        assert circuits.audit() == (
            AuditRecord(at, "force_open", "ada", "INC-7", "closed"),
            AuditRecord(at + 60_000, "reset", "bob", "fixed", "forced_open"),
        )

    def test_what_a_circuit_does_by_itself_is_not_on_record(self, circuits: Circuits) -> None:
        """Events tell that. Nobody did it."""
        circuits.trip()
        assert circuits.audit() == ()

    def test_the_record_is_bounded_and_keeps_the_newest(self, circuits: Circuits) -> None:
        """A script that flips a switch for ever must not fill the store."""
        for at in range(300):
            circuits.force_open(by=f"{at}")
        found = [int(record.by) for record in circuits.audit()]
        assert found == list(range(300))[-len(found) :]
        assert 50 <= len(found) <= 200

    def test_each_circuit_has_its_own_record(self, circuits: Circuits) -> None:
        """And is switched alone."""
        circuits.force_open()
        other = KEY._replace(key="other")
        assert (circuits.audit(other), circuits.status(other).state) == ((), "closed")
