"""The approval desk on a server: the rules of `policies/approval/desk.py` again as Lua, one round trip per command."""

from __future__ import annotations

from typing import Any, TypeAlias

from langgraph_guard._redis import Pipelined
from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.front import Asked, Front
from langgraph_guard.backends.redis.approvals.keys import keyspace
from langgraph_guard.backends.redis.approvals.pages import Files
from langgraph_guard.backends.redis.approvals.reading import Asking, known_approvals, read_approvals
from langgraph_guard.policies.approval.actions import digest_of
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
    Withdraw,
)
from langgraph_guard.policies.approval.desk import approval_key, look

Paged: TypeAlias = Pending | Sweep | Decide
Single: TypeAlias = Request | Decide | Look | Withdraw | Trail


class RedisDesk(Front[Single, Paged, DeskReply]):
    """Linearizable among all who share the server; what is of one tenant is in one slot of a Cluster.

    One round trip for neighbours of a batch that request, decide, look, withdraw or read the chain; `Pending` and
    `Sweep` go page by page, and an edit takes two: its arguments may be a megabyte, and are hashed here. A command
    whose answer was lost is sent again, and answered as the rules answer one that is said twice.
    `clock`: whose time the rules use; `None` is the server's.
    """

    PAGED = (Pending, Sweep)

    def _check(self, command: DeskCommand) -> None:
        check(command)

    def _is_paged(self, command: DeskCommand) -> bool:
        return super()._is_paged(command) or (isinstance(command, Decide) and command.type == "edit")

    def _paged(self, command: Paged) -> Asking[DeskReply]:
        if isinstance(command, Decide):
            return (yield from self._edit(command))
        files = Files(keyspace(self._prefix, command.tenant), self._times)
        if isinstance(command, Pending):
            return (yield from files.pending(command))
        return (yield from files.sweep())

    def _edit(self, command: Decide) -> Asking[DeskReply]:
        """Which tool a request is about never changes, so it may be read before."""
        keys = keyspace(self._prefix, command.tenant)
        found = wire.approval((yield Pipelined(read_approvals(keys, (command.id,))))[0])
        fits = found is not None and command.new_digest == digest_of(found.tool, command.args)
        (reply,) = yield Pipelined([wire.decide(keys, self._times.told(), command, fits)])
        return wire.decided(reply)

    def _asked(self, command: Single) -> Asked[DeskReply]:
        keys, now = keyspace(self._prefix, command.tenant), self._times.told()
        match command:
            case Request():
                return [wire.request(keys, now, command)], lambda replies: wire.approval(replies[0])
            case Decide():
                return [wire.decide(keys, now, command)], lambda replies: wire.decided(replies[0])
            case Withdraw():
                return [wire.withdraw(keys, now, command)], lambda replies: replies[0] and wire.approval(replies[0])
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
