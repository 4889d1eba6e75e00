"""Pages: what is open across threads, and the trail of all that was done, piece by piece."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.approval.chain import Deed, Head, head_of, verify
from langgraph_guard.policies.approval.commands import Pending, Told, Trail
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEY, TENANT, TTL, Harness, Office, request


class Waiting(Harness):
    """What waits for people, wherever it was asked."""

    def test_the_oldest_come_first(self, office: Office, clock: FakeClock) -> None:
        """Across threads; whole requests, as whoever looks for one finds it."""
        for id in ("c", "a", "b"):
            office.ask(id=id, thread=f"thread {id}")
            clock.advance(0.001)
        assert office.pending() == ["c", "a", "b"]
        assert office.tell(Pending(TENANT)) == [tuple(office.approval(id) for id in "cab")]

    def test_those_of_one_moment_come_by_id(self, office: Office) -> None:
        """In one order on every store: a page ends somewhere."""
        ids = ["a!", "a", "é", "z", "Z", "日", "🦜", "ab"]
        office.tell(*map(request, ids))
        assert office.pending() == sorted(ids)

    def test_a_thread_has_its_own(self, office: Office) -> None:
        """The empty name is a thread too."""
        office.tell(*(request(f"{thread}{number}", thread=thread) for number in range(2) for thread in ("", "t", "u")))
        assert office.pending(thread="t") == ["t0", "t1"]
        assert office.pending(thread="") == ["0", "1"]
        assert office.pending(thread="nobody's") == []

    def test_what_is_closed_waits_for_nobody(self, office: Office) -> None:
        """Whoever closed it: a person, the rules, time."""
        office.ask(id="allowed", effect="allow")
        office.ask(id="denied", effect="deny")
        for id, kind in (("approved", "approve"), ("rejected", "reject")):
            office.ask(id=id)
            office.decide("ann", kind, id=id)
        office.ask(Requirement(quorum=2), id="voted")
        office.decide("ann", id="voted")
        assert office.pending() == ["voted"]

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 10_000])
    def test_pages_show_everything_once(self, office: Office, clock: FakeClock, count: int) -> None:
        """However they are cut."""
        for number in range(7):
            office.ask(id=f"{number}", thread=f"t{number % 2}")
            clock.advance(number % 2)
        assert _all(office, count=count) == [f"{number}" for number in range(7)]
        assert _all(office, count=count, thread="t1") == ["1", "3", "5"]

    @pytest.mark.parametrize("how", ["approved", "expired", "swept"])
    def test_a_page_goes_on_after_a_request_that_is_closed(self, office: Office, clock: FakeClock, how: str) -> None:
        """Somebody else decided it while it was read."""
        for number in range(4):
            office.ask(Requirement(ttl=TTL) if number == 1 else None, id=f"{number}")
        if how == "approved":
            office.decide(id="1")
        else:
            clock.advance(TTL)
            _ = office.sweep() if how == "swept" else None
        assert office.pending(after="1") == ["2", "3"]

    def test_what_is_asked_meanwhile_is_on_the_last_page(self, office: Office, clock: FakeClock) -> None:
        """Nothing moves to a page that was read."""
        office.tell(request("b"), request("c"))
        first = office.pending(count=1)
        clock.advance(1)
        office.ask(id="a")
        assert [*first, *office.pending(after=first[-1])] == ["b", "c", "a"]

    def test_after_a_request_that_nobody_knows_it_begins_again(self, office: Office) -> None:
        """Twice is better than never."""
        office.ask()
        assert office.pending(after="forgotten") == ["a1"]


class Trails(Harness):
    """What was done, by whom, to what: a chain that shows when one link was changed."""

    def test_the_desk_and_the_outbox_write_one_chain(self, office: Office, clock: FakeClock) -> None:
        """From the question to the effect."""
        began = int(clock.now() * 1_000)
        for step in (office.ask, office.decide, lambda: office.claim(approval="a1", required=True), office.done):
            step()
            clock.advance(0.25)
        told = [(deed.number, deed.at_ms - began, deed.kind, deed.subject, deed.by) for deed in office.deeds()]
        assert told == [
            (1, 0, "requested", "a1", "agent"),
            (2, 250, "approved", "a1", "ann"),
            (3, 500, "started", KEY.idempotency_key, "w1"),
            (4, 750, "done", KEY.idempotency_key, "w1"),
        ]

    def test_no_contents_are_in_it(self, office: Office) -> None:
        """It is kept for long, and shown to many."""
        office.ask(reason="a secret")
        office.decide(message="a secret")
        office.claim()
        office.done("a secret")
        assert "secret" not in str(office.deeds())
        assert "zo" not in str(office.deeds())

    @pytest.mark.parametrize("count", [1, 3, 10, 10_000])
    def test_it_is_read_in_parts_that_follow_each_other(self, office: Office, count: int) -> None:
        """Each says what it comes after, and where all of it ends."""
        whole = _ten(office)
        after, end = Head(), head_of(whole[-1])
        while after != end:
            (told,) = office.tell(Trail(TENANT, after.number, count))
            assert (told.after, told.head) == (after, end)
            assert verify(told.deeds, None, told.after) is None
            assert told.deeds == whole[after.number : after.number + count]
            after = head_of(told.deeds[-1])

    @pytest.mark.parametrize("after", [10, 11, 10_000])
    def test_after_the_end_there_is_nothing(self, office: Office, after: int) -> None:
        """But where it ends, which shows whoever remembers more that some of it is gone."""
        head = head_of(_ten(office)[-1])
        assert office.tell(Trail(TENANT, after)) == [Told((), head, head)]
        assert verify((), head, head._replace(number=11))

    def test_an_empty_one_is_whole(self, office: Office) -> None:
        """Nothing was done, and nothing is missing."""
        assert office.tell(Trail(TENANT)) == [Told((), Head(), Head())]

    @pytest.mark.parametrize("at", [0, 4, 9])
    @pytest.mark.parametrize("how", ["altered", "left out", "put in"])
    def test_tampering_shows(self, office: Office, at: int, how: str) -> None:
        """The store's administrator is not above it, as long as somebody remembers where it ended."""
        deeds = list(_ten(office))
        head = head_of(deeds[-1])
        if how == "altered":
            deeds[at] = _signed(deeds[at]._replace(by="somebody else"))
        elif how == "left out":
            del deeds[at]
        else:
            deeds.insert(at, _signed(deeds[at]._replace(kind="approved")))
        assert verify(deeds, head)

    def test_deeds_that_come_to_nothing_are_not_written(self, office: Office, clock: FakeClock) -> None:
        """What was refused, or was said before, would bury what was done."""
        office.ask(Requirement(reviewers=("ann",)))
        office.decide("bob")
        office.decide("ann", digest="d")
        office.decide("ann")
        office.decide("bob", "reject")
        office.claim(approval="a1")
        office.claim("w2", approval="a1")
        office.done(fence=7)
        office.extend()
        clock.advance(1)
        assert (office.sweep(), office.kinds()) == (0, ["requested", "approved", "started"])

    def test_each_tenant_has_a_chain(self, office: Office) -> None:
        """And sees no other."""
        office.ask(tenant="a")
        office.ask(tenant="b")
        office.decide(tenant="b")
        assert (office.kinds("a"), office.kinds("b"), office.kinds()) == (["requested"], ["requested", "approved"], [])


def _all(office: Office, **fields: Any) -> list[str]:
    """Every page, one after another."""
    found: list[str] = []
    while page := office.pending(after=found[-1] if found else "", **fields):
        found += page
        assert len(found) < 100
    return found


def _ten(office: Office) -> tuple[Deed, ...]:
    office.tell(*(request(f"a{number}") for number in range(10)))
    return office.deeds()


def _signed(deed: Deed) -> Deed:
    """As somebody would who knows how a hash is made."""
    return deed._replace(hash=hashed("deed", *map(str, deed[:-1])))
