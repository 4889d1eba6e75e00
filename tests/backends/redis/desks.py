"""Where the contract of a desk and an outbox is run: the places of the ledger's, with these two in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.memory import MemoryBreakers, MemoryLedger
from langgraph_guard.backends.protocols import (
    ApprovalBackend,
    ApprovalDesk,
    BreakerRegistry,
    BudgetLedger,
    Clock,
    Outbox,
)
from langgraph_guard.backends.redis.approvals import RedisDesk, RedisOutbox
from langgraph_guard.testing import FakeClock
from tests.backends.redis.circuits import new_prefix


@dataclass
class Office:
    """A backend whose desk and outbox are the ones under test."""

    tenant: str
    clock: Clock
    ledger: BudgetLedger
    breakers: BreakerRegistry
    desk: ApprovalDesk
    outbox: Outbox


def office(link: RedisLink, clock: Clock | None, tenant: str = "acme", prefix: str = "") -> Office:
    """On a key space of its own, unless one is named."""
    its, time = prefix or new_prefix(), clock or FakeClock()
    desk, outbox = RedisDesk(link, clock, prefix=its), RedisOutbox(link, clock, prefix=its)
    return Office(tenant, time, MemoryLedger(time), MemoryBreakers(time), desk, outbox)


class Desks:
    """Put before a place: what is tried there."""

    link: RedisLink

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        return office(self.link, clock, tenant)


class WhileScriptsAreFlushed(Desks):
    """By somebody who does so all the time."""

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        backend = office(self.link, clock, tenant)
        flush = lambda: self.link.execute([("SCRIPT", "FLUSH")])  # noqa: E731 - a word for it
        backend.desk, backend.outbox = Disturbed(backend.desk, flush), Disturbed(backend.outbox, flush)
        return backend


class Disturbed:
    """A desk or an outbox before whose commands something happens."""

    def __init__(self, place: Any, disturb: Callable[[], Any]) -> None:
        self._place = place
        self._disturb = disturb

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Any]) -> list[Any]:
        self._disturb()
        return list(self._place.execute(commands))

    async def aexecute(self, commands: Sequence[Any]) -> list[Any]:
        self._disturb()
        return list(await self._place.aexecute(commands))
