"""The approval desk in a file: the rules of `policies/approval/desk.py`, one transaction per command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from langgraph_guard.backends.sqlite.journal import Journal
from langgraph_guard.policies.approval.checks import check
from langgraph_guard.policies.approval.commands import DeskCommand, DeskReply, Look, Pending, Sweep, Trail
from langgraph_guard.policies.approval.desk import RULES, Rows, Writes, expire

READS: Final = (Look, Pending, Trail)
"""What writes nothing, and waits for nobody."""


class SqliteDesk:
    """Whoever answers may be in any process of this machine. Still there when they all have ended."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        for command in commands:
            check(command)
        return [self._answer(command, monotonic()) for command in commands]

    async def aexecute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        for command in commands:
            check(command)
        return [await self._aside(command) for command in commands]

    async def _aside(self, command: DeskCommand) -> DeskReply:
        work = partial(self._answer, command, monotonic())
        return await self._journal.file.aside(work, writing=not isinstance(command, READS))

    def _answer(self, command: DeskCommand, since: float) -> DeskReply:
        match command:
            case Pending():
                return self._journal.pending(command, since)
            case Trail():
                return self._journal.deeds(command, since)
            case Sweep():
                return self._sweep(command, since)
            case Look():
                return self._journal.look(RULES[Look], command, since)  # type: ignore[no-any-return]
        return self._journal.obey(RULES[type(command)], command, since)  # type: ignore[no-any-return]

    def _sweep(self, command: Sweep, since: float) -> int:
        """A page in a transaction, until nothing is due."""
        closed = 0
        while ids := self._journal.due(command.tenant, since):
            closed += self._journal.obey(partial(_expired, ids), command, since)
        return closed


def _expired(ids: Sequence[str], rows: Rows, command: Sweep, now: float) -> tuple[int, Writes]:
    """Close these. Each goes on where the one before it ended, the chain too."""
    written: Writes = {}

    def seen(key: Any) -> Any:
        return written[key] if key in written else rows(key)

    closed = 0
    for id in ids:
        writes = expire(seen, command.tenant, id, now)
        written |= writes
        closed += bool(writes)
    return closed, written
