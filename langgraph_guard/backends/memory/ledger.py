"""The ledger in a dict: the rules of `policies/bookkeeping/`, one lock, one assignment per command."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from langgraph_guard.backends.memory.surveys import holds, survey
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.waiting import Waiters
from langgraph_guard.errors import BudgetUnavailable, GuardError
from langgraph_guard.policies import bookkeeping as rules
from langgraph_guard.policies.bookkeeping import Adjusted, Hold
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Adjust,
    Closed,
    Command,
    Expire,
    Extend,
    Holds,
    Owner,
    Release,
    Reply,
    Reserve,
    Settle,
    Survey,
    Wait,
)

ENDING: Final = (Reserve, Release, Extend, Adjust)
"""What begins, or prolongs, something that ends by itself."""


class MemoryLedger:
    """Linearizable within the process. Memory is bounded by accounts, open reservations, an hour of closed ones, and
    by what people did."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._rows: dict[Any, Any] = {}
        self._due: list[tuple[float, Any]] = []
        self._late: deque[Command] = deque()
        self._waiters = Waiters(clock)
        self._freed: set[Account | Owner] = set()

    @property
    def instant(self) -> bool:
        return True

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                self._waiters.wait(command, lambda: self._has_room(command))  # noqa: B023 - asked before the next
                replies.append(None)
            else:
                replies.append(self._apply(command))
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                await self._wait(command)
                replies.append(None)
            else:
                replies.append(self._apply(command))
        return replies

    async def _wait(self, command: Wait) -> None:
        async def has_room() -> bool:
            return self._has_room(command)

        await self._waiters.await_(command, has_room)

    def _has_room(self, wanted: Wait) -> bool:
        self._apply(Expire())
        with self._lock:
            return rules.has_room(self._rows.get, wanted, self._clock.now())

    def _apply(self, command: Command) -> Reply:
        if self._lock._is_owned():  # type: ignore[attr-defined]  # what threading.Condition asks it, too
            return self._postpone(command)
        with self._lock:
            reply = self._obey(command)
            while self._late:
                with suppress(GuardError):
                    self._obey(self._late.popleft())
            return reply

    def _postpone(self, command: Command) -> Closed:
        """Take a closing that came while this thread is at it: the garbage collector may end an abandoned stream here,
        and waiting for the lock would be waiting for itself."""
        if not isinstance(command, (Settle, Release)):
            raise BudgetUnavailable("memory")
        self._late.append(command)
        return Closed(command.id)

    def _obey(self, command: Command) -> Reply:
        if isinstance(command, Survey):
            return survey(self._rows, command, self._clock.now())
        if isinstance(command, Holds):
            return holds(self._rows, command, self._clock.now())
        try:
            return self._keep_books(command)
        finally:
            if self._freed:  # A KeyboardInterrupt in between leaves somebody asleep, who asks again before long.
                self._waiters.wake(self._freed)
                self._freed.clear()

    def _keep_books(self, command: Command) -> Reply:
        now = self._clock.now()
        expired = self._sweep(now)
        if isinstance(command, Expire):
            return expired
        reply, writes = rules.RULES[type(command)](self._rows.get, command, now)
        if isinstance(command, ENDING):
            # Before the write, because a KeyboardInterrupt may fall in between: a lease without a hold is skipped,
            # a hold without a lease would stand for ever.
            self._note_ends(writes)
        # One call in C on keys that hash in C: a KeyboardInterrupt falls before all of it or after all of it.
        self._rows.update(writes)
        if isinstance(command, rules.FREEING) and self._waiters:
            self._freed |= rules.freed(writes)
        if isinstance(command, rules.BY_HAND):
            for key in [key for key, row in writes.items() if row is None]:
                self._rows.pop(key, None)
        return reply

    def _sweep(self, now: float) -> int:
        """Charge the orphans that are due and forget what was closed, or adjusted, long ago."""
        expired = 0
        while self._due and self._due[0][0] <= now:
            # What is due leaves the heap last: a KeyboardInterrupt here leaves it to the next command.
            _, key = self._due[0]
            row: Hold | Adjusted | None = self._rows.get(key)
            if isinstance(row, Hold):
                writes = rules.expire(self._rows.get, key[1], now)
                self._rows.update(writes)
                if self._waiters:
                    self._freed |= rules.freed(writes)
                expired += bool(writes)
                if now < (due := rules.due(row, now)):
                    heapq.heapreplace(self._due, (due, key))
                    continue
                self._forget_run(row)
            self._rows.pop(key, None)
            heapq.heappop(self._due)
        return expired

    def _note_ends(self, writes: rules.Writes) -> None:
        """Note when what begins here ends by itself, and that the accounts of a run must stay as long."""
        for key, row in list(writes.items()):
            if isinstance(row, Hold) and row.state == "held":
                for charge in row.charges:
                    if charge.account.scope == RUN:
                        run = _run_key(charge.account)
                        writes[run] = max(row.deadline, self._rows.get(run, row.deadline))
            if isinstance(row, (Hold, Adjusted)) and key not in self._rows:
                heapq.heappush(self._due, (row.deadline if isinstance(row, Hold) else row.until, key))

    def _forget_run(self, hold: Hold) -> None:
        for charge in hold.charges:
            if self._rows.get(_run_key(charge.account)) == hold.deadline:
                self._rows.pop(rules.account_key(charge.account), None)
                self._rows.pop(_run_key(charge.account), None)


def _run_key(account: Account) -> tuple[str, Account]:
    return ("run ends", account)
