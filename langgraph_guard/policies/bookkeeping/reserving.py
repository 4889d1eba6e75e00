"""Reserving: room on every account, or on none; and keeping it while the call goes on."""

from __future__ import annotations

from langgraph_guard.errors import InvalidAmount, ReservationConflict
from langgraph_guard.policies.bookkeeping.checks import check_lease, check_reserve
from langgraph_guard.policies.bookkeeping.rows import (
    Hold,
    Rows,
    Writes,
    account_key,
    find,
    hold_key,
    is_frozen,
    open_turn_of,
    period_of,
    put,
)
from langgraph_guard.policies.ledger import (
    MAX_AMOUNT,
    Account,
    Balance,
    Charge,
    Denied,
    Extend,
    Granted,
    Reserve,
    Wait,
)


def reserve(rows: Rows, command: Reserve, now: float) -> tuple[Granted | Denied, Writes]:
    known: Hold | None = rows(hold_key(command.id))
    if known is not None:
        return _again(known, command), {}
    check_reserve(command)
    turn, seq = _turn_of(rows, command)
    denied: Denied | None = None
    periods: list[str] = []
    granted: list[int] = []
    writes: Writes = {}
    for charge in command.charges:
        span = period_of(charge.account, turn, now)
        history = rows(account_key(charge.account)) or ()
        balance = find(history, span.id)
        frozen = is_frozen(rows, charge.account)
        amount = None if frozen else fit(charge, balance)
        if amount is None:
            later = None if frozen or span.ends_at is None else span.ends_at - now
            denied = _firmer(denied, Denied(charge, balance._replace(frozen=frozen), later, turn, seq))
            continue
        periods.append(span.id)
        granted.append(amount)
        writes[account_key(charge.account)] = put(history, _with(balance, charge, amount))
    if denied is not None:
        return denied, {}
    deadline = now + command.lease
    hold = Hold("held", command.charges, tuple(periods), tuple(granted), deadline, command.orphans, turn=turn)
    writes[hold_key(command.id)] = hold
    return Granted(command.id, hold.granted, hold.turn), writes


def extend(rows: Rows, command: Extend, now: float) -> tuple[bool, Writes]:
    check_lease(command.lease)
    hold: Hold | None = rows(hold_key(command.id))
    if hold is None or hold.state != "held":
        return False, {}
    deadline = max(hold.deadline, now + command.lease)
    return True, {} if deadline == hold.deadline else {hold_key(command.id): hold._replace(deadline=deadline)}


def has_room(rows: Rows, wanted: Wait, now: float) -> bool:
    """Whether a reservation of these charges would be granted at this moment."""
    turn, _ = _turn_of(rows, wanted)
    for charge in wanted.charges:
        balance = find(rows(account_key(charge.account)) or (), period_of(charge.account, turn, now).id)
        if fit(charge, balance) is None or is_frozen(rows, charge.account):
            return False
    return True


def fit(charge: Charge, balance: Balance) -> int | None:
    """How much of `charge` there is room for; `None` when it is less than it must be."""
    if charge.limit is None:
        return charge.amount
    room = charge.limit + balance.credit - balance.spent - balance.reserved
    least = charge.amount if charge.at_least is None else charge.at_least
    return min(charge.amount, room) if room >= least else None


def _with(balance: Balance, charge: Charge, amount: int) -> Balance:
    """`balance` with `amount` more held, unless no store could count that exactly."""
    if balance.spent + balance.reserved + amount > MAX_AMOUNT:
        of = f"{charge.account.unit} amount"
        raise InvalidAmount(of, f"would bring what is spent and held per {charge.account.scope} past 2^53-1")
    return Balance(balance.spent, balance.reserved + amount, balance.period, balance.credit)


def _again(hold: Hold, command: Reserve) -> Granted:
    if _asked(hold.charges) != _asked(command.charges):
        raise ReservationConflict(command.id, hold.state, "reserved with other amounts")
    return Granted(command.id, hold.granted, hold.turn)


def _asked(charges: tuple[Charge, ...]) -> list[tuple[Account, int, int | None]]:
    return [(charge.account, charge.amount, charge.at_least) for charge in charges]


def _firmer(one: Denied | None, other: Denied) -> Denied:
    """Of two denials, the one that waiting helps least."""
    if one is None or (one.retry_after is not None and (other.retry_after or float("inf")) > one.retry_after):
        return other
    return one


def _turn_of(rows: Rows, command: Reserve | Wait) -> tuple[str, int]:
    """The turn that a call falls in, and its number: the one it names, or the open turn of its session."""
    sessions = (charge.account for charge in command.charges if charge.account.scope == "session")
    session = next(sessions, None)
    opened = open_turn_of(rows, session.tenant, session.id) if session else ("", 0)
    return opened if command.turn in (None, opened[0]) else (command.turn or "", 0)
