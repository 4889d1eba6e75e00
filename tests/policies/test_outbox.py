"""The rules of the outbox, on rows in a dict: an execution happens at most once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_guard.policies import outbox
from langgraph_guard.policies.approval import chain
from langgraph_guard.policies.approval.desk import head_key
from langgraph_guard.policies.outbox import Claim, Claimed, Done, EffectKey, Execution, Extend, Failed, LookUp, Resolve

KEY = EffectKey("acme", "t", "c1", "d" * 64)


class Books:
    """An outbox in a dict."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.now = 1_000.0

    def do(self, command: Any) -> Any:
        """Obey."""
        reply, writes = outbox.RULES[type(command)](self.rows.get, command, self.now)
        self.rows.update(writes)
        return reply

    def claim(self, owner: str = "w1", lease: float = 60.0) -> Any:
        """Try to begin."""
        return self.do(Claim(KEY, owner, lease))

    @property
    def state(self) -> str:
        """How it stands."""
        return self.do(LookUp(KEY)).state  # type: ignore[no-any-return]

    def deeds(self) -> Iterator[chain.Deed]:
        """The chain."""
        return (row for key, row in self.rows.items() if key[0] == "deed")


@pytest.fixture
def books() -> Books:
    """An empty one."""
    return Books()


def test_one_of_two_begins(books: Books) -> None:
    """The other learns that it is under way."""
    assert books.claim("w1") == Claimed(1)
    other = books.claim("w2")
    assert isinstance(other, Execution)
    assert (other.state, other.owner) == ("started", "w1")


def test_who_asks_again_has_the_same_claim(books: Books) -> None:
    """The answer to the first request was lost."""
    assert [books.claim(), books.claim()] == [Claimed(1)] * 2


def test_what_was_done_is_not_done_again(books: Books) -> None:
    """Whoever comes later has the result, a year later too."""
    books.claim()
    assert books.do(Done(KEY, 1, "paid"))
    books.now += 1e7
    again = books.claim("w2")
    assert (again.state, again.result) == ("done", "paid")


def test_what_did_not_happen_may_be_done(books: Books) -> None:
    """By the next, with a fence of their own."""
    books.claim()
    assert books.do(Failed(KEY, 1, happened=False))
    assert books.claim("w2") == Claimed(2)


@pytest.mark.parametrize("end", ["failed", "lease"])
def test_what_may_have_happened_is_in_doubt(books: Books, end: str) -> None:
    """The worker died, or does not know itself: nobody does it again."""
    books.claim()
    if end == "failed":
        books.do(Failed(KEY, 1, happened=True))
    books.now += 60
    assert books.claim("w2").state == "in_doubt"
    assert books.claim("w1").state == "in_doubt"


def test_a_late_word_counts(books: Books) -> None:
    """The worker was only slow, and nobody has decided meanwhile."""
    books.claim()
    books.now += 61
    books.claim("w2")
    assert books.do(Done(KEY, 1, "paid"))
    assert books.state == "done"


def test_a_word_with_another_fence_does_not(books: Books) -> None:
    """It is of an attempt that is over."""
    books.claim("w1")
    books.do(Failed(KEY, 1, happened=False))
    books.claim("w2")
    assert not books.do(Done(KEY, 1, "old"))
    assert not books.do(Failed(KEY, 1, happened=True))
    assert books.do(Done(KEY, 2, "new"))


def test_the_end_may_be_told_twice_but_not_in_two_ways(books: Books) -> None:
    """The answer to the first was lost; and a result is not taken back."""
    books.claim()
    assert [books.do(Done(KEY, 1, "paid")), books.do(Done(KEY, 1, "paid"))] == [True, True]
    assert not books.do(Done(KEY, 1, "not paid"))
    assert not books.do(Failed(KEY, 1, happened=False))
    assert books.claim("w2").result == "paid"


def test_a_lease_is_extended_by_its_owner(books: Books) -> None:
    """While it is under way, and not after."""
    books.claim()
    books.now += 59
    assert books.do(Extend(KEY, 1, 60.0))
    books.now += 59
    assert books.state == "started"
    assert not books.do(Extend(KEY, 2, 60.0))
    books.now += 1
    assert not books.do(Extend(KEY, 1, 60.0))
    assert books.state == "in_doubt"


@pytest.mark.parametrize(("result", "state"), [("paid", "done"), (None, "failed")])
def test_doubt_is_resolved_by_somebody(books: Books, result: str | None, state: str) -> None:
    """Who looked, and says so."""
    books.claim()
    books.now += 61
    assert books.do(Resolve(KEY, "ann", result)).state == state
    assert isinstance(books.claim("w2"), Claimed if result is None else Execution)


def test_only_doubt_is_resolved(books: Books) -> None:
    """What is under way, or done, is for its owner to tell."""
    books.claim()
    assert books.do(Resolve(KEY, "ann", None)).state == "started"
    books.do(Done(KEY, 1, "paid"))
    assert books.do(Resolve(KEY, "ann", None)).state == "done"
    assert books.do(Resolve(EffectKey("acme", "t", "other", "d"), "ann", None)) is None


def test_every_deed_is_in_the_chain(books: Books) -> None:
    """Who began, that it is in doubt, who looked, who did it then."""
    books.claim("w1")
    books.now += 61
    books.claim("w2")
    books.do(Resolve(KEY, "ann", None))
    books.claim("w2")
    books.do(Done(KEY, 2, "paid"))
    told = [(deed.kind, deed.by) for deed in books.deeds()]
    assert told == [
        ("started", "w1"),
        ("in_doubt", "w1"),
        ("resolved_failed", "ann"),
        ("started", "w2"),
        ("done", "w2"),
    ]
    assert chain.verify(books.deeds(), books.rows[head_key("acme")]) is None


def test_the_key_for_a_service_is_the_same_at_each_attempt() -> None:
    """And another for every other execution."""
    keys = {KEY._replace(**{field: "other"}).idempotency_key for field in KEY._fields} | {KEY.idempotency_key}
    assert len(keys) == 5
