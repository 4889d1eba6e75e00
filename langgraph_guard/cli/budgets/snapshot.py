"""What there is to see, read page by page: a moment's look, and not one moment, since workers go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from langgraph_guard.backends.protocols import Backend
from langgraph_guard.cli.budgets.store import ask
from langgraph_guard.policies.breaker.commands import CircuitKey, Peek, Status
from langgraph_guard.policies.breaker.settings import BreakerSettings
from langgraph_guard.policies.ledger import AccountBalance, Charge, Command, Holds, OpenHold, Page, Survey
from langgraph_guard.tools.breaker.keys import bounded

MOST: Final = 10_000
"""Accounts, and reservations, that one look reads: a screen of figures must not keep a ledger busy."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Some of what there is; `is_all` when there is no more."""

    items: tuple[Any, ...]
    is_all: bool


@dataclass(frozen=True)
class Snapshot:
    """One look."""

    tenant: str
    accounts: Part
    holds: Part
    circuits: tuple[tuple[CircuitKey, Status], ...]

    def as_json(self) -> dict[str, Any]:
        """For programs: amounts are integers, micro-USD for `usd`; times are seconds since 1970."""
        return {
            "tenant": self.tenant,
            "complete": self.accounts.is_all and self.holds.is_all,
            "balances": [balance(each) for each in self.accounts.items],
            "reservations": [reservation(each) for each in self.holds.items],
            "circuits": [circuit(key, status) for key, status in self.circuits],
        }


def look(backend: Backend, circuits: Sequence[Sequence[str]]) -> Snapshot:
    tenant = backend.tenant
    keys = tuple(circuit_key(tenant, *names) for names in circuits)
    statuses: Any = backend.breakers.execute([Peek(keys, BreakerSettings())])[0] if keys else ()
    return Snapshot(
        tenant,
        _all(backend, lambda after: Survey(tenant, after)),
        _all(backend, lambda after: Holds(tenant, after)),
        tuple(zip(keys, statuses, strict=True)),
    )


def circuit_key(tenant: str, breaker: str, key: str) -> CircuitKey:
    return CircuitKey(tenant, breaker, bounded(key))


def balance(found: AccountBalance) -> dict[str, Any]:
    account, figures = found
    named = {"scope": account.scope, "id": account.id, "unit": account.unit, "window": account.window}
    return {**named, **figures._asdict()}


def reservation(hold: OpenHold) -> dict[str, Any]:
    charges = [_charge(each, granted) for each, granted in zip(hold.charges, hold.granted, strict=True)]
    return {"id": hold.id, "deadline": hold.deadline, "orphan": hold.orphan, "charges": charges}


def circuit(key: CircuitKey, status: Status) -> dict[str, Any]:
    names = ("state", "admits", "retry_at_ms", "since_ms", "reason", "opened")
    return {"breaker": key.breaker, "key": key.key, **{name: getattr(status, name) for name in names}}


def _charge(charge: Charge, granted: int) -> dict[str, Any]:
    account = charge.account
    named = {"scope": account.scope, "id": account.id, "unit": account.unit, "window": account.window}
    return {**named, "amount": granted, "limit": charge.limit}


def _all(backend: Backend, page_after: Callable[[str], Command]) -> Part:
    items: list[Any] = []
    after = ""
    while len(items) < MOST:
        page: Page[Any] = ask(backend, [page_after(after)])[0]
        items += page.items
        after = page.after
        if not after:
            break
    return Part(tuple(items), not after)
