"""The rules of the ledger: two-phase, whole, idempotent.

Each rule is a function of the rows it reads; it returns its reply and the rows to write. A backend runs it inside one
atomic step: under a lock, in a transaction, or written again as a server-side script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from langgraph_guard.errors import InvalidAmount, ReservationConflict
from langgraph_guard.policies.ledger import (
    KEPT_PERIODS,
    MAX_AMOUNT,
    TURN,
    Account,
    Balance,
    Charge,
    Closed,
    Denied,
    EnsureAtLeast,
    Granted,
    OpenTurn,
    Read,
    Release,
    Reserve,
    Settle,
)
from langgraph_guard.policies.windows import Period, period

# Rows

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


Key: TypeAlias = tuple[str, ...] | Account
Rows: TypeAlias = Callable[[Any], Any]
"""How a rule reads: a key to its row, or `None`."""
Writes: TypeAlias = dict[Any, Any]


def hold_key(id: str) -> Key:
    return ("hold", id)


def account_key(account: Account) -> Key:
    return account  # Five parts, where the other keys have two and three.


def turn_key(tenant: str, session: str) -> Key:
    return ("turn", tenant, session)


# Rules


def open_turn(rows: Rows, command: OpenTurn, now: float) -> tuple[None, Writes]:
    return None, {turn_key(command.tenant, command.session): (command.turn, command.seq)}


def reserve(rows: Rows, command: Reserve, now: float) -> tuple[Granted | Denied, Writes]:
    known: Hold | None = rows(hold_key(command.id))
    if known is not None:
        return _again(known, command), {}
    _check(command)
    turn, seq = _turn_of(rows, command)
    denied: Denied | None = None
    periods: list[str] = []
    granted: list[int] = []
    writes: Writes = {}
    for charge in command.charges:
        span = _period_of(charge.account, turn, now)
        history = rows(account_key(charge.account)) or ()
        balance = find(history, span.id)
        amount = fit(charge, balance)
        if amount is None:
            denial = Denied(charge, balance, None if span.ends_at is None else span.ends_at - now, turn, seq)
            denied = _firmer(denied, denial)
            continue
        periods.append(span.id)
        granted.append(amount)
        held = Balance(balance.spent, balance.reserved + amount, span.id)
        writes[account_key(charge.account)] = _put(history, held)
    if denied is not None:
        return denied, {}
    hold = Hold(
        "held",
        command.charges,
        tuple(periods),
        tuple(granted),
        now + command.lease,
        command.orphans,
        turn=turn,
    )
    writes[hold_key(command.id)] = hold
    return Granted(command.id, hold.granted, hold.turn), writes


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


def ensure_at_least(rows: Rows, command: EnsureAtLeast, now: float) -> tuple[None, Writes]:
    check_amount("total", command.total)
    history = rows(account_key(command.account)) or ()
    balance = find(history, _period_of(command.account, command.turn, now).id)
    if balance.spent >= command.total:
        return None, {}
    return None, {account_key(command.account): _put(history, balance._replace(spent=command.total))}


def read(rows: Rows, command: Read, now: float) -> tuple[tuple[Balance, ...], Writes]:
    return tuple(_balance(rows, account, now) for account in command.accounts), {}


# The arithmetic of the rules


def fit(charge: Charge, balance: Balance) -> int | None:
    """How much of `charge` there is room for; `None` when it is less than it must be."""
    if charge.limit is None:
        return charge.amount
    room = charge.limit - balance.spent - balance.reserved
    least = charge.amount if charge.at_least is None else charge.at_least
    return min(charge.amount, room) if room >= least else None


def find(history: tuple[Balance, ...], id: str) -> Balance:
    for balance in history:
        if balance.period == id:
            return balance
    return Balance(period=id)


def is_amount(amount: object) -> bool:
    return type(amount) is int and 0 <= amount <= MAX_AMOUNT


def check_amount(field: str, amount: object) -> None:
    """Refuse what is no exact amount: `InvalidAmount` names the field and the kind of the value."""
    if type(amount) is not int:
        raise InvalidAmount(field, f"must be an int, is a {type(amount).__name__}")
    if not is_amount(amount):
        raise InvalidAmount(field, f"must be between 0 and 2^53-1, is {'negative' if amount < 0 else 'larger'}")


def _check(command: Reserve) -> None:
    if not 0 < command.lease < float("inf"):
        raise InvalidAmount("lease", "must be longer than 0 seconds, and finite")
    seen = set()
    for charge in command.charges:
        least = charge.amount if charge.at_least is None else charge.at_least
        if not (is_amount(charge.amount) and is_amount(least)):
            check_amount(f"{charge.account.unit} amount", charge.amount)
            check_amount(f"{charge.account.unit} at_least", least)
        if charge.account in seen:
            raise InvalidAmount(f"{charge.account.unit} per {charge.account.scope}", "is charged twice at once")
        seen.add(charge.account)


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


def _turn_of(rows: Rows, command: Reserve) -> tuple[str, int]:
    """The turn that a call falls in, and its number: the one it names, or the open turn of its session."""
    sessions = (charge.account for charge in command.charges if charge.account.scope == "session")
    session = next(sessions, None)
    opened = _open_turn(rows, session) if session else ("", 0)
    return opened if command.turn in (None, opened[0]) else (command.turn or "", 0)


def _open_turn(rows: Rows, account: Account) -> tuple[str, int]:
    opened: tuple[str, int] = rows(turn_key(account.tenant, account.id)) or ("", 0)
    return opened


def _period_of(account: Account, turn: str, now: float) -> Period:
    return Period(turn, None) if account.window == TURN else period(account.window, now)


def _balance(rows: Rows, account: Account, now: float) -> Balance:
    turn = _open_turn(rows, account)[0] if account.window == TURN else ""
    return find(rows(account_key(account)) or (), _period_of(account, turn, now).id)


def _put(history: tuple[Balance, ...], balance: Balance) -> tuple[Balance, ...]:
    """`history` with `balance` in it, newest last; periods that are over and settled drop out at the front."""
    if len(history) == 1 and history[0].period == balance.period:
        return (balance,)
    for at, other in enumerate(history):
        if other.period == balance.period:
            return (*history[:at], balance, *history[at + 1 :])
    kept = (*history, balance)
    spare = len(kept) - KEPT_PERIODS
    return tuple(other for at, other in enumerate(kept) if at >= spare or other.reserved)


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
            moved = Balance(balance.spent + cost, balance.reserved - granted, span)
        else:
            charged = granted if hold.orphans == "charge" else 0
            moved = balance._replace(spent=max(0, balance.spent - charged + cost))
        writes[account_key(charge.account)] = _put(history, moved)
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
