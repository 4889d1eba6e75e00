"""The rows of the ledger in one transaction: the rules' keys and tuples to and from the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from langgraph_guard.backends.sqlite import rows
from langgraph_guard.policies import bookkeeping as rules
from langgraph_guard.policies.bookkeeping import RETENTION, Adjusted, Hold
from langgraph_guard.policies.ledger import RUN, Account, Owner

PAGE: Final = 500
"""Reservations that one transaction sweeps: ten thousand orphans must not keep others from the file for a second."""

_SELECT: Final = {
    "account": "SELECT row FROM accounts WHERE account = ?",
    "hold": "SELECT row FROM holds WHERE id = ?",
    "turn": "SELECT row FROM turns WHERE session = ?",
    "frozen": "SELECT owner FROM frozen WHERE owner = ?",
    "adjusted": "SELECT row FROM adjustments WHERE id = ?",
    "deed": "SELECT row FROM deeds WHERE tenant = ? AND number = ?",
    "deeds": "SELECT max(number) FROM deeds WHERE tenant = ? HAVING max(number) IS NOT NULL",
}

_PUT_ACCOUNT: Final = (
    "INSERT INTO accounts (account, row) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET row = excluded.row"
)

_READ: Final[dict[str, Callable[[str], Any]]] = {
    "account": rows.history,
    "hold": rows.hold,
    "turn": rows.turn,
    "frozen": bool,
    "adjusted": rows.adjusted,
    "deed": rows.deed,
    "deeds": int,
}


class Swept(NamedTuple):
    """What a sweep met: how many were due, how many of them charged or released, and where that made room."""

    seen: int
    expired: int
    freed: frozenset[Account | Owner]


class Books:
    """What a rule reads and writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute
        self._nobody_is_frozen: bool | None = None

    def get(self, key: Any) -> Any:
        """A row as the rules know it, or `None`."""
        kind = "account" if type(key) is Account else key[0]
        if kind == "frozen" and (self._nobody_is_frozen or self._is_nobody_frozen()):
            return None
        named = (rows.name(key),) if kind == "account" else (_name(key), key[2]) if kind == "deed" else (_name(key),)
        found = self._sql(_SELECT[kind], named).fetchone()
        return None if found is None else _READ[kind](found[0])

    def put(self, writes: rules.Writes) -> None:
        for key, row in writes.items():
            if type(key) is Account:
                self._sql(_PUT_ACCOUNT, (rows.name(key), rows.history_text(row)))
            elif type(row) is not Hold:
                self._put(key, row)
        for key, row in writes.items():
            if type(row) is Hold:
                self._put_hold(key[1], row)

    def is_due(self, now: float) -> bool:
        """Whether a sweep would find anything."""
        return self._sql("SELECT 1 FROM holds WHERE due <= ? LIMIT 1", (now,)).fetchone() is not None

    def sweep(self, now: float) -> Swept:
        """Charge orphans that are due and forget what was closed long ago, a page at the most."""
        due = self._sql("SELECT id, row FROM holds WHERE due <= ? ORDER BY due LIMIT ?", (now, PAGE)).fetchall()
        expired = 0
        freed: set[Account | Owner] = set()
        for text, row in due:
            hold, id = rows.hold(row), rows.part(text)
            writes = rules.expire(self.get, id, now)
            expired += bool(writes)
            freed |= rules.freed(writes)
            self.put(writes)
            if hold.deadline + RETENTION <= now:
                self._forget(text, hold)
        return Swept(len(due), expired, frozenset(freed))

    def _is_nobody_frozen(self) -> bool:
        """Asked once, since it is so nearly always."""
        if self._nobody_is_frozen is None:
            self._nobody_is_frozen = self._sql("SELECT 1 FROM frozen LIMIT 1").fetchone() is None
        return self._nobody_is_frozen

    def _put(self, key: Any, row: Any) -> None:
        name = _name(key)
        if isinstance(row, Adjusted):
            self._sql("DELETE FROM adjustments WHERE until <= ?", (row.until - RETENTION,))
            self._sql(
                "REPLACE INTO adjustments (id, until, row) VALUES (?, ?, ?)", (name, row.until, rows.to_text(row))
            )
        elif key[0] == "turn":
            self._sql("REPLACE INTO turns (session, row) VALUES (?, ?)", (name, rows.to_text(row)))
        elif key[0] == "frozen":
            self._sql("DELETE FROM frozen WHERE owner = ?", (name,))
            if row is not None:
                self._sql("INSERT INTO frozen (owner) VALUES (?)", (name,))
        elif key[0] == "deed":  # what the number of the newest one is, the rows themselves tell
            self._sql("DELETE FROM deeds WHERE tenant = ? AND number = ?", (name, key[2]))
            if row is not None:
                self._sql("INSERT INTO deeds (tenant, number, row) VALUES (?, ?, ?)", (name, key[2], rows.to_text(row)))

    def _put_hold(self, id: str, hold: Hold) -> None:
        due = hold.deadline if hold.state == "held" else hold.deadline + RETENTION
        self._sql(
            "INSERT INTO holds (id, due, row) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET due = excluded.due, row = excluded.row",
            (rows.to_text(id), due, rows.hold_text(hold)),
        )
        if hold.state != "held":
            return
        for charge in hold.charges:  # a run's account must stay as long as its reservations
            if charge.account.scope == RUN:
                self._sql(
                    "UPDATE accounts SET ends = max(coalesce(ends, ?1), ?1) WHERE account = ?2",
                    (hold.deadline, rows.name(charge.account)),
                )

    def _forget(self, text: str, hold: Hold) -> None:
        for charge in hold.charges:
            if charge.account.scope == RUN:
                ended = (rows.name(charge.account), hold.deadline)
                self._sql("DELETE FROM accounts WHERE account = ? AND ends = ?", ended)
        self._sql("DELETE FROM holds WHERE id = ?", (text,))


def _name(key: Any) -> str:
    """What a row is found by: some names come again and again, ids do not."""
    return rows.name(key[1:]) if key[0] in ("turn", "frozen") else rows.to_text(key[1])
