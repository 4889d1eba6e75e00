"""Rows and names as text: the rules' own tuples as compact JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Final, TypeVar

from langgraph_guard.backends.sqlite.schema import STORE
from langgraph_guard.errors import StoreRefused
from langgraph_guard.policies.approval import chain
from langgraph_guard.policies.approval.commands import Approval, Vote
from langgraph_guard.policies.bookkeeping import Adjusted, Hold
from langgraph_guard.policies.breaker import AuditRecord, Bucket, Circuit, Lease
from langgraph_guard.policies.ledger import Account, Balance, Charge, Deed, Owner
from langgraph_guard.policies.outbox import Execution

Row = TypeVar("Row")

to_text: Final = json.JSONEncoder(separators=(",", ":")).encode
"""In ASCII: a NUL, a lone surrogate and a look-alike are each their own escape."""


@lru_cache(maxsize=4_096)
def name(parts: Hashable) -> str:
    """A name of one part or several as text that no other name has."""
    return to_text(parts)


def hold_text(hold: Hold) -> str:
    """A reservation as text. What version 1 did not have is left out where it says nothing."""
    charges = [charge if charge.local is not None else charge[:4] for charge in hold.charges]
    return to_text(hold._replace(charges=charges))  # type: ignore[arg-type]  # on its way to be text


def history_text(history: tuple[Balance, ...]) -> str:
    """The balances of an account as text, shortened likewise."""
    return to_text([each[: 4 if each.credit else 3] for each in history])


def part(text: str) -> str:
    """The one part of a name."""
    return _read("a name", text, str)


def hold(text: str) -> Hold:
    return _read("a reservation", text, _hold)


def history(text: str) -> tuple[Balance, ...]:
    return _read("an account", text, lambda row: tuple(Balance(*balance) for balance in row))


def turn(text: str) -> tuple[str, int]:
    return _read("a turn", text, _turn)


def account(text: str) -> Account:
    return _read("a name", text, lambda row: Account(*row))


def adjusted(text: str) -> Adjusted:
    return _read("an adjustment", text, lambda row: Adjusted(Account(*row[0]), *row[1:]))


def deed(text: str) -> Deed:
    return _read("a record of a deed", text, lambda row: Deed(*row)._replace(owner=Owner(*row[2])))


def circuit(text: str) -> Circuit:
    return _read("a circuit", text, _circuit)


def audit(text: str) -> tuple[AuditRecord, ...]:
    return _read("an audit record", text, lambda row: tuple(AuditRecord(*record) for record in row))


def approval(text: str) -> Approval:
    return _read("an approval", text, _approval)


def execution(text: str) -> Execution:
    return _read("an execution", text, lambda row: Execution(*row))


def link(text: str) -> chain.Deed:
    return _read("a record of the trail", text, lambda row: chain.Deed(*row))


def _approval(row: Any) -> Approval:
    found = Approval(*row)
    return found._replace(
        requirement=found.requirement and tuple(tuple(e) if isinstance(e, list) else e for e in found.requirement),
        votes=tuple(Vote(*vote) for vote in found.votes),
        decided_by=tuple(found.decided_by),
        heard=tuple(found.heard),
    )


def _hold(row: Any) -> Hold:
    state, charges, periods, granted, deadline, orphans, actual, opened = row
    return Hold(
        state,
        tuple(Charge(Account(*account), *rest) for account, *rest in charges),
        tuple(periods),
        tuple(granted),
        deadline,
        orphans,
        tuple((unit, amount) for unit, amount in actual),
        opened,
    )


def _turn(row: Any) -> tuple[str, int]:
    opened, seq = row
    return opened, seq


def _circuit(row: Any) -> Circuit:
    *told, buckets, leases = row
    found = Circuit(*told)
    return found._replace(
        buckets=tuple(Bucket(*bucket) for bucket in buckets), leases=tuple(Lease(*lease) for lease in leases)
    )


def _read(kind: str, text: str, build: Callable[[Any], Row]) -> Row:
    try:
        return build(json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreRefused(STORE, "read", f"{kind} in the file is not what was written") from error
