"""The outbox of one process: the rules of `policies/outbox.py` on a journal in memory."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_guard.backends.memory.journal import Journal
from langgraph_guard.policies.outbox import RULES, Doubts, OutboxCommand, OutboxReply
from langgraph_guard.policies.outbox_checks import check


class MemoryOutbox:
    """At most once within the process; a crash forgets what was done."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def instant(self) -> bool:
        return True

    def execute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        for command in commands:
            check(command)
        return [self._obey(command) for command in commands]

    async def aexecute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        return self.execute(commands)

    def _obey(self, command: OutboxCommand) -> OutboxReply:
        if isinstance(command, Doubts):
            return tuple(self._journal.doubts(command.tenant, command.after)[: command.count])
        return self._journal.obey(RULES[type(command)], command)  # type: ignore[no-any-return]
