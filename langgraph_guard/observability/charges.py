"""Which model call a charge of the ledger belongs to, so that every figure of it is the ledger's.

A meter says `reserved` before a call, and `settled` or `released` after it; LangChain says that the call began and that
it ended. Both name the call, and in which run an event was said does not matter: LangChain's own idea of the run around
a call is another one where fallbacks are, and outside a graph there is none. What comes last, the charge or the end,
closes the call. Two budgets on a call are one cost: that of the first that settles.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from langgraph_guard.forks import Lock

MOST: Final = 10_000
"""Calls under way that are kept. Of more, the oldest ends without a figure."""

EVENTS: Final = ("budget.reserved", "budget.settled", "budget.released")


@dataclass(frozen=True, slots=True)
class Charge:
    """What a ledger charged for a call, in micro-USD and tokens. `told`: whether the provider said how many tokens, or
    what was held is charged."""

    usd: int | None
    tokens: int | None
    told: bool


class Unclaimed(NamedTuple):
    """A charge that is no call's that waits for it: of tools, of a call that nobody watched, or that was given up.
    `root`: the run that it belongs to, where that is known."""

    charge: Charge
    root: Any


Close = Callable[[Charge | None], None]
"""Takes the charge of a call that has ended; `None` where nobody knows it."""


@dataclass(slots=True)
class _Call:
    """A model call. `run`: LangChain's, the outermost of those that carry its reservations; `None` before it began and
    after it was given up."""

    held: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    charge: Charge | None = None
    run: Hashable | None = None
    root: Hashable | None = None
    within: set[Hashable] = field(default_factory=set)
    """Calls that carry the same reservations, and have not ended."""
    close: Close | None = None
    """Set while the call has ended and waits for its charge."""
    is_closed: bool = False


class Charges:
    """The calls under way. `run` and `root` are whatever the listener goes by."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._calls: dict[str, _Call] = {}
        self._of_reservation: dict[str, str] = {}
        self._of_run: dict[Hashable, str] = {}
        self._of_root: dict[Hashable, set[str]] = {}
        self._waiting: dict[str, _Call] = {}

    # What a meter says

    def say(self, event: str, said: Mapping[str, Any]) -> Unclaimed | None:
        """Take one of `EVENTS`."""
        if event == "budget.reserved":
            self._reserved(said)
            return None
        return self._charged(said)

    def _reserved(self, said: Mapping[str, Any]) -> None:
        reservation = str(said["reservation"])
        with self._lock:
            id = str(said.get("call") or reservation)
            self._call(id).held[reservation] = said
            self._of_reservation[reservation] = id
        self._forget_the_oldest()

    def _charged(self, said: Mapping[str, Any]) -> Unclaimed | None:
        reservation = str(said["reservation"])
        with self._lock:
            id = self._of_reservation.pop(reservation, "")
            call = self._calls.get(id)
            if call is None:
                return Unclaimed(_charge(said, {}), None)
            charge = _charge(said, call.held.pop(reservation))
            is_first = call.charge is None
            call.charge = call.charge or charge
            close = self._take(id, call)
            if not call.held and (call.is_closed or call.run is None):
                self._drop(id)
        if close is not None:
            close(call.charge)
        return Unclaimed(charge, call.root) if is_first and call.run is None else None

    # What LangChain says

    def began(self, run: Hashable, id: UUID, reservations: Sequence[str] | None, root: Hashable) -> None:
        """A model call: by its reservations where it names them, else by LangChain's `id`. Calls within it carry the
        same names: they are the outer one's."""
        name = reservations[0] if reservations else id.hex
        with self._lock:
            call = self._call(name)
            self._of_run[run] = name
            if call.run is None:
                self._leave_root(name, call)  # of a run that gave it up
                call.run, call.root = run, root
                self._of_root.setdefault(root, set()).add(name)
            else:
                call.within.add(run)
        self._forget_the_oldest()

    def is_metered(self, run: Hashable) -> bool:
        """Whether there is a charge for this call, or will be."""
        call = self._calls.get(self._of_run.get(run, ""))
        return call is not None and call.run == run and bool(call.held or call.charge)

    def ended(self, run: Hashable, close: Close) -> bool:
        """A call has ended: `close` it as soon as its charge is known. `False`: nobody meters it, and it is not."""
        with self._lock:
            id = self._of_run.pop(run, "")
            call = self._calls.get(id)
            if call is None:
                return False
            call.within.discard(run)
            if call.run == run:
                if not (call.held or call.charge):
                    self._drop(id)
                    return False
                call.close, self._waiting[id] = close, call
                if call.charge is None:
                    return True
                self._take(id, call)
                if not call.held:
                    self._drop(id)
        close(call.charge if call.run == run else None)
        return True

    # Ends

    def left(self, run: Hashable) -> Charge | None:
        """What a call cost whose end nobody told, and which is given up."""
        with self._lock:
            call = self._calls.get(self._of_run.pop(run, ""))
            if call is None or call.run != run:
                return None
            call.run = None
            return call.charge

    def close_within(self, is_within: Callable[[Hashable], bool]) -> None:
        """What is around them has ended: these calls wait no longer."""
        if not self._waiting:
            return
        closes = []
        with self._lock:
            for id, call in tuple(self._waiting.items()):
                if is_within(call.run):
                    closes.append(self._take(id, call))
                    call.run = None
        _close(closes)

    def forget(self, root: Hashable) -> None:
        """A whole run has ended. Its calls that are not settled yet, which is a matter of moments, stay."""
        with self._lock:
            for name in tuple(self._of_root.pop(root, ())):
                if not self._calls[name].held:
                    self._drop(name)

    def _forget_the_oldest(self) -> None:
        if len(self._calls) <= self._most:
            return
        with self._lock:
            close = self._drop(next(iter(self._calls)))
        _close([close])

    # Call these with the lock held

    def _call(self, id: str) -> _Call:
        return self._calls.setdefault(id, _Call())

    def _take(self, id: str, call: _Call) -> Close | None:
        """The `close` of a call that waits, which is to be called now."""
        close, call.close = call.close, None
        call.is_closed = call.is_closed or close is not None
        self._waiting.pop(id, None)
        return close

    def _drop(self, id: str) -> Close | None:
        """Forget a call. The `close` of one that waited; only one that still holds a reservation can."""
        call = self._calls.pop(id, None)
        if call is None:
            return None
        for reservation in call.held:
            self._of_reservation.pop(reservation, None)
        for run in (call.run, *call.within):
            if self._of_run.get(run) == id:
                del self._of_run[run]
        self._leave_root(id, call)
        return self._take(id, call)

    def _leave_root(self, id: str, call: _Call) -> None:
        if (names := self._of_root.get(call.root)) is not None:
            names.discard(id)
            if not names:
                del self._of_root[call.root]


def _close(closes: Sequence[Close | None]) -> None:
    for close in closes:
        if close is not None:
            close(None)


def _charge(said: Mapping[str, Any], held: Mapping[str, Any]) -> Charge:
    """Of what a settlement does not name, the ledger charges what was reserved."""
    if "usd" not in said:
        return Charge(0, None, told=True)  # released: the call was not made, or its answer was kept from before
    usd, tokens = _count(said["usd"]), _count(said.get("tokens"))
    return Charge(
        _count(held.get("usd")) if usd is None else usd,
        _count(held.get("tokens")) if tokens is None else tokens,
        told=tokens is not None,
    )


def _count(value: object) -> int | None:
    return value if type(value) is int else None
