"""What can be said to a ledger, and what it answers. After TigerBeetle's two-phase transfers.

A call that may cost something first *reserves* the most that it can cost, on every account that it concerns, in one
step: all accounts or none. Afterwards it *settles* what it did cost, or *releases* the reservation when nothing was
sent. A reservation whose worker died *expires* with its lease and is charged. For every account at every moment

    spent + reserved ≤ limit        after each reserve; settling no more than was reserved keeps it so

`bookkeeping` has the rules that make it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

MAX_AMOUNT: Final = 2**53 - 1
"""The largest exact amount: what a double holds, so that every store and every script agrees."""

TURN: Final = "turn"
"""The window of a session account that starts over with each turn, whatever the clock says."""

RUN: Final = "run"
"""The scope of accounts that end with their run: they are forgotten with its last reservation."""

KEPT_PERIODS: Final = 3
"""Periods of an account that stay readable, so that a settlement after midnight finds the day it belongs to."""


class Account(NamedTuple):
    """What is counted, and for whom: one unit of one scope (`user` "42") over one window."""

    tenant: str
    scope: str
    id: str
    unit: str
    window: str | None = None


class Charge(NamedTuple):
    """What a reservation asks of one account. `limit` `None` only counts; `at_least` accepts less than `amount`."""

    account: Account
    amount: int
    limit: int | None = None
    at_least: int | None = None


# Commands


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Make `turn` the turn that the session's next calls are charged to."""

    tenant: str
    session: str
    turn: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold room on every account, or on none. Idempotent by `id`. `turn` overrides the session's open turn."""

    id: str
    charges: tuple[Charge, ...]
    lease: float = 300.0
    orphans: Literal["charge", "release"] = "charge"
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Close a reservation with what it cost, by unit. A unit that is missing settles at what was reserved."""

    id: str
    actual: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Close a reservation that cost nothing, because nothing was sent. An unknown id is closed for good."""

    id: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Close the reservations whose lease has ended."""


@dataclass(frozen=True, slots=True)
class EnsureAtLeast:
    """Raise what an account has spent to `total` where it is less: the larger figure is the true one.

    `turn` names the turn of a `TURN` account.
    """

    account: Account
    total: int
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """Balances of accounts, in order."""

    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass until there may be room, `seconds` at the most."""

    seconds: float


Command: TypeAlias = OpenTurn | Reserve | Settle | Release | Expire | EnsureAtLeast | Read | Wait

# Replies


class Balance(NamedTuple):
    """Figures of one account in one period."""

    spent: int = 0
    reserved: int = 0
    period: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """Room is held: `amounts` follow the order of the charges."""

    id: str
    amounts: tuple[int, ...]
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """No room on `charge.account`; nothing was written. `retry_after`: seconds to the next period, if there is one."""

    charge: Charge
    balance: Balance
    retry_after: float | None
    turn: str = ""
    turn_seq: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """The reservation is closed. `overrun`: by how much each unit cost more than was reserved (empty when it fits)."""

    id: str
    overrun: Mapping[str, int] = field(default_factory=dict)


Reply: TypeAlias = Granted | Denied | Closed | tuple[Balance, ...] | int | None
