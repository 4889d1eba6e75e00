"""What people do and read, as flows: adjust, freeze and thaw, survey, open reservations, the audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from langgraph_guard.backends.redis.ledger import scripts, wire
from langgraph_guard.backends.redis.ledger.books import Asking, Books
from langgraph_guard.backends.redis.ledger.keys import field_of, member, owner_name, owner_of_member, to_text
from langgraph_guard.backends.redis.ledger.shelf import Shelf
from langgraph_guard.errors import ConfigError, ReservationConflict
from langgraph_guard.policies.bookkeeping import pages
from langgraph_guard.policies.bookkeeping.checks import check_adjust, check_count, check_note
from langgraph_guard.policies.ledger import (
    AccountBalance,
    Adjust,
    Audit,
    Balance,
    Deed,
    Freeze,
    Holds,
    OpenHold,
    Owner,
    Page,
    Survey,
    Thaw,
    owner_of,
)

EVERYONE: Final = Owner("", "global", "")

AT_ONCE: Final = 100
"""Owners, or reservations, that one call of a script looks at: a server does nothing else meanwhile."""


# By hand


def adjust(shelf: Shelf, command: Adjust) -> Asking[Balance]:
    check_adjust(command)
    account, owner = command.account, owner_of(command.account)
    books = shelf.of(account.tenant)
    keys = books.keys
    deed = _deed("adjust", owner, command.by, command.reason)
    about = to_text([account, command.spent, command.credit, command.turn])
    reply = yield from books.ask(
        scripts.ADJUST,
        (
            keys.leases,
            keys.deed(command.id),
            keys.owner(owner_name(owner)),
            *wire.home(keys, owner),
            keys.audit(wire.tenant_of(owner)),
        ),
        member(owner),
        wire.with_run(owner),
        account.window or "",
        field_of(account.unit, account.window),
        wire.turn_word(command.turn or None),
        command.spent,
        command.credit,
        about,
        to_text([*deed, account.unit, account.window, command.spent, command.credit]),
    )
    if reply[0] == b"conflict":
        raise ReservationConflict(command.id, "adjusted", "adjusted otherwise")
    _, spent, reserved, period, credit, frozen = reply
    return Balance(int(spent), int(reserved), wire.text(period), int(credit), bool(frozen))


def freeze(shelf: Shelf, command: Freeze) -> Asking[None]:
    yield from _switch(shelf, command, "freeze", "1")


def thaw(shelf: Shelf, command: Thaw) -> Asking[None]:
    yield from _switch(shelf, command, "thaw", "0")


def _switch(shelf: Shelf, command: Freeze | Thaw, action: Literal["freeze", "thaw"], becomes: str) -> Asking[None]:
    check_note(command)
    owner = Owner(*command.owner)
    books = shelf.of(owner.tenant)
    keys = books.keys.owner(owner_name(owner)), *wire.home(books.keys, owner), books.keys.audit(wire.tenant_of(owner))
    deed = _deed(action, owner, command.by, command.reason)
    yield from books.ask(scripts.FREEZE, keys, member(owner), becomes, to_text(deed))


def reopen(shelf: Shelf, by: str, reason: str) -> Asking[None]:
    """Accept the books as they are, in every slot that this process has to do with."""
    check_note(Freeze(EVERYONE, by, reason))
    for books in shelf.known():
        yield from books.reopen(to_text(_deed("reopen", EVERYONE, by, reason)))


def _deed(action: str, owner: Owner, by: str, reason: str) -> list[Any]:
    return [action, owner, by, reason]


def audit(shelf: Shelf, command: Audit) -> Asking[tuple[Deed, ...]]:
    own, everyones = shelf.of(command.tenant).keys.audit(command.tenant), shelf.of("").keys.audit(None)
    found = yield [("LRANGE", own, 0, -1), ("LRANGE", everyones, 0, -1)]
    deeds = [_read_deed(each) for records in found for each in records]
    return tuple(sorted(deeds, key=lambda deed: deed.at))


def _read_deed(record: bytes) -> Deed:
    at, _, told = record.partition(b" ")
    action, owner, *rest = json.loads(told)
    return Deed(float(at), action, Owner(*owner), *rest)


# Surveys


def survey(shelf: Shelf, command: Survey) -> Asking[Page[AccountBalance]]:
    """A tenant's owners by name, then everyone's. A cursor says whose, after which owner, and after which field."""
    check_count(command.count)
    whose, name, field = _cursor(command.after)
    found: list[tuple[str, AccountBalance]] = []
    for place, tenant in enumerate((command.tenant, None)[whose:], whose):
        books = shelf.of(tenant or "")
        # The owner that a page ended in may have more accounts.
        names = [name.encode()] if name else []
        while len(found) <= command.count:
            if not names:
                names = (yield from books.ask(scripts.OWNERS, (books.keys.index(tenant),), name, AT_ONCE))[1:]
            if not names:
                break
            told = yield from _balances(books, tenant, names)
            found += [(to_text([place, owner, at]), each) for owner, at, each in told if (owner, at) > (name, field)]
            name, field, names = names[-1].decode(), _LAST, []
        name, field = "", ""
    return pages.page(found[: command.count + 1], command.count)


Listed: TypeAlias = tuple[str, str, AccountBalance]
"""An account with its owner's name in the index and its field."""

