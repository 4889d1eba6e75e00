"""The ledger in a file: the rules of `policies/bookkeeping/`, one transaction per command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Final, NamedTuple

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.sqlite.books import PAGE, Books
from langgraph_guard.backends.sqlite.file import File
from langgraph_guard.backends.sqlite.schema import STORE
from langgraph_guard.backends.sqlite.surveys import holds, survey
from langgraph_guard.backends.waiting import Waiters
from langgraph_guard.errors import BudgetUnavailable, GuardError, StoreError, StoreUnavailable
from langgraph_guard.policies import bookkeeping as rules
from langgraph_guard.policies.ledger import (
    Account,
    Audit,
    Closed,
    Command,
    EnsureAtLeast,
    Expire,
    Holds,
    OpenTurn,
    Owner,
    Read,
    Release,
    Reply,
    Settle,
    Survey,
    Wait,
)

READS: Final = (Survey, Holds, Audit)
"""What people read. It shows what is there, orphans included, and closes none."""

LOOKS: Final = (OpenTurn, EnsureAtLeast, Read, *READS)
"""What mostly finds that there is nothing to write: a gate sends it at each visit."""


class Step(NamedTuple):
    """What one transaction brought. `failure` is raised after it, so that what was swept stays swept."""

    expired: int
    reply: Reply = None
    failure: GuardError | None = None
    is_done: bool = True
    freed: frozenset[Account | Owner] = frozenset()


class SqliteLedger:
    """Linearizable among all processes of a machine. The file is bounded by accounts, open reservations, and an hour
    of closed ones."""

    def __init__(self, file: File, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._waiters = Waiters(clock)

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                self._waiters.wait(command, partial(self._has_room, command))
                replies.append(None)
            else:
                replies.append(self._answer(command))
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                await self._waiters.await_(command, partial(self._ahas_room, command))
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
        if isinstance(command, Survey):
            return Step(0, survey(connection, command, now))
        if isinstance(command, Holds):
            return Step(0, holds(connection, command, now))
        books = Books(connection)
        if books.is_due(now) and not isinstance(command, Audit):
            return None
        reply, writes = rules.RULES[type(command)](books.get, command, now)
        return Step(0, reply) if all(books.get(key) == row for key, row in writes.items()) else None

    def _has_room(self, wanted: Wait) -> bool:
        """Whether it is worth asking for a reservation now; it is, too, when the answer is that nobody can tell."""
        try:
            return self._file.read("Wait", partial(self._look_for_room, wanted))
        except StoreError:
            return True

    async def _ahas_room(self, wanted: Wait) -> bool:
        return await self._file.aside(partial(self._has_room, wanted), writing=False)

    def _look_for_room(self, wanted: Wait, connection: sqlite3.Connection) -> bool:
        books, now = Books(connection), self._clock.now()
        return books.is_due(now) or rules.has_room(books.get, wanted, now)

    # What writes

    def _obey(self, command: Command, since: float) -> Reply:
        if isinstance(command, (Settle, Release)) and self._file.is_writing():
            self._file.postpone(partial(self._obey, command, since))
            return Closed(command.id)
        expired = 0
        while True:
            with _unavailable():
                step = self._file.write(type(command).__name__, partial(self._step, command), since)
            if step.freed:
                self._waiters.wake(step.freed)
            expired += step.expired
            if step.failure is not None:
                raise step.failure
            if step.is_done:
                return expired if isinstance(command, Expire) else step.reply

    def _step(self, command: Command, connection: sqlite3.Connection) -> Step:
        """Close what is due and obey; or close a page of it, when there is more."""
        now = self._clock.now()
        books = Books(connection)
        swept = books.sweep(now)
        step = Step(swept.expired, is_done=swept.seen < PAGE, freed=swept.freed)
        if isinstance(command, Expire) or not step.is_done:
            return step
        try:
            reply, writes = rules.RULES[type(command)](books.get, command, now)
        except StoreError:
            raise
        except GuardError as error:
            return step._replace(failure=error)
        books.put(writes)
        freed = step.freed | rules.freed(writes) if isinstance(command, rules.FREEING) else step.freed
        return step._replace(reply=reply, freed=freed)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        waited = error.waited if isinstance(error, StoreUnavailable) else 0.0
        raise BudgetUnavailable(STORE, waited) from error.__cause__ or error
