"""Deciding: asked once, decided once, by whom it may be, in time, on what was seen."""

from __future__ import annotations

from itertools import permutations

import pytest

from langgraph_guard.policies.approval.commands import Decided
from langgraph_guard.policies.approval.rules import Effect, Requirement
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import (
    LESS,
    PAY,
    TENANT,
    TTL,
    Harness,
    Office,
    decide,
)

ANYTHING = Requirement(allowed_decisions=("approve", "edit", "reject", "respond"))


class Deciding(Harness):
    """The first decision wins; whoever is later learns whose it was."""

    def test_a_request_is_laid_down_as_it_was_made(self, office: Office, clock: FakeClock) -> None:
        """Every word of it: it is what a reviewer sees, and what is compared before it runs."""
        needed = Requirement(("reject", "approve"), 2, ("ann", "bob"), ("boss",), TTL, True, "pay zoë?")
        asked = office.ask(needed, ns="sub:graph", reason="more than 3 €")
        told = (asked.id, asked.tenant, asked.thread, asked.ns, asked.call_id, asked.tool, asked.args, asked.reason)
        assert told == ("a1", TENANT, "t1", "sub:graph", "c1", "pay", PAY.text, "more than 3 €")
        assert (asked.digest, asked.first_digest, asked.requested_by) == (PAY.digest, PAY.digest, "agent")
        assert (asked.needed, asked.at, asked.expires_at) == (needed, clock.now(), clock.now() + TTL)
        assert office.approval() == asked

    @pytest.mark.parametrize(("effect", "state"), [("allow", "allowed"), ("deny", "denied"), ("require", "pending")])
    def test_every_ruling_is_laid_down(self, office: Office, effect: Effect, state: str) -> None:
        """Also those that need nobody: a resume must not find them changed."""
        assert office.ask(effect=effect).state == state
        assert office.kinds() == ["requested" if state == "pending" else state]

    def test_what_was_asked_stands(self, office: Office, clock: FakeClock) -> None:
        """A node that runs again asks again, and its rules may say something else by then."""
        first = office.ask()
        clock.advance(1)
        assert office.ask(effect="allow", reason="now it is fine") == first
        assert office.kinds() == ["requested"]

    def test_what_was_decided_stands(self, office: Office) -> None:
        """A request that is sent again after its decision does not open it."""
        office.ask()
        approved = office.decide().approval
        assert office.ask() == approved

    @pytest.mark.parametrize("kind", ["approve", "edit", "reject", "respond"])
    def test_a_decision_is_remembered_with_whoever_made_it(self, office: Office, clock: FakeClock, kind: str) -> None:
        """Every framework can ask; few can say who answered."""
        office.ask(ANYTHING)
        clock.advance(1)
        told = office.decide("ann", kind, message="as agreed").approval
        state = {"reject": "rejected", "respond": "responded"}.get(kind, "approved")
        assert (told.state, told.decided_by, told.decided_at) == (state, ("ann",), clock.now())
        assert (told.message, office.approval()) == ("as agreed", told)

    @pytest.mark.parametrize("kinds", list(permutations(["approve", "edit", "reject", "respond"], 2)), ids="-".join)
    def test_the_first_decision_wins(self, office: Office, kinds: tuple[str, str]) -> None:
        """And the second reviewer is told who decided, and how."""
        office.ask(ANYTHING)
        first, second = office.decide("ann", kinds[0]), office.decide("bob", kinds[1])
        assert (first.won, first.problem) == (True, "")
        assert second == Decided(first.approval, False, f"it was {first.approval.state} already, by ann")

    @pytest.mark.parametrize("kind", ["approve", "edit", "reject", "respond"])
    def test_a_decision_that_is_sent_again_has_the_same_reply(
        self, office: Office, clock: FakeClock, kind: str
    ) -> None:
        """The answer to the first was lost, and the clock went on."""
        office.ask(ANYTHING)
        first = office.decide("ann", kind)
        clock.advance(1)
        assert office.decide("ann", kind) == first
        assert len(office.deeds()) == 2

    @pytest.mark.parametrize("kind", ["approve", "edit"])
    def test_a_vote_that_is_sent_again_has_the_same_reply(self, office: Office, clock: FakeClock, kind: str) -> None:
        """A quorum is not complete yet, and the editor's second try sees the action that is already edited."""
        office.ask(Requirement(quorum=2))
        first = office.decide("ann", kind)
        clock.advance(1)
        assert office.decide("ann", kind) == first
        assert (first.won, first.approval.state, len(office.deeds())) == (True, "pending", 2)

    def test_nobody_decides_what_nobody_asked(self, office: Office) -> None:
        """An id that is made up, or another tenant's."""
        office.ask()
        assert office.tell(decide(id="a2"), decide(tenant="evil"), decide(tenant="")) == [None] * 3
        assert (office.approval("a2"), office.approval(tenant="evil"), office.state()) == (None, None, "pending")
        assert (office.kinds(), office.kinds("evil")) == (["requested"], [])

    def test_a_word_counts_on_what_was_seen(self, office: Office) -> None:
        """A digest of something else decides nothing."""
        office.ask()
        told = office.decide(digest=LESS.digest)
        assert (told.won, told.problem) == (False, "the action is another than the one that was seen")
        assert office.state() == "pending"
