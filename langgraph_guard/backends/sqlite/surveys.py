"""What people read of a ledger in a file, in pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Final

from langgraph_guard.backends.sqlite import rows
from langgraph_guard.backends.sqlite.books import Books
from langgraph_guard.policies.bookkeeping import Hold, pages
from langgraph_guard.policies.bookkeeping.checks import check_count
from langgraph_guard.policies.bookkeeping.rows import balance_of
from langgraph_guard.policies.ledger import AccountBalance, Holds, OpenHold, Page, Survey

PAST: Final = "\x7f"
"""After every character of a name: they are printable ASCII."""


def survey(connection: sqlite3.Connection, command: Survey, now: float) -> Page[AccountBalance]:
    check_count(command.count)
    books = Books(connection)
    # A name begins with its tenant, and everyone's with theirs.
    parts = {rows.name((command.tenant,))[:-1] + ",", rows.name(("", "global"))[:-1] + ","}
    names = sorted({name for part in parts for name in _names(connection, part, command)})[: command.count + 1]
    told = [
        (name, AccountBalance(account, balance_of(books.get, account, None, now)))
        for name, account in ((name, rows.account(name)) for name in names)
    ]
    return pages.page(told, command.count)


def _names(connection: sqlite3.Connection, part: str, command: Survey) -> list[str]:
    found = connection.execute(
        "SELECT account FROM accounts WHERE account > ? AND account < ? ORDER BY account LIMIT ?",
        (max(part, command.after), part + PAST, command.count + 1),
    )
    return [name for (name,) in found]


def holds(connection: sqlite3.Connection, command: Holds, now: float) -> Page[OpenHold]:
    check_count(command.count)
    found = list(islice(_held(connection, command), command.count + 1))
    told = [(pages.cursor(hold.deadline, text), pages.open_hold(rows.part(text), hold, now)) for text, hold in found]
    return pages.page(told, command.count)


def _held(connection: sqlite3.Connection, command: Holds) -> Iterator[tuple[str, Hold]]:
    found = connection.execute(
        "SELECT id, row FROM holds WHERE (due, id) > (?, ?) ORDER BY due, id", pages.place(command.after)
    )
    for text, row in found:
        hold = rows.hold(row)
        if pages.is_held_by(hold, command.tenant):
            yield text, hold
