"""Expiring: what nobody decides in time is closed, by the store's clock."""

from __future__ import annotations

from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import TTL, Harness, Office, request


class Expiring(Harness):
    """Time ends a request, by the store's clock, to the moment."""

    def test_a_late_yes_is_none(self, office: Office, clock: FakeClock) -> None:
        """Whoever approves then learns that its time is over."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL)
        told = office.decide()
        assert (told.won, told.problem, told.approval.state) == (False, "its time is over", "expired")
        assert (told.approval.decided_at, told.approval.decided_by) == (clock.now(), ())
        assert office.kinds() == ["requested", "expired"]

    def test_until_then_it_is_open(self, office: Office, clock: FakeClock) -> None:
        """A decision in the last moment counts."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL - 0.001)
        assert office.decide().won

    def test_a_vote_in_time_is_no_decision(self, office: Office, clock: FakeClock) -> None:
        """A quorum must be complete in time."""
        office.ask(Requirement(quorum=2, ttl=TTL))
        office.decide("ann")
        clock.advance(TTL)
        assert office.decide("bob").approval.state == "expired"

    def test_a_decision_does_not_expire(self, office: Office, clock: FakeClock) -> None:
        """It was made in time; the run comes later."""
        office.ask(Requirement(ttl=TTL))
        office.decide()
        clock.advance(10 * TTL)
        assert (office.state(), office.sweep()) == ("approved", 0)

    def test_whoever_looks_sees_that_time_is_over(self, office: Office, clock: FakeClock) -> None:
        """Swept or not; looking writes nothing."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL)
        assert (office.state(), office.pending()) == ("expired", [])
        assert office.kinds() == ["requested"]

    def test_asking_again_does_not_give_it_more_time(self, office: Office, clock: FakeClock) -> None:
        """A node that runs again finds it expired."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL)
        assert office.ask(Requirement(ttl=TTL)).state == "expired"
        assert office.kinds() == ["requested", "expired"]

    def test_without_a_time_it_waits_for_as_long_as_it_takes(self, office: Office, clock: FakeClock) -> None:
        """A year, and it is still there."""
        office.ask()
        clock.advance(366 * 86_400)
        assert office.decide().won

    def test_a_clock_that_is_set_back_brings_nothing_back(self, office: Office, clock: FakeClock) -> None:
        """What somebody was told is over, is over."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL)
        office.decide()
        clock.set(clock.now() - 2 * TTL)
        assert office.decide().approval.state == "expired"

    def test_a_sweep_closes_what_is_over(self, office: Office, clock: FakeClock) -> None:
        """All of it, once, and nothing else."""
        office.tell(*(request(f"a{number}", requirement=Requirement(ttl=number + 1)) for number in range(5)))
        office.ask(id="open")
        clock.advance(3)
        assert [office.sweep(), office.sweep()] == [3, 0]
        assert [office.state(f"a{number}") for number in range(5)] == ["expired"] * 3 + ["pending"] * 2
        assert office.kinds().count("expired") == 3

    def test_a_sweep_takes_as_many_as_there_are(self, office: Office, clock: FakeClock) -> None:
        """More than anybody closes in one step."""
        office.tell(*(request(f"a{number}", requirement=Requirement(ttl=1)) for number in range(250)))
        clock.advance(1)
        assert office.sweep() == 250
        assert len(office.deeds()) == 500
