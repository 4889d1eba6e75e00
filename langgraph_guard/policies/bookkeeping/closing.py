"""Closing: a reservation becomes what its call cost, or nothing; once, and not in two ways."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_guard.errors import ReservationConflict
from langgraph_guard.policies.bookkeeping.checks import check_amount
from langgraph_guard.policies.bookkeeping.rows import Hold, Rows, State, Writes, account_key, find, hold_key, put
from langgraph_guard.policies.ledger import MAX_AMOUNT, Balance, Closed, Release, Settle


def settle(rows: Rows, command: Settle, now: float) -> tuple[Closed, Writes]:
    hold: Hold | None = rows(hold_key(command.id))
    if hold is None:
        raise ReservationConflict(command.id, "unknown", "settled")
    for unit, amount in command.actual.items():
        check_amount(f"actual[{unit}]", amount)
    actual = tuple(sorted(command.actual.items()))
    if hold.state == "released" or (hold.state == "settled" and hold.actual != actual):
        raise ReservationConflict(command.id, hold.state, "settled")
    closed = Closed(command.id, _overrun(hold, command.actual))
    if hold.state == "settled":
        return closed, {}
    return closed, _close(rows, hold, command.id, "settled", dict(actual), actual)


def release(rows: Rows, command: Release, now: float) -> tuple[Closed, Writes]:
    hold: Hold | None = rows(hold_key(command.id))
    if hold is None:  # A tombstone: a reserve that is still on its way must not open what nobody will close.
        return Closed(command.id), {hold_key(command.id): Hold("released", (), (), (), now, "release")}
    if hold.state == "settled":
        raise ReservationConflict(command.id, "settled", "released")
    if hold.state == "released":
        return Closed(command.id), {}
    return Closed(command.id), _close(rows, hold, command.id, "released", _nothing(hold))


def expire(rows: Rows, id: str, now: float) -> Writes:
    """Close one reservation whose lease has ended; nothing when it is closed or its lease runs."""
    hold: Hold | None = rows(hold_key(id))
    if hold is None or hold.state != "held" or hold.deadline > now:
        return {}
    return _close(rows, hold, id, "expired", {} if hold.orphans == "charge" else _nothing(hold))


def _close(
    rows: Rows, hold: Hold, id: str, state: State, actual: Mapping[str, int], said: tuple[tuple[str, int], ...] = ()
) -> Writes:
    """Move every charge of `hold` from held (or from charged, when it had expired) to what it cost."""
    writes: Writes = {hold_key(id): hold._replace(state=state, actual=said)}
    for charge, span, granted in zip(hold.charges, hold.periods, hold.granted, strict=True):
        history = rows(account_key(charge.account)) or ()
        balance = find(history, span)
        if balance not in history:
            continue  # Nobody reads that period any more, and writing it would push out one that is read.
        cost = actual.get(charge.account.unit, granted)
        if hold.state == "held":
            spent = min(balance.spent + cost, MAX_AMOUNT)
            moved = Balance(spent, balance.reserved - granted, span, balance.credit)
        else:
            charged = granted if hold.orphans == "charge" else 0
            moved = balance._replace(spent=min(max(0, balance.spent - charged + cost), MAX_AMOUNT))
        writes[account_key(charge.account)] = put(history, moved)
    return writes


def _nothing(hold: Hold) -> dict[str, int]:
    return {charge.account.unit: 0 for charge in hold.charges}


def _overrun(hold: Hold, actual: Mapping[str, int]) -> dict[str, int]:
    over: dict[str, int] = {}
    for charge, granted in zip(hold.charges, hold.granted, strict=True):
        excess = actual.get(charge.account.unit, 0) - granted
        if excess > over.get(charge.account.unit, 0):
            over[charge.account.unit] = excess
    return over
