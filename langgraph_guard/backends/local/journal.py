"""What the shared ledger has to be told when it is back: in the order in which it happened, and bounded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from langgraph_guard.errors import BudgetUnavailable, ReservationConflict
from langgraph_guard.policies.ledger import Adjust, Charge, Command, Granted, OpenTurn, Release, Reserve, Settle

Closing: TypeAlias = Settle | Release

MOST: Final = 10_000
"""Entries that a journal holds, of about a kilobyte each. One that is full takes no more: calls are refused then."""


@dataclass(slots=True)
class Entry:
    """A turn that was opened, a reservation that was made, how one ended, or the last two.

    `granted`: what was granted of each unit, where the ledger will hold more.
    """

    first: OpenTurn | Reserve | None = None
    closing: Closing | None = None
    granted: Mapping[str, int] = field(default_factory=dict)


class Sent(NamedTuple):
    """An entry as it was when it was sent: it may have been closed since."""

    key: Hashable
    entry: Entry
    first: OpenTurn | Reserve | None
    closing: Closing | None

    @property
    def commands(self) -> list[Command]:
        return [each for each in (self.first, self.closing) if each is not None]


class Journal:
    """Not safe by itself: whoever has it holds a lock."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._entries: dict[Hashable, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def check_room(self, id: str) -> None:
        """Raises `BudgetUnavailable` when there is none for another entry: what is not noted is never charged."""
        if len(self._entries) >= MOST and id not in self._entries:
            raise BudgetUnavailable(self._backend, reason=f"the journal of what this process spent is full ({MOST})")

    def opened(self, command: OpenTurn) -> None:
        key = command.tenant, command.session
        self._entries.pop(key, None)
        if len(self._entries) < MOST:  # Which turn is open is told again by the next run; money is not.
            self._entries[key] = Entry(command)

    def reserved(self, command: Reserve, granted: Granted, *, exactly: bool) -> None:
        """`exactly`: what was granted. Otherwise the ledger may know the reservation already, and must recognise it."""
        more = {} if exactly else _by_unit(command, granted)
        self._entries.setdefault(command.id, Entry(_counting(command, granted, exactly), granted=more))

    def closed(self, command: Closing) -> None:
        """Raises `ReservationConflict` when it was closed in another way."""
        self.check_room(command.id)
        entry = self._entries.setdefault(command.id, Entry())
        if isinstance(command, Settle):
            command = Settle(command.id, {**entry.granted, **command.actual})
        if entry.closing not in (None, command):
            state, wanted = ("settled" if isinstance(each, Settle) else "released" for each in (entry.closing, command))
            raise ReservationConflict(command.id, state, f"{wanted} otherwise" if state == wanted else wanted)
        entry.closing = command

    def first(self, count: int) -> list[Sent]:
        entries = islice(self._entries.items(), count)
        return [Sent(key, entry, entry.first, entry.closing) for key, entry in entries]

    def told(self, sent: Sent) -> None:
        """The ledger knows what was sent; how the call ended stays, when it ended meanwhile."""
        if self._entries.get(sent.key) is not sent.entry:
            return
        if sent.entry.closing is sent.closing:
            del self._entries[sent.key]
        sent.entry.first = None


def _counting(command: Reserve, granted: Granted, exactly: bool) -> Reserve:
    """`command` as it is charged afterwards: without limits, because it was spent."""
    charges = tuple(
        Charge(charge.account, amount) if exactly else charge._replace(limit=None, local=None)
        for charge, amount in zip(command.charges, granted.amounts, strict=True)
    )
    return replace(command, charges=charges, turn=granted.turn or command.turn)


def _by_unit(command: Reserve, granted: Granted) -> dict[str, int]:
    most: dict[str, int] = {}
    for charge, amount in zip(command.charges, granted.amounts, strict=True):
        most[charge.account.unit] = max(amount, most.get(charge.account.unit, 0))
    return most


def corrections(reserve: Reserve, closing: Closing | None) -> list[Adjust]:
    """What a reservation cost, as corrections of its accounts: for those that take no reservation, being frozen."""
    if isinstance(closing, Release):
        return []
    actual = closing.actual if closing else {}
    return [
        Adjust(
            f"{reserve.id}:{at}",
            charge.account,
            by="langgraph_guard",
            reason="spent while the ledger was away",
            spent=actual.get(charge.account.unit, charge.amount),
            turn=reserve.turn or "",
        )
        for at, charge in enumerate(reserve.charges)
    ]
