"""What can be said to a ledger, and what it answers. After TigerBeetle's two-phase transfers.

A call that may cost something first *reserves* the most that it can cost, on every account that it concerns, in one
step: all accounts or none. Afterwards it *settles* what it did cost, or *releases* the reservation when nothing was
sent. A reservation whose worker died *expires* with its lease and is charged. For every account at every moment

    spent + reserved ≤ limit        after each reserve; settling no more than was reserved keeps it so

`bookkeeping` has the rules that make it so. A sum never passes 2^53-1: a reservation that would bring one there is
refused as `InvalidAmount`, and what is settled beyond it is counted as 2^53-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

Item = TypeVar("Item")

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


class Owner(NamedTuple):
    """Whose accounts they are: one scope (`user` "42"), whatever is counted over whatever window."""

    tenant: str
    scope: str
    id: str


def owner_of(account: Account) -> Owner:
    return Owner(account.tenant, account.scope, account.id)


class Charge(NamedTuple):
    """What a reservation asks of one account. `limit` `None` only counts; `at_least` accepts less than `amount`.

    `local`: the limit of each process by itself while the ledger is away; `None` refuses then.
    """

    account: Account
    amount: int
    limit: int | None = None
    at_least: int | None = None
    local: int | None = None


# Commands


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Make `turn` the turn that the session's next calls are charged to. `local`: also while the ledger is away."""

    tenant: str
    session: str
    turn: str
    seq: int = 0
    local: bool = False


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
    """Close the reservations whose lease has ended. The reply is how many; where an answer was lost, maybe fewer."""


@dataclass(frozen=True, slots=True)
class EnsureAtLeast:
    """Raise what an account has spent to `total` where it is less: the larger figure is the true one.

    `turn` names the turn of a `TURN` account. `local`: also while the ledger is away.
    """

    account: Account
    total: int
    turn: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Balances of accounts, in order. `local`: while the ledger is away, what this process knows by itself.

    `turn`: the one that `TURN` accounts are read of; without it, the session's open turn.
    """

    accounts: tuple[Account, ...]
    local: bool = False
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass until there may be room, `seconds` at the most.

    `charges`: what the caller waits to reserve, in `turn` as in `Reserve`. Whatever frees room for them in the same
    process ends the wait, and so does room that is there already.
    """

    seconds: float
    charges: tuple[Charge, ...] = ()
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Extend:
    """The call is still under way: its lease ends `lease` seconds from now, unless it ends later as it is.

    The reply says whether the reservation is still open. One that was closed, or never was, stays as it is.
    """

    id: str
    lease: float = 300.0


# What people do. Each leaves a record of who did it and why.


@dataclass(frozen=True, slots=True)
class Adjust:
    """Correct what an account has spent, or give it more room, in its present period. Idempotent by `id`.

    `spent` is added to what is spent, which stays at 0 at the least: a provider's invoice says otherwise. `credit` is
    added to what its limits allow, and may be taken away again. The reply is the balance afterwards. Raises
    `ReservationConflict` for an id that made another adjustment.
    """

    id: str
    account: Account
    by: str
    reason: str = ""
    spent: int = 0
    credit: int = 0
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Refuse every reservation on the owner's accounts, until it is thawed."""

    owner: Owner
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Thaw:
    """Undo `Freeze`."""

    owner: Owner
    by: str
    reason: str = ""


# What people read. In pages: `after` is the cursor of the page before.


@dataclass(frozen=True, slots=True)
class Survey:
    """Balances of a tenant's accounts, and of everyone's, in their present periods. In no particular order."""

    tenant: str
    after: str = ""
    count: int = 500


@dataclass(frozen=True, slots=True)
class Holds:
    """A tenant's open reservations, those whose lease ends first at the beginning."""

    tenant: str
    after: str = ""
    count: int = 500


@dataclass(frozen=True, slots=True)
class Audit:
    """What people did to a tenant's ledger, and to everyone's accounts, oldest first."""

    tenant: str


Command: TypeAlias = (
    OpenTurn
    | Reserve
    | Settle
    | Release
    | Expire
    | EnsureAtLeast
    | Read
    | Wait
    | Extend
    | Adjust
    | Freeze
    | Thaw
    | Survey
    | Holds
    | Audit
)

# Replies


class Balance(NamedTuple):
    """Figures of one account in one period. `credit`: room that somebody gave beyond the limit."""

    spent: int = 0
    reserved: int = 0
    period: str = ""
    credit: int = 0
    frozen: bool = False


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


class AccountBalance(NamedTuple):
    """One account of a survey."""

    account: Account
    balance: Balance


class OpenHold(NamedTuple):
    """A reservation that is open: what it holds, and until when (seconds since 1970). One past that is an orphan."""

    id: str
    charges: tuple[Charge, ...]
    granted: tuple[int, ...]
    deadline: float
    orphan: bool


class Deed(NamedTuple):
    """What somebody did by hand: `at` in seconds since 1970, `unit` and `window` where it concerned one account."""

    at: float
    action: Literal["adjust", "freeze", "thaw", "reopen"]
    owner: Owner
    by: str
    reason: str
    unit: str = ""
    window: str | None = None
    spent: int = 0
    credit: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of what there is. `after` asks for the next one; empty when there is none."""

    items: tuple[Item, ...]
    after: str = ""


Reply: TypeAlias = (
    Granted
    | Denied
    | Closed
    | tuple[Balance, ...]
    | Balance
    | Page[AccountBalance]
    | Page[OpenHold]
    | tuple[Deed, ...]
    | int
    | None
)
