"""The rules of the desk, on rows in a dict: asked once, decided once, by whom it may be; and a chain that shows it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.approval import chain, desk
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Approval, Decide, Decided, Request
from langgraph_guard.policies.approval.rules import Requirement

PAY, LESS = Action("pay", {"amount": 5}), Action("pay", {"amount": 4})


class Books:
    """A desk in a dict."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.now = 1_000.0

    def ask(self, needed: Requirement | None = None, effect: Any = "require", **fields: Any) -> Approval:
        """Ask for the payment."""
        known = {"requested_by": "agent", "requirement": needed or Requirement(), **fields}
        command = Request("a1", "acme", "t", "", "c1", "pay", PAY.text, PAY.digest, effect, **known)
        return self._do(desk.request, command)  # type: ignore[no-any-return]

    def decide(self, by: str, kind: Any = "approve", digest: str = PAY.digest, **fields: Any) -> Decided:
        """Somebody's word."""
        return self._do(desk.decide, Decide("acme", "a1", by, kind, digest, **fields))  # type: ignore[no-any-return]

    @property
    def approval(self) -> Approval:
        """How it stands."""
        return self.rows[desk.approval_key("acme", "a1")]  # type: ignore[no-any-return]

    @property
    def deeds(self) -> list[chain.Deed]:
        """The chain."""
        return [row for key, row in self.rows.items() if key[0] == "deed"]

    def _do(self, rule: Callable[..., Any], command: Any) -> Any:
        reply, writes = rule(self.rows.get, command, self.now)
        self.rows.update(writes)
        return reply


@pytest.fixture
def books() -> Books:
    """An empty one."""
    return Books()


def test_what_was_asked_stands(books: Books) -> None:
    """A node that runs again asks again, and its rules may say something else by then."""
    books.ask()
    assert books.ask(effect="allow").state == "pending"
    assert len(books.deeds) == 1


@pytest.mark.parametrize(("effect", "state"), [("allow", "allowed"), ("deny", "denied"), ("require", "pending")])
def test_every_ruling_is_laid_down(books: Books, effect: Any, state: str) -> None:
    """Also those that need nobody: a resume must not find them changed."""
    assert books.ask(effect=effect).state == state


def test_the_first_decision_wins(books: Books) -> None:
    """And the second reviewer learns whose it was."""
    books.ask()
    assert books.decide("ann").won
    late = books.decide("bob", "reject")
    assert (late.won, late.problem, late.approval.state) == (False, "it was approved already, by ann", "approved")


def test_the_same_word_again_is_no_other(books: Books) -> None:
    """A browser sends a form twice."""
    books.ask()
    first, second = books.decide("ann"), books.decide("ann")
    assert first == second
    assert len(books.deeds) == 2


@pytest.mark.parametrize("kinds", list(permutations(["approve", "reject", "respond"])), ids="-".join)
def test_whatever_comes_first_is_what_counts(books: Books, kinds: tuple[Any, ...]) -> None:
    """In every order of three people."""
    books.ask(Requirement(allowed_decisions=("approve", "reject", "respond")))
    won = [books.decide(f"by {kind}", kind, message="m").won for kind in kinds]
    assert won == [True, False, False]
    assert books.approval.decided_by == (f"by {kinds[0]}",)


def test_a_quorum_counts_people(books: Books) -> None:
    """Not clicks."""
    books.ask(Requirement(quorum=2))
    assert [books.decide("ann").approval.state, books.decide("ann").approval.state] == ["pending"] * 2
    assert books.decide("bob").approval.state == "approved"
    assert books.approval.decided_by == ("ann", "bob")


def test_one_no_ends_a_quorum(books: Books) -> None:
    """Whoever has doubts is heard."""
    books.ask(Requirement(quorum=2))
    books.decide("ann")
    assert books.decide("bob", "reject").approval.state == "rejected"


def test_an_edit_is_another_action(books: Books) -> None:
    """What others agreed to before is no longer what would run; the editor agrees to what they wrote."""
    books.ask(Requirement(quorum=2))
    books.decide("ann")
    books.decide("bob", "edit", args=LESS.text, new_digest=LESS.digest)
    assert books.decide("ann").problem == "the action is another than the one that was seen"
    after = books.decide("ann", digest=LESS.digest).approval
    assert (after.state, after.digest, after.args, after.edited) == ("approved", LESS.digest, LESS.text, True)


def test_an_edit_has_the_digest_of_its_own_arguments(books: Books) -> None:
    """Later reviewers agree by digest, and what runs is what they were shown: no digest of other arguments counts."""
    books.ask()
    told = books.decide("bob", "edit", args=LESS.text, new_digest="0" * 64)
    assert (told.won, told.problem) == (False, "the digest of the edit is not of its arguments")
    assert books.approval.is_open


