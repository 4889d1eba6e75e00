"""Doubting: whoever dies in between leaves a doubt, and no second effect; somebody looks, and settles it."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.outbox import Claimed
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEY, LEASE, Harness, Office


class Leases(Harness):
    """Whoever dies leaves a doubt behind, and no second effect."""

    def test_until_its_lease_ends_it_is_under_way(self, office: Office, clock: FakeClock) -> None:
        """To the moment."""
        office.claim("w1")
        clock.advance(LEASE - 0.001)
        assert office.stands() == "started"
        clock.advance(0.001)
        assert office.stands() == "in_doubt"

    def test_a_dead_workers_execution_is_in_doubt(self, office: Office, clock: FakeClock) -> None:
        """kill -9 between the claim and its end. That it is so is written down by who finds it, once."""
        office.claim("w1")
        clock.advance(LEASE)
        found = [office.claim("w2"), office.claim("w3"), office.claim("w1")]
        assert found == [office.execution()] * 3
        assert [(deed.kind, deed.by) for deed in office.deeds()] == [("started", "w1"), ("in_doubt", "w1")]

    @pytest.mark.parametrize("found", [True, False])
    def test_a_late_word_counts(self, office: Office, clock: FakeClock, found: bool) -> None:
        """The worker was only slow, and nobody has decided meanwhile."""
        office.claim("w1")
        clock.advance(LEASE + 1)
        if found:
            office.claim("w2")
        assert office.done("paid")
        assert office.stands() == "done"

    def test_a_late_no_counts_too(self, office: Office, clock: FakeClock) -> None:
        """It never happened, so it may be done."""
        office.claim("w1")
        clock.advance(LEASE + 1)
        assert office.failed(False)
        assert office.claim("w2") == Claimed(2)

    def test_a_late_doubt_is_the_same_doubt(self, office: Office, clock: FakeClock) -> None:
        """Its owner does not know either; it is told once."""
        office.claim("w1")
        clock.advance(LEASE + 1)
        office.claim("w2")
        assert office.failed(True)
        assert office.kinds() == ["started", "in_doubt"]

    def test_a_lease_is_extended_by_its_owner(self, office: Office, clock: FakeClock) -> None:
        """From now on, while it lasts, and never to an earlier end."""
        office.claim("w1")
        clock.advance(LEASE - 1)
        assert [office.extend(), office.extend(0.5)] == [True, True]
        clock.advance(LEASE - 0.001)
        assert office.stands() == "started"
        clock.advance(0.001)
        assert office.stands() == "in_doubt"
        assert office.kinds() == ["started"]

    def test_a_lease_that_has_ended_is_not_extended(self, office: Office, clock: FakeClock) -> None:
        """Somebody may have been told by then that it is in doubt."""
        office.claim("w1")
        clock.advance(LEASE)
        assert not office.extend()
        assert office.stands() == "in_doubt"

    def test_what_has_ended_has_no_lease(self, office: Office) -> None:
        """Its owner stops extending."""
        office.claim("w1")
        office.done()
        assert not office.extend()

    def test_a_clock_that_is_set_back_takes_no_doubt_away(self, office: Office, clock: FakeClock) -> None:
        """Once it was told, only a word or a person does."""
        office.claim("w1")
        clock.advance(LEASE)
        office.claim("w2")
        clock.set(clock.now() - 2 * LEASE)
        assert office.stands() == "in_doubt"
        assert not office.extend()


class Doubts(Harness):
    """Somebody looked, and says what happened."""

    @pytest.mark.parametrize("how", ["told", "found", "not found yet"])
    @pytest.mark.parametrize(("result", "state"), [("paid", "done"), ("", "done"), (None, "failed")])
    def test_a_doubt_is_resolved(
        self, office: Office, clock: FakeClock, how: str, result: str | None, state: str
    ) -> None:
        """By a person, or whoever can look; what they say is what everyone is told."""
        office.claim("w1")
        if how == "told":
            office.failed(True)
        clock.advance(LEASE)
        if how == "found":
            office.claim("w2")
        resolved = office.resolve(result, "zoë")
        assert resolved is not None
        assert (resolved.state, resolved.result, resolved.at) == (state, result or "", clock.now())
        assert (office.execution(), office.resolve(result, "zoë")) == (resolved, resolved)
        deed = office.deeds()[-1]
        assert (deed.kind, deed.by, deed.subject) == (f"resolved_{state}", "zoë", KEY.idempotency_key)

    def test_what_did_not_happen_after_all_may_be_done(self, office: Office) -> None:
        """With the next fence."""
        office.claim("w1")
        office.failed(True)
        office.resolve(None)
        assert office.claim("w1") == Claimed(2)

    def test_the_first_who_resolves_it_is_heard(self, office: Office) -> None:
        """The second is told what the first said."""
        office.claim("w1")
        office.failed(True)
        first = office.resolve("paid", "ann")
        assert office.resolve(None, "bob") == first

    @pytest.mark.parametrize("end", ["started", "done", "failed"])
    def test_only_a_doubt_is_resolved(self, office: Office, end: str) -> None:
        """What is under way, or has ended, is for its owner to tell."""
        office.claim("w1")
        if end != "started":
            _ = office.done() if end == "done" else office.failed(False)
        before = office.execution()
        assert [office.resolve(None), office.resolve("paid")] == [before] * 2
        assert office.stands() == end
