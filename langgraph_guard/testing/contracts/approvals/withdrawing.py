"""Withdrawing: what a run went on without is closed, and nobody's word opens it again."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.approval.commands import Decided, Withdraw
from langgraph_guard.policies.approval.rules import Effect, Requirement
from langgraph_guard.policies.outbox import Unapproved
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import PAY, TENANT, TTL, Harness, Office

WITHDRAW = Withdraw(TENANT, "a1")
LATE = "it was withdrawn: its run went on without it"


class Withdrawing(Harness):
    """A run that goes on takes its questions back."""

    def test_a_request_that_was_withdrawn_is_closed(self, office: Office, clock: FakeClock) -> None:
        """It is in nobody's list any more, and the chain says when it went."""
        office.ask()
        clock.advance(1)
        (told,) = office.tell(WITHDRAW)
        assert (told.state, told.decided_by, told.decided_at) == ("withdrawn", (), clock.now())
        assert (office.approval(), office.pending()) == (told, [])
        deed = office.deeds()[-1]
        assert (deed.kind, deed.subject, deed.by, deed.digest) == ("withdrawn", "a1", "", PAY.digest)

    @pytest.mark.parametrize("kind", ["approve", "reject"])
    def test_a_late_word_is_told_so(self, office: Office, kind: str) -> None:
        """Whoever approves then must not believe that it runs."""
        office.ask()
        (told,) = office.tell(WITHDRAW)
        assert office.decide(kind=kind) == Decided(told, False, LATE)
        assert office.kinds() == ["requested", "withdrawn"]

    def test_it_is_withdrawn_once(self, office: Office, clock: FakeClock) -> None:
        """Each later step of the run says so again; the chain does not grow by that."""
        office.ask()
        (first,) = office.tell(WITHDRAW)
        clock.advance(1)
        assert office.tell(WITHDRAW) == [first]
        assert office.kinds() == ["requested", "withdrawn"]

    @pytest.mark.parametrize("effect", ["require", "allow"])
    def test_what_may_run_may_not_run_then(self, office: Office, effect: Effect) -> None:
        """The model is told that it did not: no claim may come after that."""
        office.ask(effect=effect)
        office.decide()
        (told,) = office.tell(WITHDRAW)
        assert told.state == "withdrawn"
        assert [office.claim(approval="a1", required=each) for each in (True, False)] == [Unapproved(told)] * 2

    @pytest.mark.parametrize("kind", ["reject", "respond"])
    def test_a_no_stays_what_it_was(self, office: Office, kind: str) -> None:
        """Nothing runs by it, so nothing is to be taken back."""
        refused = office.ask(Requirement(("reject", "respond")))
        refused = office.decide(kind=kind).approval
        assert office.tell(WITHDRAW) == [refused]

    def test_what_nobody_decided_in_time_has_expired(self, office: Office, clock: FakeClock) -> None:
        """Time came first, whoever notices."""
        office.ask(Requirement(ttl=TTL))
        clock.advance(TTL)
        (told,) = office.tell(WITHDRAW)
        assert told.state == "expired"
        assert office.kinds() == ["requested", "expired"]

    def test_what_nobody_asked_is_not_withdrawn(self, office: Office) -> None:
        """An id that is made up, or another tenant's."""
        office.ask()
        assert office.tell(Withdraw(TENANT, "a2"), Withdraw("evil", "a1")) == [None, None]
        assert (office.state(), office.kinds("evil")) == ("pending", [])

    def test_the_same_question_again_stays_withdrawn(self, office: Office) -> None:
        """An older checkpoint asks it again; what stands, stands."""
        office.ask()
        office.tell(WITHDRAW)
        assert office.ask().state == "withdrawn"
