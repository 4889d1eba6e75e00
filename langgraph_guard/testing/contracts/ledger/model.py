"""The ledger again, as simple as it gets: nothing is updated, every balance is the sum of all that happened.

It shares the commands with the real one, and not a line of its rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Adjust,
    Balance,
    Charge,
    Closed,
    Command,
    Denied,
    EnsureAtLeast,
    Expire,
    Extend,
    Freeze,
    Granted,
    OpenTurn,
    Read,
    Release,
    Reserve,
    Settle,
    Thaw,
)

Told: TypeAlias = tuple[Any, ...]
"""A reply without what is a backend's own affair."""

CONFLICT: Told = ("conflict",)


@dataclass
class Entry:
    """One reservation and what became of it."""

    asked: list[tuple[Account, int, int | None]]
    lines: list[tuple[Account, str, int]]
    turn: str
    deadline: float
    orphans: str
    state: str = "held"
    cost: dict[str, int] = field(default_factory=dict)

    def spent(self, unit: str, granted: int) -> int:
        if self.state == "settled":
            return self.cost.get(unit, granted)
        return granted if self.state == "expired" and self.orphans == "charge" else 0


class Model:
    """What the ledger must answer."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.turns: dict[tuple[str, str], tuple[str, int]] = {}
        self.raised: Counter[tuple[Account, str]] = Counter()
        self.given: Counter[tuple[Account, str]] = Counter()
        self.adjusted: dict[str, tuple[Any, ...]] = {}
        self.frozen: set[tuple[str, ...]] = set()

    def tell(self, command: Command, now: float) -> Told:
        expired = self._expire(now)
        match command:
            case Expire():
                return ("expired", expired)
            case OpenTurn():
                self.turns[command.tenant, command.session] = (command.turn, command.seq)
                return ("done",)
            case Reserve():
                return self._reserve(command, now)
            case Settle():
                return self._settle(command)
            case Release():
                return self._release(command)
            case EnsureAtLeast():
                place = (command.account, period_of(command.account, command.turn, now))
                self.raised[place] += max(0, command.total - self.figures(*place)[0])
                return ("done",)
            case Extend():
                return ("open", self._extend(command, now))
            case Adjust():
                return self._adjust(command, now)
            case Freeze():
                self.frozen.add(command.owner)
                return ("done",)
            case Thaw():
                self.frozen.discard(command.owner)
                return ("done",)
            case Read():
                return ("balances", [self.balance(account, now, command.turn) for account in command.accounts])
            case _:
                raise TypeError(type(command).__name__)

    def balance(self, account: Account, now: float, turn: str | None = None) -> Told:
        return self.told_of(self.place(account, now, turn))

    def told_of(self, place: tuple[Account, str]) -> Told:
        """Spent, held, given and frozen."""
        return *self.figures(*place), self.given[place], place[0][:3] in self.frozen

    def place(self, account: Account, now: float, turn: str | None = None) -> tuple[Account, str]:
        """Where `account` counts at the moment."""
        opened = self.turns.get((account.tenant, account.id), ("", 0))[0]
        return account, period_of(account, opened if turn is None else turn, now)

    def figures(self, account: Account, period: str) -> tuple[int, int]:
        spent, reserved = self.raised[account, period], 0
        for entry in self.entries.values():
            for on, when, granted in entry.lines:
                if (on, when) == (account, period):
                    spent += entry.spent(on.unit, granted)
                    reserved += granted if entry.state == "held" else 0
        return spent, reserved

    def _reserve(self, command: Reserve, now: float) -> Told:
        asked = [(charge.account, charge.amount, charge.at_least) for charge in command.charges]
        if known := self.entries.get(command.id):
            return _granted(known) if known.asked == asked else CONFLICT
        turn, seq = self._turn(command)
        lines, denials = [], []
        for charge in command.charges:
            period = period_of(charge.account, turn, now)
            told = self.told_of((charge.account, period))
            spent, reserved, credit, frozen = told
            granted = -1 if frozen else _grant(charge, spent + reserved - credit)
            lines.append((charge.account, period, granted))
            if granted < 0:
                ends = None if frozen else _ends_in(charge.account, now)
                denials.append(("denied", charge, told, ends, turn, seq))
        if denials:
            return max(denials, key=lambda denial: float("inf") if denial[3] is None else denial[3])
        entry = Entry(asked, lines, turn, now + command.lease, command.orphans)
        self.entries[command.id] = entry
        return _granted(entry)

    def _turn(self, command: Reserve) -> tuple[str, int]:
        opened = ("", 0)
        for charge in reversed(command.charges):
            if charge.account.scope == "session":
                opened = self.turns.get((charge.account.tenant, charge.account.id), ("", 0))
        if command.turn is None or command.turn == opened[0]:
            return opened
        return command.turn, 0

    def _settle(self, command: Settle) -> Told:
        entry = self.entries.get(command.id)
        if entry is None or entry.state == "released":
            return CONFLICT
        if entry.state == "settled" and entry.cost != command.actual:
            return CONFLICT
        entry.state, entry.cost = "settled", dict(command.actual)
        self._lift(entry)
        excess = [(on.unit, entry.cost.get(on.unit, 0) - granted) for on, _, granted in entry.lines]
        return ("closed", {unit: max(by for of, by in excess if of == unit) for unit, more in excess if more > 0})

    def _release(self, command: Release) -> Told:
        entry = self.entries.setdefault(command.id, Entry([], [], "", 0, "release", state="released"))
        if entry.state == "settled":
            return CONFLICT
        entry.state = "released"
        self._lift(entry)
        return ("closed", {})

    def _lift(self, entry: Entry) -> None:
        """Nobody has spent less than nothing, though a bill that was corrected by hand became smaller since."""
        for on, when, _ in entry.lines:
            self.raised[on, when] += max(0, -self.figures(on, when)[0])

    def _extend(self, command: Extend, now: float) -> bool:
        entry = self.entries.get(command.id)
        if entry is None or entry.state != "held":
            return False
        entry.deadline = max(entry.deadline, now + command.lease)
        return True

    def _adjust(self, command: Adjust, now: float) -> Told:
        made = (command.account, command.spent, command.credit, command.turn)
        place = self.place(command.account, now, command.turn or None)
        if self.adjusted.setdefault(command.id, ()) not in ((), made):
            return CONFLICT
        if not self.adjusted[command.id]:
            self.adjusted[command.id] = made
            self.raised[place] += max(command.spent, -self.figures(*place)[0])
            self.given[place] += max(command.credit, -self.given[place])
        return ("balance", self.told_of(place))

    def _expire(self, now: float) -> int:
        due = [entry for entry in self.entries.values() if entry.state == "held" and entry.deadline <= now]
        for entry in due:
            entry.state = "expired"
        return len(due)


def told(reply: Any) -> Told:
    """A ledger's reply in the model's words."""
    match reply:
        case None:
            return ("done",)
        case bool():
            return ("open", reply)
        case int():
            return ("expired", reply)
        case Balance():
            return ("balance", _figures(reply))
        case Granted():
            return ("granted", reply.amounts, reply.turn)
        case Closed():
            return ("closed", dict(reply.overrun))
        case Denied():
            ends = None if reply.retry_after is None else round(reply.retry_after, 3)
            return ("denied", reply.charge, _figures(reply.balance), ends, reply.turn, reply.turn_seq)
        case _:
            return ("balances", [_figures(each) for each in reply])


def _figures(balance: Balance) -> Told:
    return balance.spent, balance.reserved, balance.credit, balance.frozen


def _granted(entry: Entry) -> Told:
    return ("granted", tuple(granted for _, _, granted in entry.lines), entry.turn)


def _grant(charge: Charge, taken: int) -> int:
    """How much is granted; -1 when it is not enough."""
    if charge.limit is None:
        return charge.amount
    for amount in (charge.amount, charge.limit - taken):
        enough = charge.amount if charge.at_least is None else charge.at_least
        if enough <= amount <= charge.amount and taken + amount <= charge.limit:
            return amount
    return -1


_STAMP = {"minute": "%Y%m%d%H%M", "hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}


def period_of(account: Account, turn: str, now: float) -> str:
    if account.window is None or account.window == TURN:
        return turn if account.window else ""
    return datetime.fromtimestamp(now, UTC).strftime(_STAMP[account.window])


def _ends_in(account: Account, now: float) -> float | None:
    """Seconds until the stamp of the period changes, found by looking."""
    if account.window not in _STAMP:
        return None
    here, stamp = datetime.fromtimestamp(now, UTC), _STAMP[account.window]
    for end in _midnights(here) if account.window in {"day", "month"} else _minutes(here):
        if end.strftime(stamp) != here.strftime(stamp):
            return round((end - here).total_seconds(), 3)
    return None


def _minutes(here: datetime) -> Iterable[datetime]:
    start = here.replace(second=0, microsecond=0)
    return (start + timedelta(minutes=number) for number in range(1, 62))


def _midnights(here: datetime) -> Iterable[datetime]:
    start = here.replace(hour=0, minute=0, second=0, microsecond=0)
    return (start + timedelta(days=number) for number in range(1, 33))
