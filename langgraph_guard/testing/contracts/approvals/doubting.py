"""Doubting: whoever dies in between leaves a doubt, and no second effect; somebody looks, and settles it."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.outbox import Claimed, Doubt, EffectKey
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEY, LEASE, TENANT, Harness, Office


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

    @pytest.mark.parametrize("result", ["paid", None])
    def test_how_somebody_knows_is_on_record(self, office: Office, result: str | None) -> None:
        """Who asks later why it was paid twice, or never, finds it there, under the hash of the record."""
        office.claim("w1", approval="a1")
        office.failed(True)
        office.resolve(result)
        assert [deed.detail for deed in office.deeds()] == ["a1", "a1", "looked"]

    @pytest.mark.parametrize("end", ["started", "done", "failed"])
    def test_only_a_doubt_is_resolved(self, office: Office, end: str) -> None:
        """What is under way, or has ended, is for its owner to tell."""
        office.claim("w1")
        if end != "started":
            _ = office.done() if end == "done" else office.failed(False)
        before = office.execution()
        assert [office.resolve(None), office.resolve("paid")] == [before] * 2
        assert office.stands() == end


class Lists(Harness):
    """A person who is to look must be told at what."""

    @pytest.mark.parametrize("how", ["told", "found", "not found yet"])
    def test_a_doubt_is_listed_with_all_that_one_needs(self, office: Office, clock: FakeClock, how: str) -> None:
        """Which call it was, since when, and the key that the service was given."""
        began = clock.now()
        office.claim("w1", approval="a1")
        clock.advance(1 if how == "told" else LEASE)
        if how == "told":
            office.failed(True)
        elif how == "found":
            office.claim("w2")
        ((key, found),) = office.doubts()
        assert (key, key.idempotency_key, found) == (KEY, hashed("effect", *KEY)[:32], office.execution())
        assert (found.state, found.owner, found.approval) == ("in_doubt", "w1", "a1")
        assert (found.at, found.ends_at) == (began + (how == "told"), clock.now())

    @pytest.mark.parametrize("end", ["started", "extended", "done", "late", "failed", "resolved", "again"])
    def test_what_is_not_in_doubt_is_not_listed(self, office: Office, clock: FakeClock, end: str) -> None:
        """Nor what was, and is no more."""
        office.claim("w1")
        clock.advance(LEASE - 1)
        if end == "extended":
            office.extend()
        if end in ("extended", "late"):
            clock.advance(2)
        if end in ("done", "late"):
            office.done()
        if end in ("failed", "again"):
            office.failed(False)
        if end == "resolved":
            office.failed(True)
            office.resolve("paid")
        if end == "again":
            office.claim("w2")
            clock.advance(LEASE - 1)
        assert office.doubts() == ()

    def test_those_in_doubt_for_longest_come_first(self, office: Office, clock: FakeClock) -> None:
        """Not those that began first: a lease may be short."""
        long, short, told = (KEY._replace(call_id=call) for call in ("long", "short", "told"))
        office.claim(key=long, lease=100)
        office.claim(key=short, lease=10)
        office.claim(key=told, lease=1_000)
        clock.advance(50)
        office.failed(True, key=told)
        clock.advance(50)
        assert [doubt.key for doubt in office.doubts()] == [short, told, long]

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 10_000])
    def test_pages_list_every_doubt_once(self, office: Office, clock: FakeClock, count: int) -> None:
        """However they are cut, several of one moment among them, whatever their names."""
        names = ["", "a", "é", "🦜", "a\0b", "x" * 8_000, "{b}"]
        for number, name in enumerate(names):
            office.claim(key=EffectKey(TENANT, name, f"{name}!", name or "d"))
            clock.advance(number % 2)
        clock.advance(LEASE)
        pages = _pages(office, count)
        assert max(map(len, pages)) == min(count, 7)
        found = [doubt for page in pages for doubt in page]
        assert sorted(doubt.key.thread for doubt in found) == sorted(names)
        assert found == sorted(found, key=lambda doubt: doubt.place)

    def test_a_page_goes_on_after_a_doubt_that_was_resolved(self, office: Office, clock: FakeClock) -> None:
        """Somebody works through the list."""
        keys = [KEY._replace(call_id=f"{number}") for number in range(5)]
        for key in keys:
            office.claim(key=key)
            clock.advance(1)
        clock.advance(LEASE)
        seen: list[Doubt] = []
        while page := office.doubts(after=seen[-1].place if seen else "", count=2):
            seen += page
            for doubt in page:
                office.resolve(None, key=doubt.key)
        assert [doubt.key for doubt in seen] == keys

    def test_each_tenant_has_its_own_doubts(self, office: Office, clock: FakeClock) -> None:
        """And sees no other."""
        office.claim(key=KEY._replace(tenant="other"))
        clock.advance(LEASE)
        assert office.doubts() == ()
        assert [doubt.key.tenant for doubt in office.doubts(tenant="other")] == ["other"]

    def test_a_doubt_stays_listed_for_as_long_as_it_is_one(self, office: Office, clock: FakeClock) -> None:
        """Nobody may have looked for a year."""
        office.claim()
        clock.advance(400 * 86_400.0)
        office.claim("w2", KEY._replace(call_id="c2"))
        assert [doubt.key for doubt in office.doubts()] == [KEY]


def _pages(office: Office, count: int) -> list[tuple[Doubt, ...]]:
    pages: list[tuple[Doubt, ...]] = []
    while page := office.doubts(after=pages[-1][-1].place if pages else "", count=count):
        pages.append(page)
        assert len(pages) < 100
    return pages
