"""Reviewing: by whom a request may be decided, what an edit makes of it, and what is heard only once."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.policies.approval.commands import ANONYMOUS, MOST_ANSWERS, Decided
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import LESS, PAY, TENANT, Harness, Office, decide, driven


class Reviewers(Harness):
    """Who may decide is checked when they do."""

    def test_a_quorum_counts_people(self, office: Office) -> None:
        """Not clicks."""
        office.ask(Requirement(quorum=3))
        for by in ("ann", "ann", "bob", "ann", "bob"):
            assert office.decide(by).approval.state == "pending"
        assert office.decide("cem").approval.decided_by == ("ann", "bob", "cem")
        assert office.kinds() == ["requested", "voted", "voted", "approved"]

    def test_a_quorum_names_who_was_first(self, office: Office) -> None:
        """All of them."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        office.decide("bob")
        assert office.decide("cem", "reject").problem == "it was approved already, by ann and bob"
        assert office.decide("ann").won

    def test_one_no_ends_a_quorum(self, office: Office) -> None:
        """Whoever has doubts is heard."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        assert office.decide("bob", "reject").approval.decided_by == ("bob",)
        assert office.decide("ann").problem == "it was rejected already, by bob"

    @pytest.mark.parametrize(
        ("needed", "word", "problem"),
        [
            (Requirement(reviewers=("ann",)), {"by": "bob"}, "this request is for other reviewers"),
            (Requirement(reviewers=("ann",)), {"by": "Ann"}, "this request is for other reviewers"),
            (Requirement(roles=("boss",)), {"roles": ("guest",)}, "this request is for other reviewers"),
            (Requirement(roles=("boss",)), {"by": "boss"}, "this request is for other reviewers"),
            (Requirement(separation_of_duties=True), {"by": "agent"}, "whoever asked for it may not decide it"),
            (
                Requirement(separation_of_duties=True),
                {"by": "agent", "kind": "reject"},
                "whoever asked for it may not decide it",
            ),
            (Requirement(), {"by": ""}, "nobody says who decides"),
            (
                Requirement(quorum=2),
                {"by": ANONYMOUS},
                "it matters who decides, and nobody says who it was",
            ),
            (
                Requirement(allowed_decisions=("reject",)),
                {},
                "approve is not among the decisions that are allowed",
            ),
            (Requirement(), {"kind": "respond"}, "respond is not among the decisions that are allowed"),
            (Requirement(), {"kind": "edit", "args": ""}, "an edit brings the action that is to run instead"),
            (Requirement(), {"kind": "edit", "new_digest": ""}, "an edit brings the action that is to run instead"),
            (
                Requirement(allowed_decisions=("edit",)),
                {"kind": "edit", "args": PAY.text, "new_digest": PAY.digest},
                "an edit that changes nothing is an approval, which is not among the decisions that are allowed",
            ),
        ],
        ids=[
            "reviewer", "case", "role", "no role", "duties", "duties of a no", "nobody", "anonymous", "approve",
            "respond", "no args", "no digest", "no change",
        ],
    )  # fmt: skip
    def test_a_word_that_does_not_count_changes_nothing(
        self, office: Office, needed: Requirement, word: dict[str, Any], problem: str
    ) -> None:
        """It is refused with its reason, and the request stays open."""
        asked = office.ask(needed)
        assert office.decide(**word) == Decided(asked, False, problem)
        assert (office.approval(), office.kinds()) == (asked, ["requested"])

    def test_reviewers_and_roles_are_either(self, office: Office) -> None:
        """Ann by name, or any boss."""
        office.ask(Requirement(reviewers=("ann",), roles=("boss", "owner"), quorum=2))
        assert office.decide("ann").won
        assert office.decide("bob", roles=("guest", "owner")).approval.state == "approved"

    def test_whoever_asked_without_a_name_cannot_be_told_apart(self, office: Office) -> None:
        """So nobody can be sure not to be them."""
        office.ask(Requirement(separation_of_duties=True), requested_by="")
        assert not office.decide("ann").won

    def test_anybody_is_enough_where_nobody_is_named(self, office: Office) -> None:
        """A person at a terminal without accounts."""
        office.ask()
        assert office.decide(ANONYMOUS).approval.decided_by == (ANONYMOUS,)


class Edits(Harness):
    """An edit makes another action, and what was agreed to before is not it."""

    def test_an_edit_is_what_runs(self, office: Office) -> None:
        """With a digest of its own, agreed to by its editor."""
        office.ask()
        told = office.decide("bob", "edit").approval
        assert (told.args, told.digest, told.first_digest) == (LESS.text, LESS.digest, PAY.digest)
        assert (told.state, told.decided_by, told.edited) == ("approved", ("bob",), True)

    def test_an_edit_voids_earlier_votes(self, office: Office) -> None:
        """They were for something else; who agrees to this too says so again, having seen it."""
        office.ask(Requirement(quorum=3))
        office.decide("ann")
        office.decide("bob")
        assert [vote.by for vote in office.decide("cem", "edit").approval.votes] == ["cem"]
        assert office.decide("ann").problem == "the action is another than the one that was seen"
        office.decide("ann", digest=LESS.digest)
        assert office.decide("bob", digest=LESS.digest).approval.decided_by == ("cem", "ann", "bob")

    def test_a_voter_who_edits_agrees_to_the_edit_alone(self, office: Office) -> None:
        """Their own earlier vote is void too."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        votes = office.decide("ann", "edit").approval.votes
        assert [(vote.by, vote.digest) for vote in votes] == [("ann", LESS.digest)]

    def test_an_edit_back_is_the_first_action_again(self, office: Office) -> None:
        """And no vote comes back with it."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        office.decide("bob", "edit")
        back = office.decide("cem", "edit", digest=LESS.digest, args=PAY.text, new_digest=PAY.digest).approval
        assert ([vote.by for vote in back.votes], back.edited) == (["cem"], False)

    def test_an_edit_that_changes_nothing_is_an_approval(self, office: Office) -> None:
        """A form that was sent without a change; what was agreed to before holds."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        told = office.decide("bob", "edit", args=PAY.text, new_digest=PAY.digest).approval
        assert (told.state, told.decided_by, told.edited) == ("approved", ("ann", "bob"), False)

    @pytest.mark.parametrize("wrong", [PAY.digest, LESS.digest.upper(), LESS.digest[:-1], "0" * 64])
    def test_an_edit_has_the_digest_of_its_own_arguments(self, office: Office, wrong: str) -> None:
        """Later reviewers agree by digest: it must be of the text that they are shown, and of what runs."""
        asked = office.ask(Requirement(quorum=2))
        told = office.decide("bob", "edit", new_digest=wrong)
        assert told == Decided(asked, False, "the digest of the edit is not of its arguments")
        assert (office.approval(), office.kinds()) == (asked, ["requested"])

    def test_an_edit_is_of_the_tool_that_was_asked_about(self, office: Office) -> None:
        """The same arguments to another tool have another digest."""
        asked = office.ask(tool="wire")
        told = office.decide("bob", "edit")
        assert told == Decided(asked, False, "the digest of the edit is not of its arguments")

    def test_the_trail_says_what_was_agreed_to(self, office: Office) -> None:
        """By digest, deed by deed."""
        office.ask(Requirement(quorum=2))
        office.decide("ann")
        office.decide("bob", "edit")
        office.decide("ann", digest=LESS.digest)
        assert [(deed.kind, deed.by, deed.digest, deed.detail) for deed in office.deeds()] == [
            ("requested", "agent", PAY.digest, ""),
            ("voted", "ann", PAY.digest, "approve"),
            ("voted", "bob", LESS.digest, "edit"),
            ("approved", "ann", LESS.digest, "approve"),
        ]


