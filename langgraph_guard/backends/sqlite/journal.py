"""What the desk and the outbox of a file share: their rows in one transaction, and one chain of deeds per tenant."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.sqlite import rows
from langgraph_guard.backends.sqlite.file import File
from langgraph_guard.policies.approval.chain import Deed, Head
from langgraph_guard.policies.approval.commands import RETENTION, Approval, Pending, Told, Trail, told
from langgraph_guard.policies.approval.desk import Writes, approval_key, waits
from langgraph_guard.policies.outbox import Doubt, Doubts, EffectKey, Execution, doubt, place

KEPT_DEEDS: Final = 100_000
"""Deeds of a tenant that are remembered, the newest. They are small, and a file has room."""

PAGE: Final = 100
"""Rows that one transaction forgets or sweeps, so that it keeps nobody waiting."""

_APPROVAL: Final = "SELECT row FROM approvals WHERE tenant = ? AND id = ? AND (until IS NULL OR until > ?)"

_EXECUTION: Final = (
    "SELECT row FROM effects WHERE tenant = ? AND thread = ? AND call_id = ? AND digest = ?"
    " AND (until IS NULL OR until > ?)"
)

_FORGET_APPROVALS: Final = (
    "DELETE FROM approvals WHERE rowid IN (SELECT rowid FROM approvals WHERE until <= ? ORDER BY until LIMIT ?)"
)

_FORGET_EFFECTS: Final = (
    "DELETE FROM effects WHERE rowid IN (SELECT rowid FROM effects WHERE until <= ? ORDER BY until LIMIT ?)"
)

Rule = Callable[[Callable[[Any], Any], Any, float], tuple[Any, Writes]]


class Journal:
    """Linearizable among all processes of a machine. What is closed goes after `RETENTION`; what is open or in doubt
    stays."""

    def __init__(self, file: File, clock: Clock) -> None:
        self.file = file
        self._clock = clock

    def obey(self, rule: Rule, command: Any, since: float) -> Any:
        """One atomic step."""
        return self.file.write(type(command).__name__, partial(self._obey, rule, command), since)

    def look(self, rule: Rule, command: Any, since: float) -> Any:
        """The reply to what has nothing to write. It waits for nobody."""
        return self.file.read(type(command).__name__, partial(self._look, rule, command), since)

    def pending(self, command: Pending, since: float) -> tuple[Approval, ...]:
        return self.file.read("Pending", lambda connection: self._shelf(connection).open(command), since)

    def doubts(self, command: Doubts, since: float) -> tuple[Doubt, ...]:
        return self.file.read("Doubts", lambda connection: self._shelf(connection).doubts(command), since)

    def deeds(self, command: Trail, since: float) -> Told:
        return self.file.read("Trail", lambda connection: self._shelf(connection).deeds(command), since)

    def due(self, tenant: str, since: float) -> list[str]:
        """The ids of some requests whose time is over, and that nobody closed."""
        return self.file.read("Sweep", lambda connection: self._shelf(connection).due(tenant), since)

    def _obey(self, rule: Rule, command: Any, connection: sqlite3.Connection) -> Any:
        shelf = self._shelf(connection)
        shelf.forget()
        reply, writes = rule(shelf.get, command, shelf.now)
        shelf.put(writes)
        return reply

    def _look(self, rule: Rule, command: Any, connection: sqlite3.Connection) -> Any:
        shelf = self._shelf(connection)
        reply, _ = rule(shelf.get, command, shelf.now)
        return reply

    def _shelf(self, connection: sqlite3.Connection) -> Shelf:
        return Shelf(connection, self._clock.now())


class Shelf:
    """The rows of approvals, executions and deeds in one transaction, at one moment."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._sql = connection.execute
        self.now = now

    def get(self, key: Any) -> Any:
        """A row as the rules know it, or `None`."""
        kind, *name = key
        if kind == "head":
            found = self._sql("SELECT number, hash FROM heads WHERE tenant = ?", name).fetchone()
            return None if found is None else Head(*found)
        if kind == "approval":
            found = self._sql(_APPROVAL, (*name, self.now)).fetchone()
            return None if found is None else rows.approval(found[0])
        found = self._sql(_EXECUTION, (*name[0], self.now)).fetchone()
        return None if found is None else rows.execution(found[0])

    def put(self, writes: Writes) -> None:
        for key, row in writes.items():
            match row:
                case Approval():
                    self._put_approval(row)
                case Execution():
                    self._put_execution(key[1], row)
                case Deed():
                    self._put_deed(key[1], row)
                case Head():
                    self._sql("REPLACE INTO heads (tenant, number, hash) VALUES (?, ?, ?)", (key[1], *row))

    def forget(self) -> None:
        """What was closed long ago, a page at the most."""
        self._sql(_FORGET_APPROVALS, (self.now, PAGE))
        self._sql(_FORGET_EFFECTS, (self.now, PAGE))

    def open(self, command: Pending) -> tuple[Approval, ...]:
        last: Approval | None = self.get(approval_key(command.tenant, command.after))
        at, id = (last.at, last.id) if last else (float("-inf"), "")
        found = self._sql(
            "SELECT row FROM approvals WHERE tenant = ?1 AND until IS NULL AND (at, id) > (?2, ?3)"
            " AND (?4 IS NULL OR thread = ?4) AND (ends IS NULL OR ends > ?5) ORDER BY at, id LIMIT ?6",
            (command.tenant, at, id, command.thread, self.now, command.count),
        )
        return tuple(each for each in (rows.approval(text) for (text,) in found) if waits(each, self.now))

    def doubts(self, command: Doubts) -> tuple[Doubt, ...]:
        found = self._sql(
            "SELECT thread, call_id, digest, row FROM effects WHERE tenant = ? AND place > ? AND place < ?"
            " ORDER BY place LIMIT ?",
            (command.tenant, command.after, f"{self.now:026.9f}~", command.count),
        )
        known = ((EffectKey(command.tenant, *key), rows.execution(text)) for *key, text in found)
        return tuple(each for each in (doubt(*pair, self.now) for pair in known) if each is not None)

    def due(self, tenant: str) -> list[str]:
        found = self._sql(
            "SELECT id FROM approvals WHERE tenant = ? AND until IS NULL AND ends <= ? ORDER BY ends LIMIT ?",
            (tenant, self.now, PAGE),
        )
        return [id for (id,) in found]

    def deeds(self, command: Trail) -> Told:
        found = self._sql(
            "SELECT row FROM trail WHERE tenant = ? AND number > ? ORDER BY number LIMIT ?",
            (command.tenant, command.after, command.count),
        )
        return told((rows.link(text) for (text,) in found), self.get(("head", command.tenant)) or Head())

    def _put_approval(self, approval: Approval) -> None:
        until = None if approval.is_open else self.now + RETENTION
        ends = approval.expires_at if approval.is_open else None
        self._sql(
            "INSERT INTO approvals (tenant, id, thread, at, ends, until, row) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (tenant, id) DO UPDATE SET ends = excluded.ends, until = excluded.until, row = excluded.row",
            (approval.tenant, approval.id, approval.thread, approval.at, ends, until, rows.to_text(approval)),
        )

    def _put_execution(self, key: EffectKey, execution: Execution) -> None:
        has_ended = execution.state in ("done", "failed")
        its_place, until = (None, self.now + RETENTION) if has_ended else (place(key, execution), None)
        self._sql(
            "INSERT INTO effects (tenant, thread, call_id, digest, place, until, row) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (tenant, thread, call_id, digest)"
            " DO UPDATE SET place = excluded.place, until = excluded.until, row = excluded.row",
            (*key, its_place, until, rows.to_text(execution)),
        )

    def _put_deed(self, tenant: str, deed: Deed) -> None:
        self._sql("INSERT INTO trail (tenant, number, row) VALUES (?, ?, ?)", (tenant, deed.number, rows.to_text(deed)))
        self._sql("DELETE FROM trail WHERE tenant = ? AND number <= ?", (tenant, deed.number - KEPT_DEEDS))
