"""What the contract's files share: a desk and an outbox on a clock that a test moves, blocking and on an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, settings

from langgraph_guard.backends.protocols import ApprovalBackend, ApprovalDesk, Outbox
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.chain import Deed, verify
from langgraph_guard.policies.approval.commands import Approval, Decide, Decided, Look, Pending, Request, Sweep, Trail
from langgraph_guard.policies.approval.rules import Effect, Requirement
from langgraph_guard.policies.outbox import (
    Claim,
    Claimed,
    Done,
    Doubt,
    Doubts,
    EffectKey,
    Execution,
    Extend,
    Failed,
    LookUp,
    Resolve,
    Unapproved,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.loop import one_loop

TENANT: Final = "acme"
PAY: Final = Action("pay", {"amount": 5, "to": "zoë"})
LESS: Final = Action("pay", {"amount": 4, "to": "zoë"})
KEY: Final = EffectKey(TENANT, "t1", "c1", PAY.digest)

TTL: Final = 60.0
LEASE: Final = 60.0
KEPT: Final = 30 * 86_400.0
"""Seconds for which what is closed is remembered."""

Way: TypeAlias = Literal["execute", "aexecute"]
WAYS: Final[tuple[Way, ...]] = ("execute", "aexecute")

# A contract's test runs under each class that inherits it, which is what this check warns of.
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow]
)


def request(id: str = "a1", effect: Effect = "require", **fields: Any) -> Request:
    """To pay, for the agent; whoever comes may decide it."""
    known: dict[str, Any] = {
        "tenant": TENANT,
        "thread": "t1",
        "ns": "",
        "call_id": "c1",
        "tool": PAY.tool,
        "args": PAY.text,
        "digest": PAY.digest,
        "reason": "money",
        "requirement": Requirement() if effect == "require" else None,
        "requested_by": "agent",
    }
    return Request(id=id, effect=effect, **{**known, **fields})


def decide(by: str = "ann", kind: Any = "approve", id: str = "a1", **fields: Any) -> Decide:
    """Somebody's word on the payment."""
    edit = {"args": LESS.text, "new_digest": LESS.digest} if kind == "edit" else {}
    return Decide(**{"tenant": TENANT, "id": id, "by": by, "type": kind, "digest": PAY.digest, **edit, **fields})


class Office:
    """A desk and an outbox driven in one of their two ways; replies have their types."""

    def __init__(self, send: Callable[[ApprovalDesk | Outbox, Sequence[Any]], list[Any]], backend: ApprovalBackend):
        self._send = send
        self._backend = backend

    def tell(self, *commands: Any) -> list[Any]:
        """The replies of the desk."""
        return self._send(self._backend.desk, commands)

    def do(self, *commands: Any) -> list[Any]:
        """The replies of the outbox."""
        return self._send(self._backend.outbox, commands)

    # The desk

    def ask(self, needed: Requirement | None = None, **fields: Any) -> Approval:
        return self._told(request(**{**fields, **({"requirement": needed} if needed else {})}))  # type: ignore[no-any-return]

    def decide(self, by: str = "ann", kind: Any = "approve", **fields: Any) -> Decided:
        return self._told(decide(by, kind, **fields))  # type: ignore[no-any-return]

    def approval(self, id: str = "a1", tenant: str = TENANT) -> Approval | None:
        ((found,),) = self.tell(Look(tenant, (id,)))
        return found  # type: ignore[no-any-return]

    def state(self, id: str = "a1") -> str | None:
        found = self.approval(id)
        return found and found.state

    def pending(self, **fields: Any) -> list[str]:
        """The ids."""
        return [each.id for each in self._told(Pending(**{"tenant": TENANT, **fields}))]

    def sweep(self, tenant: str = TENANT) -> int:
        return self._told(Sweep(tenant))  # type: ignore[no-any-return]

    def deeds(self, tenant: str = TENANT) -> tuple[Deed, ...]:
        """The whole trail, which is one chain."""
        (told,) = self.tell(Trail(tenant))
        assert verify(told.deeds, told.head, told.after) is None
        return told.deeds  # type: ignore[no-any-return]

    def kinds(self, tenant: str = TENANT) -> list[str]:
        return [deed.kind for deed in self.deeds(tenant)]

    # The outbox

    def claim(self, owner: str = "w1", key: EffectKey = KEY, **fields: Any) -> Claimed | Execution | Unapproved:
        (reply,) = self.do(Claim(key, owner, **{"lease": LEASE, **fields}))
        return reply  # type: ignore[no-any-return]

    def done(self, result: str = "paid", fence: int = 1, key: EffectKey = KEY) -> bool:
        return self._done(Done(key, fence, result))  # type: ignore[no-any-return]

    def failed(self, happened: bool, fence: int = 1, key: EffectKey = KEY) -> bool:
        return self._done(Failed(key, fence, happened))  # type: ignore[no-any-return]

    def extend(self, lease: float = LEASE, fence: int = 1, key: EffectKey = KEY) -> bool:
        return self._done(Extend(key, fence, lease))  # type: ignore[no-any-return]

    def resolve(self, result: str | None, by: str = "ann", key: EffectKey = KEY) -> Execution | None:
        return self._done(Resolve(key, by, result, "looked"))  # type: ignore[no-any-return]

    def execution(self, key: EffectKey = KEY) -> Execution | None:
        return self._done(LookUp(key))  # type: ignore[no-any-return]

    def doubts(self, **fields: Any) -> tuple[Doubt, ...]:
        return self._done(Doubts(**{"tenant": TENANT, **fields}))  # type: ignore[no-any-return]

    def stands(self, key: EffectKey = KEY) -> str | None:
        """The state of an execution."""
        found = self.execution(key)
        return found and found.state

    def _told(self, command: Any) -> Any:
        (reply,) = self.tell(command)
        return reply

    def _done(self, command: Any) -> Any:
        (reply,) = self.do(command)
        return reply


@contextmanager
def driven(backend: ApprovalBackend, way: Way) -> Iterator[Office]:
    """`backend`, blocking or on an event loop that lives as long as the block."""
    if way == "execute":
        yield Office(lambda place, commands: list(place.execute(commands)), backend)
        return
    with one_loop() as run:
        yield Office(lambda place, commands: run(_awaited(place.aexecute(commands))), backend)


async def _awaited(reply: Awaitable[list[Any]]) -> list[Any]:
    return await reply


class Harness:
    """Fixtures over the one method that a backend's tests override."""

    trials: ClassVar[int] = 20
    """How often the races are run."""

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        """A backend whose time is `clock`'s, on a store that nobody has written to."""
        raise NotImplementedError("override make_backend(self, clock, tenant)")

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture(params=WAYS)
    def office(self, request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Office]:
        with driven(self.make_backend(clock, TENANT), request.param) as office:
            yield office
