"""What a call does, as flows: reserve, settle, release, extend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from langgraph_guard._redis import Script
from langgraph_guard.backends.redis.ledger import scripts, wire
from langgraph_guard.backends.redis.ledger.books import OTHERS_FIRST, Asking, unavailable
from langgraph_guard.backends.redis.ledger.keys import word
from langgraph_guard.backends.redis.ledger.made import Part
from langgraph_guard.backends.redis.ledger.shelf import Shelf
from langgraph_guard.backends.redis.ledger.wire import Held
from langgraph_guard.errors import InvalidAmount, ReservationConflict
from langgraph_guard.policies.bookkeeping.checks import check_amount, check_lease, check_reserve
from langgraph_guard.policies.ledger import Charge, Closed, Denied, Extend, Granted, Release, Reserve, Settle

ATTEMPTS: Final = 8
"""To close a reservation whose owners are not known: they change only when its id is used anew in between."""

# Reserving


def reserve(shelf: Shelf, command: Reserve) -> Asking[Granted | Denied]:
    """Room on all accounts or on none. Books of several slots take a step each: a denial undoes the steps before it,
    and what dies in between leaves an orphan, which is charged."""
    check_reserve(command)
    steps = _steps(shelf, command)
    held: list[Held] = []
    parts: list[Part] = []
    for place, numbers in steps.items():
        books, charges = shelf.of(place), [command.charges[number] for number in numbers]
        request = wire.reserve(books.keys, command, charges, held[0].turn if held else command.turn)
        reply = yield from books.ask(scripts.RESERVE, (books.keys.leases, *request.keys), *request.arguments)
        if reply[0] != b"granted":
            if reply[0] != b"conflict":
                yield from _take_back(shelf, command.id, parts)
            return _refused(command, charges, reply, held)
        held.append(Held.of(reply[1]))
        parts.append(Part(place, request.names, reply[1], tuple(charge.account for charge in charges)))
    if any(each.is_open for each in held):
        shelf.made.remember(command.id, tuple(parts))
    return Granted(command.id, _in_order(steps, held), held[0].turn)


def _steps(shelf: Shelf, command: Reserve) -> dict[str, list[int]]:
    """Which charges are asked for where. First the session's, because it says which turn it is; everyone's last."""
    steps: dict[str, list[int]] = {}
    for number, charge in enumerate(command.charges):
        steps.setdefault(shelf.place(charge.account.tenant), []).append(number)
    if len(steps) < 2:
        return steps or {shelf.place(shelf.tenant): []}
    sessions = [shelf.place(each.account.tenant) for each in command.charges if each.account.scope == "session"]
    first = sessions[0] if sessions else None
    return dict(sorted(steps.items(), key=lambda step: (step[0] != first, step[0] == "")))


def _in_order(steps: dict[str, list[int]], held: Sequence[Held]) -> tuple[int, ...]:
    if len(held) == 1:
        return held[0].grants
    grants: dict[int, int] = {}
    for numbers, each in zip(steps.values(), held, strict=True):
        grants.update(zip(numbers, each.grants, strict=True))
    return tuple(grants[number] for number in sorted(grants))


def _take_back(shelf: Shelf, id: str, parts: Sequence[Part]) -> Asking[None]:
    """Undo steps as if they had not been: their id stays free."""
    for part in parts:
        yield from _of_its_owners(shelf, part.place, scripts.RELEASE, id, (wire.OF_NOTHING, "forget"), part)


def _refused(command: Reserve, charges: Sequence[Charge], reply: Any, held: Sequence[Held]) -> Denied:
    if reply[0] == b"conflict":
        raise ReservationConflict(command.id, reply[1].decode(), "reserved with other amounts")
    if reply[0] == b"large":
        account = charges[reply[1] - 1].account
        problem = f"would bring what is spent and held per {account.scope} past 2^53-1"
        raise InvalidAmount(f"{account.unit} amount", problem)
    found = wire.denied(charges, reply)
    return replace(found, turn=held[0].turn, turn_seq=held[0].seq) if held else found


# Closing


def settle(shelf: Shelf, command: Settle) -> Asking[Closed]:
    for unit, amount in command.actual.items():
        check_amount(f"actual[{unit}]", amount)
    pairs = (each for unit, amount in command.actual.items() for each in (word(unit), amount))
    said = (wire.actual_word(command.actual), *pairs)
    over: dict[str, int] = {}
    unknown = True
    for place, part in _where(shelf, command.id):
        reply = yield from _of_its_owners(
            shelf, place, scripts.SETTLE, command.id, (part.record if part else "", *said), part
        )
        if reply[0] == b"conflict":
            if reply[1] == b"unknown":
                continue
            raise ReservationConflict(command.id, reply[1].decode(), "settled")
        unknown = False
        for unit, excess in wire.overrun(reply[1]).items():
            over[unit] = max(excess, over.get(unit, 0))
    if unknown:
        raise ReservationConflict(command.id, "unknown", "settled")
    return Closed(command.id, over)


def release(shelf: Shelf, command: Release) -> Asking[Closed]:
    for place, part in _where(shelf, command.id):
        reply = yield from _of_its_owners(shelf, place, scripts.RELEASE, command.id, (wire.OF_NOTHING, ""), part)
        if reply[0] == b"conflict":
            raise ReservationConflict(command.id, reply[1].decode(), "released")
    return Closed(command.id)


def extend(shelf: Shelf, command: Extend) -> Asking[bool]:
    check_lease(command.lease)
    is_open = False
    for place, part in _where(shelf, command.id):
        reply = yield from _of_its_owners(shelf, place, scripts.EXTEND, command.id, (repr(float(command.lease)),), part)
        is_open = is_open or reply[1] == 1
    return is_open


def _where(shelf: Shelf, id: str) -> Iterator[tuple[str, Part | None]]:
    """The books that a reservation is in, or may be in."""
    made = shelf.made.of(id)
    if made:
        return iter([(part.place, part) for part in made])
    return iter([(place, None) for place in shelf.places()])


def _of_its_owners(
    shelf: Shelf, place: str, script: Script, id: str, said: Sequence[Any], part: Part | None
) -> Asking[Any]:
    """Ask until the owners that are named are the reservation's own: their keys have to be declared."""
    books, names = shelf.of(place), part.names if part else ()
    for _ in range(ATTEMPTS):
        keys = (books.keys.leases, books.keys.hold(id), *map(books.keys.owner, names))
        reply = yield from books.ask(script, keys, wire.id_word(id), " ".join(names), *said)
        if reply[0] != b"owners":
            return reply
        names = tuple(reply[1].decode().split())
    raise unavailable(OTHERS_FIRST)
