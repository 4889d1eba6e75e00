"""The outbox in a file: the rules of `policies/outbox.py`, one transaction per command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import monotonic

from langgraph_guard.backends.sqlite.journal import Journal
from langgraph_guard.policies.outbox import RULES, Doubts, LookUp, OutboxCommand, OutboxReply
from langgraph_guard.policies.outbox_checks import check


class SqliteOutbox:
    """At most once among all processes of this machine, whichever of them is killed."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        for command in commands:
            check(command)
        return [self._answer(command, monotonic()) for command in commands]

    async def aexecute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        for command in commands:
            check(command)
        return [await self._aside(command) for command in commands]

    async def _aside(self, command: OutboxCommand) -> OutboxReply:
        work = partial(self._answer, command, monotonic())
        return await self._journal.file.aside(work, writing=not isinstance(command, LookUp | Doubts))

    def _answer(self, command: OutboxCommand, since: float) -> OutboxReply:
        if isinstance(command, Doubts):
            return self._journal.doubts(command, since)
        do = self._journal.look if isinstance(command, LookUp) else self._journal.obey
        return do(RULES[type(command)], command, since)  # type: ignore[no-any-return]
