"""The ledger in a dict: the rules of `policies/ledger.py`, one lock, one assignment per command."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from typing import Any, Final

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.policies import ledger as rules
from langgraph_guard.policies.ledger import (
    Command,
    EnsureAtLeast,
    Expire,
    Hold,
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
        self._lock = threading.Lock()
        self._rows: dict[Any, Any] = {}
        self._leases: list[tuple[float, str]] = []

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return [self._wait(c) if isinstance(c, Wait) else self._apply(c) for c in commands]

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if isinstance(command, Wait):
                await self._clock.asleep(command.seconds)
                replies.append(None)
            else:
                replies.append(self._apply(command))
        return replies

    def _wait(self, command: Wait) -> None:
        self._clock.sleep(command.seconds)

    def _apply(self, command: Command) -> Reply:
        now = self._clock.now()
        with self._lock:
            expired = self._sweep(now)
            if isinstance(command, Expire):
                return expired
            reply, writes = _RULES[type(command)](self._rows.get, command, now)
            # One call in C on keys that hash in C: a KeyboardInterrupt falls before all of it or after all of it.
            self._rows.update(writes)
            if isinstance(command, Reserve | Release) and writes:
                heapq.heappush(self._leases, (self._rows[rules.hold_key(command.id)].deadline, command.id))
            return reply  # type: ignore[no-any-return]  # the table loses which rule gives which reply

    def _sweep(self, now: float) -> int:
        """Charge the orphans that are due and forget what was closed long ago."""
        expired = 0
        while self._leases and self._leases[0][0] <= now:
            _, id = heapq.heappop(self._leases)
            hold: Hold | None = self._rows.get(rules.hold_key(id))
            if hold is None:
                continue
            writes = rules.expire(self._rows.get, id, now)
            expired += bool(writes)
            self._rows.update(writes)
            if now < hold.deadline + RETENTION:
                heapq.heappush(self._leases, (hold.deadline + RETENTION, id))
            else:
                self._forget(id, hold)
        return expired

    def _forget(self, id: str, hold: Hold) -> None:
        del self._rows[rules.hold_key(id)]
        for charge in hold.charges:
            if charge.account.scope == rules.RUN:
                self._rows.pop(rules.account_key(charge.account), None)
