"""Names and contents: whatever characters they have, each is its own, and comes back as it was."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Look
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claimed, EffectKey
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import (
    TENANT,
    TTL,
    WAYS,
    Harness,
    Office,
    Way,
    decide,
    driven,
    examples,
    request,
)

ODD: Final = (
    "a", "A", "a:b", "b", "a:", ":b", "u1|u2", "{g}", "}{", "{", "*", "?", "[a-z]", "\\", "a,b", "a b", " a", "a ",
    "\n", "a\0", "\0a", "ß", "é", "e\u0301", "日本", "🦜", "\u202e", "%3A", "none", "None", "null", "0", "1.0", '"',
    "'; --", "../", "!", "x" * 2_048, "é" * 2_048,
)  # fmt: skip
"""Separators, patterns, escapes and look-alikes of key encodings; and names as long as anybody's."""

CONTENTS: Final = (
    "", " ", "null", "None", "[]", "{}", "0", "1e999", "-0", '"', "\\", "\\u0000", "\0", "\r\n", "日本 🦜 \u202e",
    "]]", "--", "true", "é" * 50_000, "x" * 1_000_000,
)  # fmt: skip
"""What somebody, or a tool, may say."""

name = st.one_of(st.sampled_from(ODD[:-2]), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
tenants = st.one_of(st.just(""), name)
effects = st.builds(EffectKey, tenants, tenants, tenants, name)


class Names(Harness):
    """A key that two names share lets one tenant approve for another."""

    @examples
    @given(st.lists(st.tuples(tenants, name), min_size=2, max_size=6, unique=True))
    def test_requests_of_different_names_never_mix(self, found: list[tuple[str, str]]) -> None:
        """Every other one is approved, and each tenant sees what waits for it."""
        with driven(self.make_backend(FakeClock(), TENANT), "execute") as office:
            office.tell(*(request(id, tenant=tenant) for tenant, id in found))
            office.tell(*(decide("ann", id=id, tenant=tenant) for tenant, id in found[::2]))
            states = [approval and approval.state for tenant, id in found for approval in [office.approval(id, tenant)]]
            assert states == [("approved", "pending")[at % 2] for at in range(len(found))]
            for tenant in {tenant for tenant, _ in found}:
                left = sorted(id for of, id in found[1::2] if of == tenant)
                assert office.pending(tenant=tenant) == left
                asked = sorted(id for of, id in found if of == tenant)
                assert sorted(deed.subject for deed in office.deeds(tenant) if deed.kind == "requested") == asked

    @examples
    @given(st.lists(effects, min_size=2, max_size=6, unique=True))
    def test_executions_of_different_names_never_mix(self, found: list[EffectKey]) -> None:
        """Each is claimed, and each has its own result."""
        with driven(self.make_backend(FakeClock(), TENANT), "execute") as office:
            assert [office.claim("w", key) for key in found] == [Claimed(1)] * len(found)
            assert all(office.done(f"{at}", key=key) for at, key in enumerate(found))
            results = [execution and execution.result for key in found for execution in [office.execution(key)]]
            assert results == [f"{at}" for at in range(len(found))]

    @pytest.mark.parametrize("way", WAYS)
    def test_odd_names_are_requests_of_their_own(self, way: Way) -> None:
        """All at once, in one thread each, by a reviewer of that name."""
        with driven(self.make_backend(FakeClock(), TENANT), way) as office:
            asked = office.tell(*(request(id, thread=id, ns=id, call_id=id, requested_by=id) for id in ODD))
            assert list(office.tell(Look(TENANT, ODD))[0]) == asked
            assert office.pending() == sorted(ODD)
            assert [office.pending(thread=id) for id in ODD] == [[id] for id in ODD]
            told = office.tell(*(decide(id, id=id) for id in ODD))
            assert [each.approval.decided_by for each in told] == [(id,) for id in ODD]
            assert [deed.by for deed in office.deeds()] == [*ODD, *ODD]

    @pytest.mark.parametrize("way", WAYS)
    def test_odd_reviewers_are_people_of_their_own(self, way: Way) -> None:
        """A quorum of all of them, each named, and each once."""
        with driven(self.make_backend(FakeClock(), TENANT), way) as office:
            office.ask(Requirement(quorum=len(ODD), reviewers=ODD[::2], roles=ODD[1::2]))
            for at, by in enumerate(ODD):
                assert office.decide(by, roles=(by,) if at % 2 else ()).won, by[:9]
            approval = office.approval()
            assert approval is not None
            assert approval.decided_by == ODD

    def test_an_owner_is_whoever_has_its_whole_name(self, office: Office) -> None:
        """Another's look-alike is told that it is under way."""
        for at, owner in enumerate(ODD):
            key = EffectKey(TENANT, "t", f"{at}", "d")
            assert office.claim(owner, key) == office.claim(owner, key) == Claimed(1)
            assert office.claim(f"{owner}.", key) == office.execution(key)


class Contents(Harness):
    """What is stored comes back to the last bit."""

    @pytest.mark.parametrize("way", WAYS)
    def test_a_result_is_what_it_was(self, way: Way) -> None:
        """Empty, long, or like what a store writes itself."""
        with driven(self.make_backend(FakeClock(), TENANT), way) as office:
            for at, result in enumerate(CONTENTS):
                key = EffectKey(TENANT, "t", f"{at}", "d")
                office.claim("w", key)
                assert office.done(result, key=key)
                assert office.done(result, key=key)
                execution = office.execution(key)
                assert execution is not None
                assert execution.result == result

    def test_a_message_is_what_it_was(self, office: Office) -> None:
        """In the reply, and for whoever looks later."""
        for at, message in enumerate(CONTENTS[:-1]):
            office.ask(id=f"{at}", reason=message)
            told = office.decide("ann", "reject", id=f"{at}", message=message).approval
            assert (told.reason, told.message, office.approval(f"{at}")) == (message, message, told)

    def test_long_arguments_are_what_they_were(self, office: Office) -> None:
        """A letter, say, that somebody approves, and edits."""
        letter, shorter = (Action("send", {"body": "Dear Zoë, " * count}) for count in (10_000, 9_999))
        asked = office.ask(Requirement(quorum=2), tool="send", args=letter.text, digest=letter.digest)
        assert (asked.args, len(asked.args) > 100_000) == (letter.text, True)
        edit: dict[str, Any] = {"digest": letter.digest, "args": shorter.text, "new_digest": shorter.digest}
        assert office.decide("ann", "edit", **edit).approval.args == shorter.text
        assert json.loads(office.tell(Look(TENANT, ("a1",)))[0][0].args) == shorter.args

    @pytest.mark.parametrize("later", [0.1, 0.123456, 1 / 3, 1e-6])
    def test_an_instant_is_what_it_was(self, office: Office, clock: FakeClock, later: float) -> None:
        """A microsecond decides whether a time is over."""
        clock.advance(later)
        asked = office.ask(Requirement(quorum=2, ttl=later))
        assert (asked.at, asked.expires_at, asked.needed.ttl) == (clock.now(), clock.now() + later, later)
        if later > 1e-3:
            (vote,) = office.decide().approval.votes
            assert vote.at == clock.now()
        office.claim("w", lease=TTL + later)
        execution = office.execution()
        assert execution is not None
        assert (execution.at, execution.ends_at) == (clock.now(), clock.now() + (TTL + later))

    def test_empty_lists_are_lists(self, office: Office) -> None:
        """Some stores cannot tell one from an empty table."""
        asked = office.ask(Requirement(("approve",)))
        assert (asked.votes, asked.decided_by, asked.heard, asked.needed.reviewers) == ((), (), (), ())
        assert office.approval() == asked
