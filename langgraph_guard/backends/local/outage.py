"""One time without the shared ledger: the limits of this process alone, and what it used."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from langgraph_guard.backends.local.journal import Closing, Journal
from langgraph_guard.backends.memory.ledger import MemoryLedger
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.errors import BudgetUnavailable, ReservationConflict
from langgraph_guard.policies.bookkeeping.checks import check_amount
from langgraph_guard.policies.ledger import (
    MAX_AMOUNT,
    Account,
    Balance,
    Charge,
    Closed,
    Command,
    Denied,
    EnsureAtLeast,
    Extend,
    Granted,
    OpenTurn,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Wait,
)

NEVER: Final = float("-inf")


def goes_on(command: Command) -> bool:
    """Whether `command` may be answered without the shared ledger: as its limits say, and what closes, always."""
    if isinstance(command, Reserve):
        return all(charge.local is not None for charge in command.charges)
    if isinstance(command, (OpenTurn, EnsureAtLeast, Read)):
        return command.local
    return isinstance(command, (Settle, Release, Wait))


class Outage:
    """Not safe by itself: whoever has it holds a lock.

    Each account may be charged up to the `local` of its charges, over its window. What a checkpoint told of an account
    is known beside it: it is shown, and keeps the limit itself, but is not charged again.
    """

    def __init__(self, clock: Clock, error: BudgetUnavailable) -> None:
        self.ledger = MemoryLedger(clock)
        self.journal = Journal(error.backend)
        self.since = self.asked_at = clock.now()
        self.asking = False
        self.charged = self.lost = 0
        self._known: dict[tuple[Account, str], int] = {}

    def answer(self, command: Command, cause: BudgetUnavailable | None) -> Reply:
        """`cause`: the shared ledger was asked, and may have done it although there was no answer."""
        if isinstance(command, Reserve):
            return self._reserve(command, cause)
        if isinstance(command, (Settle, Release)):
            return self._close(command)
        if isinstance(command, Read):
            return tuple(self._shown(account, command.turn) for account in command.accounts)
        if isinstance(command, EnsureAtLeast):
            self._ensure(command)
            return None
        if isinstance(command, OpenTurn):
            self.journal.opened(command)
        return self._ask(command)

    def waiting(self, command: Wait) -> Wait:
        """The same for the room that there is here."""
        return replace(command, charges=self._capped(command.charges, command.turn))

    def holds(self, command: Command) -> bool:
        """Whether `command` is about a reservation that is open here."""
        return isinstance(command, Extend) and bool(self._ask(command))

    def _reserve(self, command: Reserve, cause: BudgetUnavailable | None) -> Granted | Denied:
        self.journal.check_room(command.id)
        capped = self._capped(command.charges, command.turn)
        reply = cast(Granted | Denied, self._ask(replace(command, charges=capped)))
        if isinstance(reply, Granted):
            self.journal.reserved(command, reply, exactly=cause is None)
            return reply
        if cause is not None:  # It may be held over there, and who is denied does not close: so this is no denial.
            raise cause
        return self._denied(reply, command.charges[capped.index(reply.charge)])

    def _capped(self, charges: tuple[Charge, ...], turn: str | None) -> tuple[Charge, ...]:
        return tuple(charge._replace(limit=self._most(charge, turn)) for charge in charges)

    def _most(self, charge: Charge, turn: str | None) -> int:
        """What may be charged here: the cap, or what a checkpoint says that is left of the limit."""
        if charge.limit is None:
            return charge.local or 0
        known = self._known_of(charge.account, self._balance(charge.account, turn))
        return max(0, min(charge.limit - known, charge.local or 0))

    def _denied(self, reply: Denied, charge: Charge) -> Denied:
        """The denial as the caller asked. The part of the limit that is out of reach counts as held."""
        balance, limit = reply.balance, reply.charge.limit or 0
        known = self._known_of(charge.account, balance)
        out_of_reach = (limit if charge.limit is None else charge.limit) - known - limit
        shown = balance._replace(spent=balance.spent + known, reserved=balance.reserved + max(0, out_of_reach))
        return replace(reply, charge=charge, balance=shown)

    def _close(self, command: Closing) -> Closed:
        for unit, amount in command.actual.items() if isinstance(command, Settle) else ():
            check_amount(f"actual[{unit}]", amount)
        self.journal.check_room(command.id)
        try:
            closed = cast(Closed, self._ask(command))
        except ReservationConflict as error:
            if error.state != "unknown":
                raise
            closed = Closed(command.id)  # It was made before: how it fits is found when the ledger is told.
        self.journal.closed(command)
        return closed

    # What is known from elsewhere

    def _ensure(self, command: EnsureAtLeast) -> None:
        check_amount("total", command.total)
        balance = self._balance(command.account, command.turn)
        known = self._known_of(command.account, balance)
        self._known[command.account, balance.period] = max(known, command.total - balance.spent)

    def _known_of(self, account: Account, balance: Balance) -> int:
        return self._known.get((account, balance.period), 0)

    def _shown(self, account: Account, turn: str | None) -> Balance:
        balance = self._balance(account, turn)
        return balance._replace(spent=min(MAX_AMOUNT, balance.spent + self._known_of(account, balance)))

    def _balance(self, account: Account, turn: str | None) -> Balance:
        (balance,) = cast(tuple[Balance, ...], self._ask(Read((account,), turn=turn)))
        return balance

    def _ask(self, command: Command) -> Reply:
        return self.ledger.execute([command])[0]
