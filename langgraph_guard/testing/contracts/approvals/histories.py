"""Histories: any sequence of commands, repeated, late and out of order, is answered as the plain model answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Look, Pending, Request, Sweep, Trail, Withdraw
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Done, Doubts, EffectKey, Extend, Failed, LookUp, Resolve
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.approvals.folders import Said
from langgraph_guard.testing.contracts.approvals.harness import (
    LESS,
    PAY,
    TENANT,
    WAYS,
    Harness,
    Way,
    decide,
    driven,
    request,
)
from langgraph_guard.testing.contracts.approvals.model import Model, said, told

MakeBackend: TypeAlias = Callable[[FakeClock, str], ApprovalBackend]

IDS: Final = ("a1", "a2", "é")
TENANTS: Final = (TENANT, "")
ACTIONS: Final = (PAY, LESS)
KEYS: Final = tuple(EffectKey(tenant, "t1", "c1", action.digest) for tenant in TENANTS for action in ACTIONS)
REQUIREMENTS: Final = (
    Requirement(),
    Requirement(quorum=2, ttl=100.0),
    Requirement(("approve", "edit", "reject", "respond"), 2, ("ann", "bob"), ("boss",)),
    Requirement(("edit", "reject"), ttl=3.0),
    Requirement(("approve",), 3, separation_of_duties=True),
)

ids, tenants, keys = st.sampled_from(IDS), st.sampled_from(TENANTS), st.sampled_from(KEYS)
people = st.sampled_from(["ann", "bob", "cem", "agent", "anonymous", ""])
kinds = st.sampled_from(["approve", "approve", "approve", "edit", "reject", "respond"])
fences = st.integers(0, 3)
leases = st.sampled_from([1.0, 60.0, 3_600.0])


class ApprovalMachine(RuleBasedStateMachine):
    """Each step goes to the backend and to the model; both must say and hold the same."""

    def __init__(self, make_backend: MakeBackend, way: Way) -> None:
        super().__init__()
        self.clock = FakeClock()
        self._driven = driven(make_backend(self.clock, TENANT), way)
        self.office = self._driven.__enter__()
        self.model = Model()
        self.sent: list[tuple[bool, Any]] = []
        self.seen = ""

    def teardown(self) -> None:
        self._driven.__exit__(None, None, None)

    @rule(
        id=ids,
        tenant=tenants,
        effect=st.sampled_from(["require", "require", "require", "allow", "deny"]),
        needed=st.sampled_from(REQUIREMENTS),
        caller=st.sampled_from(["agent", ""]),
    )
    def somebody_asks(self, id: str, tenant: str, effect: Any, needed: Requirement, caller: str) -> None:
        requirement = needed if effect == "require" else None
        command = request(id, effect, tenant=tenant, requirement=requirement, requested_by=caller)
        self._tell(command)

    @rule(
        id=ids,
        tenant=tenants,
        by=people,
        kind=kinds,
        seen=st.sampled_from(ACTIONS),
        meant=st.sampled_from(ACTIONS),
        roles=st.sampled_from([(), ("boss",), ("guest", "boss")]),
        message=st.sampled_from(["", "no"]),
        source=st.sampled_from(["", "", "q1", "q2"]),
    )
    def somebody_decides(self, kind: str, seen: Any, meant: Any, **fields: Any) -> None:
        edit = {"args": meant.text, "new_digest": meant.digest} if kind == "edit" else {}
        self._tell(decide(kind=kind, digest=seen.digest, **edit, **fields))

    @rule(id=ids, tenant=tenants, people=st.lists(people, min_size=2, max_size=4))
    def several_approve_what_stands(self, id: str, tenant: str, people: list[str]) -> None:
        """Otherwise few quorums would ever be complete."""
        for by in people:
            folder = self.model.folders.get((tenant, id))
            self._tell(decide(by, id=id, tenant=tenant, digest=folder.about[1] if folder else PAY.digest))

    @rule(id=ids, tenant=tenants)
    def a_run_goes_on_without_it(self, id: str, tenant: str) -> None:
        self._tell(Withdraw(tenant, id))

    @rule(tenant=tenants)
    def somebody_sweeps(self, tenant: str) -> None:
        self._tell(Sweep(tenant))

    @rule(tenant=tenants, after=st.sampled_from([*IDS, "", "nobody's"]), count=st.integers(1, 3))
    def somebody_reads_a_page(self, tenant: str, after: str, count: int) -> None:
        self._tell(Pending(tenant, after=after, count=count))

    @rule(
        key=keys,
        owner=st.sampled_from("vw"),
        lease=leases,
        approval=st.sampled_from(["", *IDS]),
        required=st.booleans(),
    )
    def a_worker_claims(self, key: EffectKey, owner: str, lease: float, approval: str, required: bool) -> None:
        self._do(Claim(key, owner, lease, approval, required))

    @rule(key=keys, fence=fences, end=st.sampled_from(["done", "other", "in doubt", "failed", "extend"]), lease=leases)
    def a_worker_says_how_it_goes(self, key: EffectKey, fence: int, end: str, lease: float) -> None:
        if end == "extend":
            self._do(Extend(key, fence, lease))
        elif end in ("in doubt", "failed"):
            self._do(Failed(key, fence, end == "in doubt"))
        else:
            self._do(Done(key, fence, end))

    @rule(
        key=keys,
        by=st.sampled_from(["ann", "bob"]),
        result=st.sampled_from(["paid", None]),
        reason=st.sampled_from(["", "I asked", "é"]),
    )
    def somebody_looked(self, key: EffectKey, by: str, result: str | None, reason: str) -> None:
        self._do(Resolve(key, by, result, reason))

    @rule(tenant=tenants, goes_on=st.booleans())
    def somebody_reads_what_is_in_doubt(self, tenant: str, goes_on: bool) -> None:
        (page,) = self.office.do(Doubts(tenant, self.seen if goes_on else "", 1))
        assert said(page) == self.model.tell(Doubts(tenant, self.seen if goes_on else "", 1), self.clock.now())
        self.seen = page[-1].place if page else ""

    @rule(seconds=st.sampled_from([0.001, 1.0, 3.0, 60.0, 100.0, 3_600.0, 20 * 86_400.0, 40 * 86_400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(at=st.integers(0, 1_000))
    def an_earlier_command_arrives_again(self, at: int) -> None:
        assume(self.sent)
        at_desk, command = self.sent[at % len(self.sent)]
        _ = self._tell(command) if at_desk else self._do(command)

    @invariant()
    def they_stand_alike(self) -> None:
        now = self.clock.now()
        commands = [each for tenant in TENANTS for each in (Look(tenant, IDS), Pending(tenant), Trail(tenant))]
        replies = self.office.tell(*commands)
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(command, Trail):
                assert verify(reply.deeds, reply.head) is None
                assert told(reply) == self.model.logbook.get(command.tenant, [])
            else:
                assert said(reply) == self.model.tell(command, now)
        looks = [*(LookUp(key) for key in KEYS), *map(Doubts, TENANTS)]
        assert [said(reply) for reply in self.office.do(*looks)] == [self.model.tell(look, now) for look in looks]

    def _tell(self, command: Request | Any) -> Said:
        return self._send(self.office.tell, True, command)

    def _do(self, command: Any) -> Said:
        return self._send(self.office.do, False, command)

    def _send(self, send: Callable[..., list[Any]], at_desk: bool, command: Any) -> Said:
        expected = self.model.tell(command, self.clock.now())
        (reply,) = send(command)
        answer = said(reply)
        assert answer == expected
        self.sent.append((at_desk, command))
        return answer


class Histories(Harness):
    """The rules, checked against themselves told in another way."""

    histories: ClassVar[int] = 20
    """How many are told."""

    @pytest.mark.parametrize("way", WAYS)
    def test_every_history_is_answered_as_the_model_answers_it(self, way: Way) -> None:
        """Questions, answers, executions, doubts and replays, in any order and at any time."""
        make_backend: Any = self.make_backend

        class Machine(ApprovalMachine):
            def __init__(self) -> None:
                super().__init__(make_backend, way)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.histories,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
