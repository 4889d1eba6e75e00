"""The approval desk on a server: the rules of `policies/approval/desk.py` again as Lua, one round trip per command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, islice
from typing import Any, TypeAlias, cast

from langgraph_guard._redis import Batch, Pipelined, RedisLink, check_prefix
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.keys import keyspace
from langgraph_guard.backends.redis.approvals.pages import Files
from langgraph_guard.backends.redis.approvals.reading import Asking, Times, known_approvals, read_approvals
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.approval.checks import check
from langgraph_guard.policies.approval.commands import (
    Decide,
    DeskCommand,
    DeskReply,
    Look,
    Pending,
    Request,
    Sweep,
    Trail,
)
from langgraph_guard.policies.approval.desk import approval_key, look

Paged: TypeAlias = Pending | Sweep
Single: TypeAlias = Request | Decide | Look | Trail
Asked: TypeAlias = tuple[Batch, Callable[[list[Any]], DeskReply]]


class RedisDesk:
    """Linearizable among all who share the server; what is of one tenant is in one slot of a Cluster.

    One round trip for neighbours of a batch that request, decide, look or read the chain; `Pending` and `Sweep` go page
    by page. A command whose answer was lost is sent again, and answered as the rules answer one that is said twice.
    `clock`: whose time the rules use; `None` is the server's.
    """

    def __init__(self, link: RedisLink, clock: Clock | None = None, *, prefix: str = "lgg") -> None:
        self._link = link
        self._times = Times(clock)
        self._prefix = check_prefix(prefix)

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        return run(self._obeyed(commands), self._link.execute)

    async def aexecute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        return await arun(self._obeyed(commands), self._link.aexecute)

    def _obeyed(self, commands: Sequence[DeskCommand]) -> Asking[list[DeskReply]]:
        for command in commands:
            check(command)
        replies: list[DeskReply] = []
        for kind, several in groupby(commands, lambda each: Paged if isinstance(each, Paged) else Single):
            if kind is Single:
                replies += yield from self._together(cast(list[Single], list(several)))
                continue
            for command in several:
                reply = yield from self._paged(cast(Paged, command))
                replies.append(reply)
        return replies

    def _paged(self, command: Paged) -> Asking[DeskReply]:
        files = Files(keyspace(self._prefix, command.tenant), self._times)
        if isinstance(command, Pending):
            return (yield from files.pending(command))
        return (yield from files.sweep())

    def _together(self, commands: Sequence[Single]) -> Asking[list[DeskReply]]:
        asked = [self._asked(command) for command in commands]
        replies = iter((yield Pipelined(each for batch, _ in asked for each in batch)))
        return [tell(list(islice(replies, len(batch)))) for batch, tell in asked]

    def _asked(self, command: Single) -> Asked:
        """What to send for a command, and how to read what comes back."""
        keys, now = keyspace(self._prefix, command.tenant), self._times.told()
        match command:
            case Request():
                return [wire.request(keys, now, command)], lambda replies: wire.approval(replies[0])
            case Decide():
                return [wire.decide(keys, now, command)], lambda replies: wire.decided(replies[0])
            case Trail():
                return [wire.trail(keys, command)], lambda replies: wire.part_of_trail(replies[0])
            case Look():
                batch = [*self._times.ask(), *read_approvals(keys, command.ids)]
                return batch, lambda replies: self._looked(command, replies)

    def _looked(self, command: Look, replies: list[Any]) -> DeskReply:
        now, rest = self._times.answered(replies)
        rows = zip(command.ids, known_approvals(rest, now), strict=True)
        found, _ = look({approval_key(command.tenant, id): row for id, row in rows}.get, command, now)
        return found
