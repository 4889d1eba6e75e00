"""By hand: figures corrected, room given, owners frozen and thawed; and a record of each."""

from __future__ import annotations

from typing import Final, Literal

from langgraph_guard.errors import ReservationConflict
from langgraph_guard.policies.bookkeeping.checks import check_adjust, check_note
from langgraph_guard.policies.bookkeeping.rows import (
    RETENTION,
    Adjusted,
    Rows,
    Writes,
    account_key,
    adjusted_key,
    balance_of,
    deed_key,
    deeds_key,
    find,
    frozen_key,
    is_everyones,
    is_frozen,
    present_period,
    put,
)
from langgraph_guard.policies.ledger import (
    MAX_AMOUNT,
    Adjust,
    Audit,
    Balance,
    Deed,
    Freeze,
    Owner,
    Thaw,
    owner_of,
)

KEPT_DEEDS: Final = 1_000
"""What people did to a tenant's ledger, the newest."""


def adjust(rows: Rows, command: Adjust, now: float) -> tuple[Balance, Writes]:
    check_adjust(command)
    made = Adjusted(command.account, command.spent, command.credit, command.turn, now + RETENTION)
    known: Adjusted | None = rows(adjusted_key(command.id))
    if known is not None and known.until > now:
        if known[:-1] != made[:-1]:
            raise ReservationConflict(command.id, "adjusted", "adjusted otherwise")
        return balance_of(rows, command.account, command.turn or None, now), {}
    history = rows(account_key(command.account)) or ()
    before = find(history, present_period(rows, command.account, command.turn or None, now).id)
    after = before._replace(spent=_within(before.spent + command.spent), credit=_within(before.credit + command.credit))
    deed = Deed(
        now,
        "adjust",
        owner_of(command.account),
        command.by,
        command.reason,
        command.account.unit,
        command.account.window,
        command.spent,
        command.credit,
    )
    writes: Writes = {adjusted_key(command.id): made, account_key(command.account): put(history, after)}
    return after._replace(frozen=is_frozen(rows, command.account)), {**writes, **_noted(rows, deed)}


def freeze(rows: Rows, command: Freeze, now: float) -> tuple[None, Writes]:
    return _switch(rows, command, "freeze", True, now)


def thaw(rows: Rows, command: Thaw, now: float) -> tuple[None, Writes]:
    return _switch(rows, command, "thaw", None, now)


def audit(rows: Rows, command: Audit, now: float) -> tuple[tuple[Deed, ...], Writes]:
    deeds = [*_deeds(rows, command.tenant), *_deeds(rows, None)]
    return tuple(sorted(deeds, key=lambda deed: deed.at)), {}


def _switch(
    rows: Rows, command: Freeze | Thaw, action: Literal["freeze", "thaw"], becomes: Literal[True] | None, now: float
) -> tuple[None, Writes]:
    check_note(command)
    owner = Owner(*command.owner)
    if rows(frozen_key(owner)) == becomes:
        return None, {}
    deed = Deed(now, action, owner, command.by, command.reason)
    return None, {frozen_key(owner): becomes, **_noted(rows, deed)}


def _within(amount: int) -> int:
    return max(0, min(amount, MAX_AMOUNT))


def _noted(rows: Rows, deed: Deed) -> Writes:
    tenant = None if is_everyones(deed.owner) else deed.owner.tenant
    number = (rows(deeds_key(tenant)) or 0) + 1
    gone = deed_key(tenant, number - KEPT_DEEDS)
    return {deed_key(tenant, number): deed, deeds_key(tenant): number, gone: None}


def _deeds(rows: Rows, tenant: str | None) -> list[Deed]:
    newest = rows(deeds_key(tenant)) or 0
    return [rows(deed_key(tenant, number)) for number in range(max(0, newest - KEPT_DEEDS) + 1, newest + 1)]
