"""What a gate does, as requests that may be asked together: open turns, raise accounts, read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from langgraph_guard.backends.redis.ledger import scripts, wire
from langgraph_guard.backends.redis.ledger.books import Asking, Request, answers
from langgraph_guard.backends.redis.ledger.keys import field_of, member, owner_name, word
from langgraph_guard.backends.redis.ledger.shelf import Shelf
from langgraph_guard.policies.bookkeeping.checks import check_amount
from langgraph_guard.policies.ledger import (
    Account,
    Balance,
    EnsureAtLeast,
    OpenTurn,
    Owner,
    Read,
    Reply,
    owner_of,
)

Look: TypeAlias = OpenTurn | EnsureAtLeast | Read
Told: TypeAlias = Callable[[list[Any]], Reply]

LOOKS = (OpenTurn, EnsureAtLeast, Read)
"""Each may be asked twice: what it says is said once and for all, or changes nothing."""


def look(shelf: Shelf, commands: Sequence[Look]) -> Asking[list[Reply]]:
    """All in one round trip."""
    requests: list[Request] = []
    told: list[tuple[int, Told]] = []
    for command in commands:
        asked, tell = _asked(shelf, command)
        requests += asked
        told.append((len(asked), tell))
    found = iter((yield from answers(requests)))
    return [tell([next(found) for _ in range(number)]) for number, tell in told]


def _asked(shelf: Shelf, command: Look) -> tuple[list[Request], Told]:
    match command:
        case OpenTurn():
            return [_open_turn(shelf, command)], _nothing
        case EnsureAtLeast():
            return [_ensure(shelf, command)], _nothing
        case Read():
            reading = Reading(shelf, command.accounts)
            return reading.requests, lambda replies: reading.balances(replies, command.turn)


def _nothing(replies: list[Any]) -> None:
    return None


def _open_turn(shelf: Shelf, command: OpenTurn) -> Request:
    owner, books = Owner(command.tenant, "session", command.session), shelf.of(command.tenant)
    keys = (books.keys.owner(owner_name(owner)), *wire.home(books.keys, owner))
    return books.request(scripts.OPEN_TURN, keys, member(owner), wire.opened_turn(command.turn, command.seq))


def _ensure(shelf: Shelf, command: EnsureAtLeast) -> Request:
    check_amount("total", command.total)
    account, owner, books = command.account, owner_of(command.account), shelf.of(command.account.tenant)
    keys = (books.keys.leases, books.keys.owner(owner_name(owner)), *wire.home(books.keys, owner))
    where = (member(owner), wire.with_run(owner), account.window or "", field_of(account.unit, account.window))
    return books.request(scripts.ENSURE, keys, *where, word(command.turn), command.total)


class Reading:
    """Accounts of whatever owners in whatever books, read with one script for each of these."""

    def __init__(self, shelf: Shelf, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self._fields: dict[str, dict[Owner, dict[str, None]]] = {}
        for account in accounts:
            owner = owner_of(account)
            fields = self._fields.setdefault(shelf.place(account.tenant), {}).setdefault(owner, {})
            fields.update({"turn": None, "frozen": None, field_of(account.unit, account.window): None})
        self.requests = [self._request(shelf, place, owners) for place, owners in self._fields.items()]

    @staticmethod
    def _request(shelf: Shelf, place: str, owners: dict[Owner, dict[str, None]]) -> Request:
        books = shelf.of(place)
        keys = (books.keys.leases, *(books.keys.owner(owner_name(owner)) for owner in owners))
        return books.request(
            scripts.READ, keys, *(word for fields in owners.values() for word in (len(fields), *fields))
        )

    def balances(self, replies: list[Any], turn: str | None) -> tuple[Balance, ...]:
        found: dict[Owner, tuple[float, dict[bytes, bytes | None]]] = {}
        for owners, (_, now, *rows) in zip(self._fields.values(), replies, strict=True):
            for (owner, fields), values in zip(owners.items(), rows, strict=True):
                found[owner] = float(now), dict(zip((field.encode() for field in fields), values, strict=True))
        told = ((account, *found[owner_of(account)]) for account in self._accounts)
        return tuple(wire.balance(fields, account, turn, now) for account, now, fields in told)