_LAST: Final = "\uffff"
"""Behind every field of an owner: they are ASCII."""


def _balances(
    books: Books, tenant: str | None, names: Sequence[bytes]
) -> Asking[list[tuple[str, str, AccountBalance]]]:
    owners = [owner_of_member(tenant, name) for name in names]
    keys = books.keys.index(tenant), *(books.keys.owner(owner_name(owner)) for owner in owners)
    _, now, *rows = yield from books.ask(scripts.SURVEY, keys, *names)
    found = []
    for owner, name, words in zip(owners, names, rows, strict=True):
        fields = dict(zip(words[::2], words[1::2], strict=True))
        for account in wire.accounts(owner, fields):
            balance = wire.balance(fields, account, None, float(now))
            found.append((name.decode(), field_of(account.unit, account.window), AccountBalance(account, balance)))
    return found


def _cursor(after: str) -> tuple[int, str, str]:
    if not after:
        return 0, "", ""
    try:
        whose, name, field = json.loads(after)
        return int(bool(whose)), str(name), str(field)
    except (ValueError, TypeError) as error:
        raise ConfigError("after", "is no cursor of a page before") from error


# Open reservations


def holds(shelf: Shelf, command: Holds) -> Asking[Page[OpenHold]]:
    check_count(command.count)
    behind = pages.place(command.after)
    found: dict[str, OpenHold] = {}
    for place in dict.fromkeys([shelf.place(command.tenant), shelf.place("")]):
        for each in (yield from _holds_in(shelf.of(place), command)):
            known = found.get(each.id)
            found[each.id] = each if known is None else _joined(known, each)
    ends = sorted(end for each in found.values() if (end := (each.deadline, each.id)) > behind)
    listed = [(pages.cursor(*end), found[end[1]]) for end in ends]
    return pages.page(listed[: command.count + 1], command.count)


def _joined(one: OpenHold, other: OpenHold) -> OpenHold:
    """A reservation that is in the books of two slots."""
    return one._replace(charges=one.charges + other.charges, granted=one.granted + other.granted)


def _holds_in(books: Books, command: Holds) -> Asking[list[OpenHold]]:
    """The tenant's, from the cursor's deadline on: as many as a page needs, and all that end with the last of them."""
    behind = pages.place(command.after)
    found: dict[str, OpenHold] = {}
    begin, skip = repr(behind[0]), 0
    while True:
        _, now, *listed = yield from books.ask(scripts.LEASES, (books.keys.leases,), begin, skip, AT_ONCE)
        found.update((yield from _opened(books, listed, command.tenant, float(now))))
        if len(listed) < 2 * AT_ONCE:
            return list(found.values())
        last = listed[-1].decode()
        if sum(behind < (each.deadline, each.id) and each.deadline < float(last) for each in found.values()) > (
            command.count
        ):
            return list(found.values())
        # Some may have been closed meanwhile: to read a few again is better than to skip some.
        begin, skip = (begin, skip + AT_ONCE) if float(last) == float(begin) else (last, 0)


def _opened(books: Books, listed: Sequence[bytes], tenant: str, now: float) -> Asking[dict[str, OpenHold]]:
    """Of "owner … =id", deadline …: what is still open, and the tenant's or everyone's."""
    ids = [wire.read_member(each)[1] for each in listed[::2]]
    (records,) = (yield [("MGET", *map(books.keys.hold, ids))]) if ids else [[]]
    found = {}
    for id, record in zip(ids, records, strict=True):
        if record and record.startswith(b"held\n"):
            each, tenants = wire.open_hold(id, record, now)
            if not tenants or tenant in tenants:
                found[id] = each
    return found