def test_what_is_decided_was_seen(books: Books) -> None:
    """A digest of something else decides nothing."""
    books.ask()
    assert not books.decide("ann", digest=LESS.digest).won
    assert books.approval.is_open


@pytest.mark.parametrize(
    ("needed", "word"),
    [
        (Requirement(reviewers=("ann",)), {"by": "bob"}),
        (Requirement(roles=("manager",)), {"by": "bob", "roles": ("guest",)}),
        (Requirement(separation_of_duties=True), {"by": "agent"}),
        (Requirement(allowed_decisions=("reject",)), {"by": "bob"}),
        (Requirement(), {"by": ""}),
        (Requirement(), {"by": "bob", "kind": "respond", "message": "m"}),
        (Requirement(), {"by": "bob", "kind": "edit"}),
    ],
    ids=["reviewer", "role", "duties", "approve", "nobody", "respond", "edit"],
)
def test_a_word_that_does_not_count_changes_nothing(books: Books, needed: Requirement, word: dict[str, Any]) -> None:
    """It is refused with its reason, and the request stays open."""
    books.ask(needed)
    before = dict(books.rows)
    reply = books.decide(**word)
    assert not reply.won
    assert reply.problem
    assert books.rows == before


def test_reviewers_and_roles_are_either(books: Books) -> None:
    """Ann by name, or any manager."""
    books.ask(Requirement(reviewers=("ann",), roles=("manager",), quorum=2))
    assert books.decide("ann").won
    assert books.decide("bob", roles=("manager",)).approval.state == "approved"


def test_whoever_asked_without_a_name_cannot_be_told_apart(books: Books) -> None:
    """So nobody can be sure not to be them."""
    books.ask(Requirement(separation_of_duties=True), requested_by="")
    assert not books.decide("ann").won


def test_time_ends_a_request(books: Books) -> None:
    """A late yes is none, to the moment."""
    books.ask(Requirement(ttl=60))
    books.now += 59.999
    assert books.approval.is_open
    books.now += 0.001
    late = books.decide("ann")
    assert (late.won, late.problem, late.approval.state) == (False, "its time is over", "expired")
    assert [deed.kind for deed in books.deeds] == ["requested", "expired"]


def test_an_unknown_request_is_nothing(books: Books) -> None:
    """Of another tenant, say."""
    books.ask()
    reply, writes = desk.decide(books.rows.get, Decide("other", "a1", "ann", "approve", PAY.digest), books.now)
    assert (reply, writes) == (None, {})


def test_every_deed_is_in_the_chain(books: Books) -> None:
    """Who asked, who voted, who decided."""
    books.ask(Requirement(quorum=2))
    books.decide("ann")
    books.decide("bob", "edit", args=LESS.text, new_digest=LESS.digest)
    books.decide("ann", digest=LESS.digest)
    told = [(deed.kind, deed.by, deed.digest) for deed in books.deeds]
    assert told == [
        ("requested", "agent", PAY.digest),
        ("voted", "ann", PAY.digest),
        ("voted", "bob", LESS.digest),
        ("approved", "ann", LESS.digest),
    ]
    assert chain.verify(books.deeds, books.rows[desk.head_key("acme")]) is None


@given(at=st.integers(0, 9), field=st.sampled_from(chain.Deed._fields), text=st.text(max_size=3))
def test_a_chain_shows_every_change(at: int, field: str, text: str) -> None:
    """To any field of any record."""
    deeds = _ten()
    value: Any = len(text) if field in ("number", "at_ms") else text
    changed = [deed._replace(**{field: value}) if number == at else deed for number, deed in enumerate(deeds)]
    assert (chain.verify(changed, chain.head_of(deeds[-1])) is None) == (changed == deeds)


@pytest.mark.parametrize("at", range(10))
def test_a_chain_shows_what_was_left_out(at: int) -> None:
    """At the end too, for its head is known."""
    deeds = _ten()
    head = chain.head_of(deeds[-1])
    assert chain.verify(deeds, head) is None
    assert chain.verify([*deeds[:at], *deeds[at + 1 :]], head)
    assert chain.verify(deeds[at + 1 :], head, after=chain.head_of(deeds[at])) is None


def _ten() -> list[chain.Deed]:
    deeds: list[chain.Deed] = []
    for number in range(10):
        head = chain.head_of(deeds[-1]) if deeds else chain.Head()
        deeds.append(chain.linked(head, number, "voted", "a", f"by{number}", "d", ""))
    return deeds
