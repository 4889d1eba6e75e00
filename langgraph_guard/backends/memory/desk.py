"""The approval desk of one process: the rules of `policies/approval/desk.py` on a journal in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from langgraph_guard.backends.memory.journal import Journal
from langgraph_guard.policies.approval.checks import check
from langgraph_guard.policies.approval.commands import Approval, DeskCommand, DeskReply, Pending, Sweep, Trail, told
from langgraph_guard.policies.approval.desk import RULES, Rows, Writes, expire, waits


class MemoryDesk:
    """Everybody who answers must be in this process. Gone when it ends."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def instant(self) -> bool:
        return True

    def execute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        for command in commands:
            check(command)
        return [self._obey(command) for command in commands]

    async def aexecute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        return self.execute(commands)

    def _obey(self, command: DeskCommand) -> DeskReply:
        match command:
            case Pending():
                return self._pending(command)
            case Sweep():
                return self._sweep(command)
            case Trail():
                return told(*self._journal.deeds(command.tenant, command.after, command.count))
        return self._journal.obey(RULES[type(command)], command)  # type: ignore[no-any-return]

    def _pending(self, command: Pending) -> DeskReply:
        found, now = self._journal.open(command.tenant, command.after), self._journal.now()
        open_ = (each for each in found if command.thread in (None, each.thread) and waits(each, now))
        return tuple(islice(open_, command.count))

    def _sweep(self, command: Sweep) -> int:
        return sum(self._journal.obey(_expired, approval) for approval in self._journal.open(command.tenant))


def _expired(rows: Rows, approval: Approval, now: float) -> tuple[bool, Writes]:
    writes = expire(rows, approval.tenant, approval.id, now)
    return bool(writes), writes