class Sources(Harness):
    """A node that runs again hears all answers again, and by then somebody else may be running it."""

    def test_a_word_from_a_source_is_heard_once(self, office: Office) -> None:
        """Whoever brings it the second time has said nothing."""
        office.ask(Requirement(quorum=2))
        first = office.decide("ann", source="q1.1")
        assert office.decide("bob", source="q1.1") == first
        assert [vote.by for vote in first.approval.votes] == ["ann"]

    def test_another_source_is_another_word(self, office: Office) -> None:
        """The second reviewer answers the second question."""
        office.ask(Requirement(quorum=2))
        office.decide("ann", source="q1.1")
        assert office.decide("bob", source="q1.2").approval.state == "approved"

    def test_a_word_that_did_not_count_is_not_heard_later(self, office: Office) -> None:
        """A guest approved, and the boss only runs the node again."""
        office.ask(Requirement(roles=("boss",)))
        assert not office.decide("guest", source="q1.1").won
        told = office.decide("ann", roles=("boss",), source="q1.1")
        assert (told.won, told.problem) == (False, "it was said before, and did not count")
        assert office.state() == "pending"

    def test_two_people_who_answer_one_question_at_once_are_two(self, office: Office) -> None:
        """Both answers have the same source. The reject is not taken for the approval, and is told that it lost."""
        office.ask()
        assert office.decide("ann", source="q1.1").won
        told = office.decide("bob", "reject", source="q1.1")
        assert (told.won, told.problem) == (False, "it was approved already, by ann")

    def test_a_heard_word_is_told_how_it_ended(self, office: Office) -> None:
        """The run goes on with what counts, though it is the fifth to come by."""
        office.ask()
        office.decide("ann", source="q1.1")
        assert office.decide("bob", source="q1.1").approval == office.approval()

    def test_answers_are_counted(self, clock: FakeClock) -> None:
        """A loop that answers for ever does not fill the store."""
        with driven(self.make_backend(clock, TENANT), "execute") as office:
            office.ask(Requirement(quorum=2))
            office.tell(*(decide("ann", source=f"q{number}") for number in range(MOST_ANSWERS)))
            before = office.approval()
            told = office.decide("bob", source="one more")
            assert (told.won, told.problem) == (False, f"it was answered {MOST_ANSWERS} times")
            assert office.approval() == before
