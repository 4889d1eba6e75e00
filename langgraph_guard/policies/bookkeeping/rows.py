"""What a ledger keeps: its rows, their keys, and how one is found among the periods of an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from langgraph_guard.policies.ledger import KEPT_PERIODS, TURN, Account, Balance, Charge, Owner, owner_of
from langgraph_guard.policies.windows import Period, period

RETENTION: Final = 3_600.0
"""Seconds for which a closed reservation is remembered past its lease, and an adjustment past its moment, so that a
late replay is recognised."""

State = Literal["held", "settled", "released", "expired"]


class Hold(NamedTuple):
    """The row of a reservation."""

    state: State
    charges: tuple[Charge, ...]
    periods: tuple[str, ...]
    granted: tuple[int, ...]
    deadline: float
    orphans: str
    actual: tuple[tuple[str, int], ...] = ()
    turn: str = ""


class Adjusted(NamedTuple):
    """The row of an adjustment: what it was, as it was sent, and until when that is remembered."""

    account: Account
    spent: int
    credit: int
    turn: str
    until: float


Key: TypeAlias = tuple[str | int | None, ...] | Account
Rows: TypeAlias = Callable[[Any], Any]
"""How a rule reads: a key to its row, or `None`."""
Writes: TypeAlias = dict[Any, Any]
"""What a rule writes: rows by key. `None` removes one."""


def hold_key(id: str) -> Key:
    return ("hold", id)


def account_key(account: Account) -> Key:
    return account  # Five parts, where the other keys have two to four.


def turn_key(tenant: str, session: str) -> Key:
    return ("turn", tenant, session)


def frozen_key(owner: Owner) -> Key:
    return ("frozen", *owner)


def adjusted_key(id: str) -> Key:
    return ("adjusted", id)


def deeds_key(tenant: str | None) -> Key:
    """Where the number of a tenant's newest deed is; of `None`, of those that concern everyone."""
    return ("deeds", tenant)


def deed_key(tenant: str | None, number: int) -> Key:
    return ("deed", tenant, number)


def is_everyones(of: Account | Owner) -> bool:
    return of.tenant == "" and of.scope == "global"


# The periods of an account


def open_turn_of(rows: Rows, tenant: str, session: str) -> tuple[str, int]:
    opened: tuple[str, int] = rows(turn_key(tenant, session)) or ("", 0)
    return opened


def period_of(account: Account, turn: str, now: float) -> Period:
    return Period(turn, None) if account.window == TURN else period(account.window, now)


def present_period(rows: Rows, account: Account, turn: str | None, now: float) -> Period:
    """The period that runs: on a `TURN` account that of `turn`, or else of the session's open turn."""
    if account.window != TURN:
        return period(account.window, now)
    return Period(open_turn_of(rows, account.tenant, account.id)[0] if turn is None else turn, None)


def balance_of(rows: Rows, account: Account, turn: str | None, now: float) -> Balance:
    """The present balance of `account`, as it is told."""
    balance = find(rows(account_key(account)) or (), present_period(rows, account, turn, now).id)
    return balance._replace(frozen=True) if is_frozen(rows, account) else balance


def is_frozen(rows: Rows, account: Account) -> bool:
    return rows(frozen_key(owner_of(account))) is not None


def find(history: tuple[Balance, ...], id: str) -> Balance:
    for balance in history:
        if balance.period == id:
            return balance
    return Balance(period=id)


def put(history: tuple[Balance, ...], balance: Balance) -> tuple[Balance, ...]:
    """`history` with `balance` in it, newest last; periods that are over and settled drop out at the front."""
    if len(history) == 1 and history[0].period == balance.period:
        return (balance,)
    for at, other in enumerate(history):
        if other.period == balance.period:
            return (*history[:at], balance, *history[at + 1 :])
    kept = (*history, balance)
    spare = len(kept) - KEPT_PERIODS
    return tuple(other for at, other in enumerate(kept) if at >= spare or other.reserved)


# What becomes of rows


def due(hold: Hold, now: float) -> float:
    """When a sweep at `now` must look at a reservation again: as its lease ends, or as it may be forgotten."""
    return hold.deadline if hold.state == "held" and hold.deadline > now else hold.deadline + RETENTION


def freed(writes: Writes) -> set[Account | Owner]:
    """On which accounts there may be room that was not there before, and on all accounts of which owners."""
    accounts = {key for key in writes if isinstance(key, Account)}
    return accounts | {Owner(*key[1:]) for key in writes if key[0] == "frozen"}
