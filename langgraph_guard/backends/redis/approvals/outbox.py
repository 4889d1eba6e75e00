"""The outbox on a server: the rules of `policies/outbox.py` again as Lua, one round trip for neighbours of a batch."""

from __future__ import annotations

from typing import Any, TypeAlias

from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.front import Asked, Front
from langgraph_guard.backends.redis.approvals.keys import keyspace
from langgraph_guard.backends.redis.approvals.pages import doubts
from langgraph_guard.backends.redis.approvals.reading import Asking, known_execution, read_execution
from langgraph_guard.policies.outbox import (
    Claim,
    Done,
    Doubts,
    Extend,
    Failed,
    LookUp,
    OutboxCommand,
    OutboxReply,
    Resolve,
    effect_key,
    look_up,
)
from langgraph_guard.policies.outbox_checks import check

Single: TypeAlias = Claim | Done | Failed | Extend | Resolve | LookUp


class RedisOutbox(Front[Single, Doubts, OutboxReply]):
    """Linearizable among all who share the server; on the same chain of deeds, and in the same slot, as the tenant's
    requests: a claim and the look at the request that covers it are one atomic step.

    A command whose answer was lost is sent again, and answered as the rules answer one that is said twice. At most once
    holds while the server keeps what it acknowledged: a fail-over may lose its last writes. `clock`: whose time the
    rules use; `None` is the server's.
    """

    PAGED = (Doubts,)

    def _check(self, command: OutboxCommand) -> None:
        check(command)

    def _paged(self, command: Doubts) -> Asking[OutboxReply]:
        return (yield from doubts(keyspace(self._prefix, command.tenant), self._times, command))

    def _asked(self, command: Single) -> Asked[OutboxReply]:
        keys, now = keyspace(self._prefix, command.key.tenant), self._times.told()
        match command:
            case Claim():
                return [wire.claim(keys, now, command)], lambda replies: wire.claimed(replies[0])
            case Done() | Failed():
                return [wire.finish(keys, now, command)], lambda replies: replies[0] == 1
            case Extend():
                return [wire.extend(keys, now, command)], lambda replies: replies[0] == 1
            case Resolve():
                return [wire.resolve(keys, now, command)], lambda replies: wire.execution(replies[0])
            case LookUp():
                batch = [*self._times.ask(), *read_execution(keys, command.key)]
                return batch, lambda replies: self._looked_up(command, replies)

    def _looked_up(self, command: LookUp, replies: list[Any]) -> OutboxReply:
        now, rest = self._times.answered(replies)
        found, _ = look_up({effect_key(command.key): known_execution(rest, now)}.get, command, now)
        return found
