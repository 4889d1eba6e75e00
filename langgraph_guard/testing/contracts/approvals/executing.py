"""Executing: claimed before it begins, once, if what covers it was approved."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claimed, Execution, Unapproved
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEY, LEASE, LESS, TTL, Harness, Office


class Executing(Harness):
    """At most once, whatever is sent again."""

    def test_one_of_two_begins(self, office: Office, clock: FakeClock) -> None:
        """The other learns that it is under way."""
        assert office.claim("w1") == Claimed(1)
        under_way = Execution("started", "w1", 1, clock.now(), clock.now() + LEASE)
        assert (office.claim("w2"), office.execution()) == (under_way, under_way)

    def test_who_asks_again_has_the_same_claim(self, office: Office, clock: FakeClock) -> None:
        """The answer to the first was lost. Its lease does not grow by asking."""
        office.claim("w1")
        before = office.execution()
        clock.advance(1)
        assert office.claim("w1") == Claimed(1)
        assert (office.execution(), office.kinds()) == (before, ["started"])

    def test_what_was_done_is_not_done_again(self, office: Office, clock: FakeClock) -> None:
        """Whoever comes later has the result, and so has who did it."""
        office.claim("w1")
        clock.advance(1)
        assert office.done("paid ✓")
        found = office.claim("w2")
        assert isinstance(found, Execution)
        assert (found.state, found.result, found.at, found.owner) == ("done", "paid ✓", clock.now(), "w1")
        assert office.claim("w1") == found

    def test_what_did_not_happen_may_be_done(self, office: Office) -> None:
        """By the next, with a fence of their own: fences grow."""
        for fence in (1, 2, 3):
            assert office.claim(f"w{fence}") == Claimed(fence)
            assert office.failed(False, fence)
            assert office.stands() == "failed"

    def test_what_may_have_happened_is_in_doubt(self, office: Office) -> None:
        """A timeout, say: nobody does it again, not even who did it."""
        office.claim("w1")
        assert office.failed(True)
        assert [office.claim("w2"), office.claim("w1")] == [office.execution()] * 2
        assert office.stands() == "in_doubt"

    @pytest.mark.parametrize("end", ["done", "did not happen", "in doubt"])
    def test_an_end_that_is_told_again_has_the_same_reply(self, office: Office, clock: FakeClock, end: str) -> None:
        """The answer to the first was lost; it is one deed."""
        office.claim("w1")
        replies = []
        for _ in range(3):
            replies.append(office.done() if end == "done" else office.failed(end == "in doubt"))
            clock.advance(1)
        assert replies == [True] * 3
        assert len(office.deeds()) == 2

    def test_a_result_is_not_taken_back(self, office: Office) -> None:
        """Not by its owner either."""
        office.claim("w1")
        office.done("paid")
        before = office.execution()
        assert [office.done("not paid"), office.failed(False), office.failed(True)] == [False] * 3
        assert office.execution() == before

    def test_a_word_with_another_fence_does_not_count(self, office: Office) -> None:
        """It is of an attempt that is over, or of none."""
        office.claim("w1")
        office.failed(False)
        office.claim("w2")
        before = office.execution()
        for fence in (0, 1, 3):
            assert [office.done(fence=fence), office.failed(True, fence), office.failed(False, fence)] == [False] * 3
            assert not office.extend(fence=fence)
        assert office.execution() == before

    def test_nobody_ends_what_nobody_began(self, office: Office) -> None:
        """And nothing is left behind."""
        assert [office.done(), office.failed(False), office.failed(True), office.extend()] == [False] * 4
        assert (office.resolve("paid"), office.execution(), office.kinds()) == (None, None, [])

    def test_whoever_said_that_it_did_not_happen_may_have_been_wrong(self, office: Office) -> None:
        """Its owner was only slow, and knows better; as long as nobody has begun again, nobody will."""
        office.claim("w1")
        office.failed(True)
        office.resolve(None)
        assert office.done("paid")
        assert office.claim("w2") == office.execution()
        assert office.kinds() == ["started", "in_doubt", "resolved_failed", "done"]

    def test_every_execution_is_its_own(self, office: Office) -> None:
        """Another tenant's, thread's, call's or action's."""
        office.claim("w1")
        office.done()
        others = [KEY._replace(**{field: "other"}) for field in KEY._fields]
        assert [office.claim("w2", key) for key in others] == [Claimed(1)] * 4


class Covered(Harness):
    """What was approved is what runs: looked at in the step that begins it."""

    def test_an_approved_action_may_begin(self, office: Office) -> None:
        """And its execution names its approval."""
        office.ask()
        office.decide()
        assert office.claim(approval="a1", required=True) == Claimed(1)
        execution = office.execution()
        assert execution is not None
        assert (execution.approval, office.deeds()[-1].detail) == ("a1", "a1")

    @pytest.mark.parametrize("required", [True, False])
    def test_an_allowed_action_may_begin(self, office: Office, required: bool) -> None:
        """The rules said so, when they were asked."""
        office.ask(effect="allow")
        assert office.claim(approval="a1", required=required) == Claimed(1)

    @pytest.mark.parametrize("required", [True, False])
    @pytest.mark.parametrize("how", ["open", "denied", "rejected", "responded", "expired", "half a quorum"])
    def test_what_is_not_approved_does_not_begin(
        self, office: Office, clock: FakeClock, how: str, required: bool
    ) -> None:
        """Whether an approval is required or not: people were asked. Nothing is written."""
        decisions: Any = ("approve", "reject", "respond")
        needed = Requirement(decisions, quorum=2, ttl=TTL)
        office.ask(needed, effect="deny" if how == "denied" else "require")
        if how == "half a quorum":
            office.decide()
        elif how in ("rejected", "responded"):
            office.decide(kind={"rejected": "reject", "responded": "respond"}[how])
        elif how == "expired":
            clock.advance(TTL)
        deeds = office.deeds()
        assert office.claim(approval="a1", required=required) == Unapproved(office.approval())
        assert (office.execution(), office.deeds()) == (None, deeds)

    @pytest.mark.parametrize("approval", ["", "a1"])
    def test_a_required_approval_must_be_there(self, office: Office, approval: str) -> None:
        """Nobody asked, so nobody agreed."""
        assert office.claim(approval=approval, required=True) == Unapproved(None)
        assert office.execution() is None

    @pytest.mark.parametrize("approval", ["", "a1"])
    def test_what_nobody_asked_about_may_begin_where_none_is_required(self, office: Office, approval: str) -> None:
        """The id is what a request would have, if there were one."""
        assert office.claim(approval=approval) == Claimed(1)

    @pytest.mark.parametrize("field", ["thread", "call_id", "digest"])
    def test_an_approval_covers_one_call(self, office: Office, field: str) -> None:
        """Two payments of 5 to the same person are two payments, and two approvals."""
        office.ask()
        office.decide()
        key = KEY._replace(**{field: LESS.digest})
        assert office.claim(key=key, approval="a1") == Unapproved(office.approval())

    def test_after_an_edit_only_the_edited_action_may_begin(self, office: Office) -> None:
        """A reviewer approves 4, and not 5."""
        office.ask()
        office.decide(kind="edit")
        assert office.claim(approval="a1", required=True) == Unapproved(office.approval())
        assert office.claim(key=KEY._replace(digest=LESS.digest), approval="a1", required=True) == Claimed(1)

    def test_another_tenants_approval_covers_nothing(self, office: Office) -> None:
        """Though the id is the same."""
        office.ask(tenant="evil")
        office.decide(tenant="evil")
        assert office.claim(approval="a1", required=True) == Unapproved(None)

    def test_each_attempt_is_covered(self, office: Office) -> None:
        """The second one too, after one that did not happen."""
        office.ask()
        office.decide()
        office.claim(approval="a1", required=True)
        office.failed(False)
        assert office.claim("w2", approval="", required=True) == Unapproved(None)
        assert office.claim("w2", approval="a1", required=True) == Claimed(2)

    def test_what_has_begun_is_told_whoever_approved_it(self, office: Office) -> None:
        """A replay has its result, also when it names no approval."""
        office.ask()
        office.decide()
        office.claim(approval="a1", required=True)
        office.done()
        found = office.claim("w2", required=True)
        assert isinstance(found, Execution)
        assert (found.state, found.result, found.approval) == ("done", "paid", "a1")
