"""Which model call a charge of the ledger belongs to, so that the log's figures and the ledger's are the same.

A meter says `reserved` before a call and `settled` after it, from the node around the call; a metering callback says
`settled` while LangChain still tells of the call's end, before we hear of it or after. A model call whose meter has not
settled yet is kept back until it has, at the latest until the node around it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_guard.observability.steps.units import Unit

Write = Callable[[int | None], None]
"""Writes a record, with its cost in micro-USD if that is known."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a meter reserved, or settled, within `unit`."""

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
    ended: list[Ended] = field(default_factory=list)


class Bills:
    """Ties charges to model calls. `unclaimed(unit, usd)` gets what belongs to none: tools that cost money."""

    def __init__(self, unclaimed: Callable[[Unit, int], None]) -> None:
        self._lock = threading.Lock()
        self._books: dict[Unit, _Book] = {}
        self._unclaimed = unclaimed

    # What a meter says

    def reserved(self, unit: Unit, said: Mapping[str, Any]) -> None:
        charge = Charge(unit, _count(said.get("usd")), _count(said.get("tokens")))
        with self._lock:
            self._books.setdefault(unit.root, _Book()).reserved[str(said.get("reservation"))] = charge

    def settled(self, unit: Unit, said: Mapping[str, Any]) -> None:
        """Of what a settlement does not name, the ledger charges what was reserved."""
        with self._lock:
            book = self._books.setdefault(unit.root, _Book())
            held = book.reserved.pop(str(said.get("reservation")), None)
            usd = _count(said.get("usd"))
            charge = Charge(
                held.unit if held else unit,
                usd if usd is not None or not held else held.usd,
                _count(said.get("tokens")),
            )
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
        found = [each for each in book.ended if charge.covers(each.call, each.tokens)]
        if not found:
            return None
        # A charge without figures is of a call that came to nothing, if there is one.
        paid = min(found, key=lambda each: each.tokens) if charge.tokens is None else found[0]
        book.ended.remove(paid)
        return paid

    # What LangChain says

    def ended(self, call: Unit, tokens: int, price: Callable[[], int | None], write: Write) -> None:
        """A model call has ended. Without a meter, `price` says what it cost."""
        with self._lock:
            book = self._books.get(call.root)
            charge = self._charged(book, call, tokens) if book else None
            if charge is None and book and any(call.is_within(each.unit) for each in book.reserved.values()):
                book.ended.append(Ended(call, tokens, write))
                return
        write(charge.usd if charge else price())

    def _charged(self, book: _Book, call: Unit, tokens: int) -> Charge | None:
        charge = next((each for each in book.settled if each.covers(call, tokens)), None)
        if charge is not None:
            book.settled.remove(charge)
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


def _count(value: object) -> int | None:
    return value if type(value) is int else None
