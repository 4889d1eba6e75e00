"""The ledger in a dict: the rules of `policies/bookkeeping.py`, one lock, one assignment per command."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.errors import BudgetUnavailable, GuardError
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

RETENTION: Final = 3_600.0
"""Seconds for which a closed reservation is remembered past its lease, so that a late replay is recognised."""


class MemoryLedger:
    """Linearizable within the process. Memory is bounded by accounts, open reservations, and an hour of closed ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._rows: dict[Any, Any] = {}
        self._leases: list[tuple[float, str]] = []
        self._late: deque[Command] = deque()

    @property
    def instant(self) -> bool:
        return True

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                self._clock.sleep(command.seconds)
                replies.append(None)
            else:
                replies.append(self._apply(command))
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                await self._clock.asleep(command.seconds)
                replies.append(None)
            else:
                replies.append(self._apply(command))
        return replies

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
        now = self._clock.now()
        expired = self._sweep(now)
        if isinstance(command, Expire):
            return expired
        reply, writes = _RULES[type(command)](self._rows.get, command, now)
        if isinstance(command, (Reserve, Release)):
            # Before the write, because a KeyboardInterrupt may fall in between: a lease without a hold is skipped,
            # a hold without a lease would stand for ever.
            self._lease(command.id, writes)
        # One call in C on keys that hash in C: a KeyboardInterrupt falls before all of it or after all of it.
        self._rows.update(writes)
        return reply  # type: ignore[no-any-return]  # the table loses which rule gives which reply

    def _sweep(self, now: float) -> int:
        """Charge the orphans that are due and forget what was closed long ago."""
        expired = 0
        while self._leases and self._leases[0][0] <= now:
            # A lease leaves the heap last: what a KeyboardInterrupt cuts short here is done again by the next command.
            _, id = self._leases[0]
            hold: Hold | None = self._rows.get(rules.hold_key(id))
            if hold is not None:
                writes = rules.expire(self._rows.get, id, now)
                self._rows.update(writes)
                expired += bool(writes)
                if now < hold.deadline + RETENTION:
                    heapq.heapreplace(self._leases, (hold.deadline + RETENTION, id))
                    continue
                self._forget(id, hold)
            heapq.heappop(self._leases)
        return expired

    def _lease(self, id: str, writes: rules.Writes) -> None:
        """Note when a new reservation ends, and that the accounts of its run must stay as long."""
        hold: Hold | None = writes.get(rules.hold_key(id))
        if hold is None or rules.hold_key(id) in self._rows:
            return
        for charge in hold.charges:
            if charge.account.scope == RUN:
                key = _run_key(charge.account)
                writes[key] = max(hold.deadline, self._rows.get(key, hold.deadline))
        heapq.heappush(self._leases, (hold.deadline, id))

    def _forget(self, id: str, hold: Hold) -> None:
        for charge in hold.charges:
            if self._rows.get(_run_key(charge.account)) == hold.deadline:
                self._rows.pop(rules.account_key(charge.account), None)
                self._rows.pop(_run_key(charge.account), None)
        del self._rows[rules.hold_key(id)]


def _run_key(account: Account) -> tuple[str, Account]:
    return ("run ends", account)
