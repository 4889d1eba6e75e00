"""Which model call a charge of the ledger belongs to, so that the log's figures and the ledger's are the same.

A meter says `reserved` before a call and `settled` after it, from the node around the call; a metering callback says
`settled` while LangChain still tells of the call's end, before we hear of it or after. A model call whose meter has not
settled yet is kept back until it has, at the latest until the node around it ends. A wrapped model tells the ids of
its reservations with the call; where nobody does, a charge finds its call by its node and its tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_guard.observability.steps.drafts import LISTED, Cost
from langgraph_guard.observability.steps.units import Unit

Write = Callable[[Cost], None]
"""Writes a record, with its cost if that is known."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a meter reserved, or settled, within `unit`."""

    id: str
    unit: Unit
    usd: int | None
    tokens: int | None

    def covers(self, call: Unit, tokens: int) -> bool:
        return (self.tokens is None or self.tokens == tokens) and call.is_within(self.unit)


@dataclass(frozen=True, slots=True)
class Ended:
    """A model call that has ended, and waits for its charge."""

    call: Unit
    tokens: int
    write: Write


@dataclass(slots=True)
class _Book:
    """The charges of one run."""

    reserved: dict[str, Charge] = field(default_factory=dict)
    settled: list[Charge] = field(default_factory=list)
    calls: dict[str, Unit | None] = field(default_factory=dict)
    """The calls of reservations whose call is known; `None` once it is written: a second budget charges it as well."""
    ended: list[Ended] = field(default_factory=list)


class Bills:
    """Ties charges to model calls. `unclaimed(unit, usd)` gets what belongs to none: tools that cost money."""

    def __init__(self, unclaimed: Callable[[Unit, int], None]) -> None:
        self._lock = threading.Lock()
        self._books: dict[Unit, _Book] = {}
        self._unclaimed = unclaimed

    # What a meter says

    def reserved(self, unit: Unit, said: Mapping[str, Any]) -> None:
        charge = Charge(_id(said), unit, _count(said.get("usd")), _count(said.get("tokens")))
        with self._lock:
            self._books.setdefault(unit.root, _Book()).reserved[charge.id] = charge

    def settled(self, unit: Unit, said: Mapping[str, Any]) -> None:
        """Of what a settlement does not name, the ledger charges what was reserved."""
        with self._lock:
            book = self._books.setdefault(unit.root, _Book())
            held = book.reserved.pop(_id(said), None)
            usd = _count(said.get("usd"))
            charge = Charge(
                _id(said),
                held.unit if held else unit,
                usd if usd is not None or not held else held.usd,
                _count(said.get("tokens")),
            )
            if charge.id in book.calls and book.calls[charge.id] is None:
                return
            of_tools = not said.get("model") and charge.tokens is None
            paid = None if of_tools else self._paid(book, charge)
            if paid is None and not of_tools:
                book.settled.append(charge)
        if paid is not None:
            paid.write(charge.usd)
        elif of_tools and charge.usd:
            self._unclaimed(charge.unit, charge.usd)

    def released(self, unit: Unit, said: Mapping[str, Any]) -> None:
        """Nothing is charged: the call was not made, or its answer was kept from before."""
        self.settled(unit, {"model": " ", **said, "usd": 0})

    def _paid(self, book: _Book, charge: Charge) -> Ended | None:
        call = book.calls.get(charge.id)
        if call is not None:
            found = [each for each in book.ended if each.call is call]
        else:
            found = [
                each for each in book.ended if not each.call.reservations and charge.covers(each.call, each.tokens)
            ]
        if not found:
            return None
        # A charge without figures is of a call that came to nothing, if there is one.
        paid = min(found, key=lambda each: each.tokens) if charge.tokens is None else found[0]
        book.ended.remove(paid)
        self._told(book, paid.call)
        return paid

    def _told(self, book: _Book, call: Unit) -> None:
        """`call` has its figure: what else is charged for it is the same money in another budget."""
        book.calls.update(dict.fromkeys(call.reservations))

    # What LangChain says

    def began(self, call: Unit) -> None:
        """A model call that names its reservations. Calls within it carry the same names: they are the outer one's."""
        with self._lock:
            book = self._books.setdefault(call.root, _Book())
            for id in call.reservations:
                book.calls.setdefault(id, call)

    def ended(self, call: Unit, tokens: Callable[[], int], write: Write) -> None:
        """A model call has ended. Without a meter it costs what the price list says."""
        with self._lock:
            book = self._books.get(call.root)
            if book is None:
                cost: Cost = LISTED
            elif charge := self._charged(book, call, used := tokens()):
                cost = charge.usd
            elif self._is_awaited(book, call):
                book.ended.append(Ended(call, used, write))
                return
            else:
                is_outer = not any(book.calls.get(id, call) is not call for id in call.reservations)
                cost = LISTED if is_outer else None
        write(cost)

    def _is_awaited(self, book: _Book, call: Unit) -> bool:
        """Whether a charge for `call` is still to come."""
        if call.reservations:
            return any(id in book.reserved and book.calls.get(id) is call for id in call.reservations)
        open_ones = (each for each in book.reserved.values() if each.id not in book.calls)
        return any(call.is_within(each.unit) for each in open_ones)

    def _charged(self, book: _Book, call: Unit, tokens: int) -> Charge | None:
        if call.reservations:
            charge = next((each for each in book.settled if book.calls.get(each.id) is call), None)
        else:
            charge = next(
                (each for each in book.settled if each.id not in book.calls and each.covers(call, tokens)), None
            )
        if charge is not None:
            book.settled.remove(charge)
            self._told(book, call)
        return charge

    # At an end

    def close(self, unit: Unit) -> None:
        """`unit` has ended, and so has waiting within it."""
        book = self._books.get(unit.root)
        if book is None or not (book.ended or book.settled or unit.around is None):
            return
        with self._lock:
            waiting = [each for each in book.ended if each.call.is_within(unit)]
            charges = [each for each in book.settled if each.unit.is_within(unit)]
            book.ended = [each for each in book.ended if each not in waiting]
            book.settled = [each for each in book.settled if each not in charges]
            if unit.around is None:
                self._books.pop(unit, None)
        for each in waiting:
            each.write(None)
        for charge in charges:
            if charge.usd:
                self._unclaimed(charge.unit, charge.usd)


def _id(said: Mapping[str, Any]) -> str:
    return str(said.get("reservation"))


def _count(value: object) -> int | None:
    return value if type(value) is int else None
