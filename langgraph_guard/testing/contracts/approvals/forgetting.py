"""Forgetting: what is closed goes after thirty days, what waits for somebody stays."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claimed, Unapproved
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEPT, KEY, LEASE, TTL, Harness, Office, request

MOMENT = 1.0


class Forgetting(Harness):
    """The store is bounded by what is open and by a month of what is not."""

    @pytest.mark.parametrize("how", ["allowed", "denied", "approved", "rejected", "expired"])
    def test_a_closed_request_is_remembered_for_thirty_days(self, office: Office, clock: FakeClock, how: str) -> None:
        """A late resume finds how it ended; after that nobody asked."""
        self._close(office, clock, how)
        clock.advance(KEPT - MOMENT)
        _write(office)
        assert office.state() == how
        clock.advance(MOMENT)
        _write(office)
        assert office.approval() is None
        assert office.claim(approval="a1", required=True) == Unapproved(None)

    @pytest.mark.parametrize("end", ["done", "failed", "resolved"])
    def test_an_execution_that_ended_is_remembered_for_thirty_days(
        self, office: Office, clock: FakeClock, end: str
    ) -> None:
        """So long, a replay has its result."""
        office.claim("w1")
        if end == "done":
            office.done("paid")
        else:
            office.failed(end == "resolved")
        if end == "resolved":
            office.resolve("paid")
        clock.advance(KEPT - MOMENT)
        _write(office)
        assert office.stands() == ("failed" if end == "failed" else "done")
        clock.advance(MOMENT)
        _write(office)
        assert office.execution() is None

    @pytest.mark.parametrize("end", ["lease", "told"])
    def test_a_doubt_is_not_forgotten(self, office: Office, clock: FakeClock, end: str) -> None:
        """It would be done a second time."""
        office.claim("w1")
        if end == "told":
            office.failed(True)
        clock.advance(LEASE + 12 * KEPT)
        _write(office)
        assert office.claim("w2") == office.execution()
        assert office.stands() == "in_doubt"

    def test_a_page_begins_again_after_a_request_that_is_forgotten(self, office: Office, clock: FakeClock) -> None:
        """Whether or not anything else was said to the desk since then."""
        office.ask(id="first")
        clock.advance(MOMENT)
        office.ask(id="second")
        office.decide(id="second")
        clock.advance(KEPT - MOMENT)
        before = office.pending(after="second")
        clock.advance(MOMENT)
        assert (before, office.pending(after="second")) == ([], ["first"])

    def test_what_is_open_is_not_forgotten(self, office: Office, clock: FakeClock) -> None:
        """Its thread waits for it."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        clock.advance(12 * KEPT)
        _write(office)
        assert office.decide("bob").approval.decided_by == ("ann", "bob")

    def test_what_began_again_is_not_forgotten_with_what_failed(self, office: Office, clock: FakeClock) -> None:
        """The month of the first attempt ends during the second."""
        office.claim("w1")
        office.failed(False)
        clock.advance(KEPT - MOMENT)
        assert office.claim("w2", lease=2 * KEPT) == Claimed(2)
        clock.advance(2 * MOMENT)
        _write(office)
        assert office.stands() == "started"

    def test_the_trail_outlives_what_it_tells_of(self, office: Office, clock: FakeClock) -> None:
        """It is what an audit asks for."""
        office.ask()
        office.decide()
        office.claim(approval="a1", required=True)
        office.done()
        clock.advance(2 * KEPT)
        _write(office)
        assert office.kinds()[:4] == ["requested", "approved", "started", "done"]

    def test_many_are_forgotten_little_by_little(self, office: Office, clock: FakeClock) -> None:
        """More than one step forgets, and nobody is kept waiting."""
        office.tell(*(request(f"{number}", "allow") for number in range(250)))
        clock.advance(KEPT)
        for _ in range(10):
            _write(office)
        assert not any(office.approval(f"{number}") for number in range(250))

    def _close(self, office: Office, clock: FakeClock, how: str) -> None:
        if how in ("allowed", "denied"):
            office.ask(effect="allow" if how == "allowed" else "deny")
            return
        office.ask(Requirement(ttl=TTL))
        if how == "expired":
            clock.advance(TTL)
            office.sweep()
        else:
            office.decide(kind="approve" if how == "approved" else "reject")


def _write(office: Office) -> None:
    """Somebody else's business, with which a store does its own."""
    office.claim("somebody", KEY._replace(tenant="other", call_id=f"{len(office.deeds('other'))}"))
