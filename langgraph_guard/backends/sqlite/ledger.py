"""The ledger in a file: the rules of `policies/bookkeeping.py`, one transaction per command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.sqlite import rows
from langgraph_guard.backends.sqlite.file import File
from langgraph_guard.backends.sqlite.schema import STORE
from langgraph_guard.errors import BudgetUnavailable, GuardError, StoreError, StoreUnavailable
from langgraph_guard.policies import bookkeeping as rules
from langgraph_guard.policies.bookkeeping import Hold
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Closed,
    Command,
    EnsureAtLeast,
    Expire,
    OpenTurn,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Wait,
)

_RULES: Final[dict[type, Any]] = {
    OpenTurn: rules.open_turn,
    Reserve: rules.reserve,
    Settle: rules.settle,
    Release: rules.release,
    EnsureAtLeast: rules.ensure_at_least,
    Read: rules.read,
}

LOOKS: Final = (OpenTurn, EnsureAtLeast, Read)
"""What a gate sends at each visit, which mostly finds that there is nothing to write."""

RETENTION: Final = 3_600.0
"""Seconds for which a closed reservation is remembered past its lease, so that a late replay is recognised."""

PAGE: Final = 500
"""Reservations that one transaction sweeps: ten thousand orphans must not keep others from the file for a second."""


class Step(NamedTuple):
    """What one transaction brought. `failure` is raised after it, so that what was swept stays swept."""

    expired: int
    reply: Reply = None
    failure: GuardError | None = None
    is_done: bool = True


class SqliteLedger:
    """Linearizable among all processes of a machine. The file is bounded by accounts, open reservations, and an hour
    of closed ones."""

    def __init__(self, file: File, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                self._clock.sleep(command.seconds)
                replies.append(None)
            else:
                replies.append(self._answer(command))
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                await self._clock.asleep(command.seconds)
                replies.append(None)
            else:
                replies.append(await self._aanswer(command))
        return replies

    def _answer(self, command: Command) -> Reply:
        since = monotonic()
        seen = self._see(command, since)
        return self._obey(command, since) if seen is None else seen.reply

    async def _aanswer(self, command: Command) -> Reply:
        since = monotonic()
        if isinstance(command, LOOKS):
            seen = await self._file.aside(partial(self._see, command, since), writing=False)
            if seen is not None:
                return seen.reply
        return await self._file.aside(partial(self._obey, command, since), writing=True)

    # What writes nothing waits for nobody

    def _see(self, command: Command, since: float) -> Step | None:
        """The reply to a command that has nothing to write; `None` when it has."""
        if not isinstance(command, LOOKS):
            return None
        with _unavailable():
            return self._file.read(type(command).__name__, partial(self._look, command), since)

    def _look(self, command: Command, connection: sqlite3.Connection) -> Step | None:
        now = self._clock.now()
        if connection.execute("SELECT 1 FROM holds WHERE due <= ? LIMIT 1", (now,)).fetchone():
            return None
        books = Books(connection)
        reply, writes = _RULES[type(command)](books.get, command, now)
        return Step(0, reply) if all(books.get(key) == row for key, row in writes.items()) else None

    # What writes

    def _obey(self, command: Command, since: float) -> Reply:
        if isinstance(command, (Settle, Release)) and self._file.is_writing():
            self._file.postpone(partial(self._obey, command, since))
            return Closed(command.id)
        expired = 0
        while True:
            with _unavailable():
                step = self._file.write(type(command).__name__, partial(self._step, command), since)
            expired += step.expired
            if step.failure is not None:
                raise step.failure
            if step.is_done:
                return expired if isinstance(command, Expire) else step.reply

    def _step(self, command: Command, connection: sqlite3.Connection) -> Step:
        """Close what is due and obey; or close a page of it, when there is more."""
        now = self._clock.now()
        books = Books(connection)
        seen, expired = books.sweep(now)
        if seen == PAGE:
            return Step(expired, is_done=False)
        if isinstance(command, Expire):
            return Step(expired)
        try:
            reply, writes = _RULES[type(command)](books.get, command, now)
        except GuardError as error:
            if isinstance(error, StoreError):
                raise
            return Step(expired, failure=error)
        books.put(writes)
        return Step(expired, reply)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        waited = error.waited if isinstance(error, StoreUnavailable) else 0.0
        raise BudgetUnavailable(STORE, waited) from error.__cause__ or error


class Books:
    """The rows of the ledger in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute

    def get(self, key: Any) -> Any:
        """A row as the rules know it, or `None`."""
        if isinstance(key, Account):
            found = self._one("SELECT row FROM accounts WHERE account = ?", rows.name(key))
            return None if found is None else rows.history(found)
        if key[0] == "hold":
            found = self._one("SELECT row FROM holds WHERE id = ?", rows.to_text(key[1]))
            return None if found is None else rows.hold(found)
        found = self._one("SELECT row FROM turns WHERE session = ?", rows.name(key[1:]))
        return None if found is None else rows.turn(found)

    def put(self, writes: rules.Writes) -> None:
        for key, row in writes.items():
            if isinstance(key, Account):
                self._sql(
                    "INSERT INTO accounts (account, row) VALUES (?, ?)"
                    " ON CONFLICT (account) DO UPDATE SET row = excluded.row",
                    (rows.name(key), rows.to_text(row)),
                )
            elif key[0] == "turn":
                self._sql(
                    "INSERT INTO turns (session, row) VALUES (?, ?)"
                    " ON CONFLICT (session) DO UPDATE SET row = excluded.row",
                    (rows.name(key[1:]), rows.to_text(row)),
                )
        for key, row in writes.items():
            if isinstance(row, Hold):
                self._put_hold(key[1], row)

    def sweep(self, now: float) -> tuple[int, int]:
        """Charge orphans that are due and forget what was closed long ago: how many were due, how many charged."""
        due = self._sql("SELECT id, row FROM holds WHERE due <= ? ORDER BY due LIMIT ?", (now, PAGE)).fetchall()
        expired = 0
        for text, row in due:
            hold, id = rows.hold(row), rows.part(text)
            writes = rules.expire(self.get, id, now)
            expired += bool(writes)
            self.put(writes)
            if hold.deadline + RETENTION <= now:
                self._forget(text, hold)
        return len(due), expired

    def _one(self, select: str, name: str) -> Any:
        found = self._sql(select, (name,)).fetchone()
        return None if found is None else found[0]

    def _put_hold(self, id: str, hold: Hold) -> None:
        due = hold.deadline if hold.state == "held" else hold.deadline + RETENTION
        self._sql(
            "INSERT INTO holds (id, due, row) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET due = excluded.due, row = excluded.row",
            (rows.to_text(id), due, rows.to_text(hold)),
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
