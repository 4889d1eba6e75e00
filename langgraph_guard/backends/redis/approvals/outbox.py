"""The outbox on a server: the rules of `policies/outbox.py` again as Lua, one round trip per batch of commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeAlias

from langgraph_guard._redis import Batch, Pipelined, RedisLink, check_prefix
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.keys import keyspace
from langgraph_guard.backends.redis.approvals.reading import Asking, Times, known_execution, read_execution
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.outbox import (
    Claim,
    Done,
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

Asked: TypeAlias = tuple[Batch, Callable[[list[Any]], OutboxReply]]


class RedisOutbox:
    """Linearizable among all who share the server; on the same chain of deeds, and in the same slot, as the tenant's
    requests: a claim and the look at the request that covers it are one atomic step.

    A command whose answer was lost is sent again, and answered as the rules answer one that is said twice. At most once
    holds while the server keeps what it acknowledged: a fail-over may lose its last writes. `clock`: whose time the
    rules use; `None` is the server's.
    """

    def __init__(self, link: RedisLink, clock: Clock | None = None, *, prefix: str = "lgg") -> None:
        self._link = link
        self._times = Times(clock)
        self._prefix = check_prefix(prefix)

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        return run(self._obeyed(commands), self._link.execute)

    async def aexecute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]:
        return await arun(self._obeyed(commands), self._link.aexecute)

    def _obeyed(self, commands: Sequence[OutboxCommand]) -> Asking[list[OutboxReply]]:
        for command in commands:
            check(command)
        asked = [self._asked(command) for command in commands]
        replies = iter((yield Pipelined(each for batch, _ in asked for each in batch)))
        return [tell(list(islice(replies, len(batch)))) for batch, tell in asked]

    def _asked(self, command: OutboxCommand) -> Asked:
        """What to send for a command, and how to read what comes back."""
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
