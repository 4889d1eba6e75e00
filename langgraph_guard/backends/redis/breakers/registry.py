"""Circuits in Redis: the rules of `policies/breaker/` written again as Lua, one call of a script per command."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeAlias, assert_never

from langgraph_guard._redis import Batch, Pipelined, RedisLink
from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.backends.redis.breakers import wire
from langgraph_guard.backends.redis.breakers.closed import Closed
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.breaker import (
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    Command,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reply,
    Reset,
    Status,
)

Asking: TypeAlias = Generator[Batch, list[Any], Any]

AT_ONCE: Final = 64
"""Circuits that one call of a script looks at: a server does nothing else meanwhile."""


class RedisBreakers:
    """Linearizable among all who share the server. One round trip per command, except `Peek` on a Cluster, where each
    circuit is in a slot of its own: one for each.

    A command whose answer was lost is sent again by the link under the same mark: it counts once and is answered as the
    first time, unless sixteen other results were counted in that circuit meanwhile; among so many it may count twice.
    To say the same command again is to say it twice.

    `clock`: whose time the rules use; `None` is the server's. `closed_for`: seconds for which a circuit that was seen
    closed is not asked for again. After it opened elsewhere, each process may let through what it starts within so many
    seconds; results of its own calls tell it sooner.
    """

    def __init__(
        self, link: RedisLink, clock: Clock | None = None, *, prefix: str = "lgg", closed_for: float = 0.0
    ) -> None:
        self._link = link
        self._clock = clock
        self._prefix = prefix
        self._closed = Closed(closed_for, clock or SystemClock())

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return [run(self._answer(command), self._link.execute) for command in commands]

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return [await arun(self._answer(command), self._link.aexecute) for command in commands]

    def _answer(self, command: Command) -> Generator[Batch, list[Any], Reply]:
        match command:
            case Admit():
                return (yield from self._admit(command))
            case Record():
                return (yield from self._record(command))
            case Peek():
                return (yield from self._peek(command))
            case ForceOpen() | Reset():
                return (yield from self._by_hand(command))
            case Audit():
                return (yield from self._audit(command))
            case _:
                assert_never(command)

    def _admit(self, command: Admit) -> Generator[Batch, list[Any], Admitted | Refused]:
        generation = self._closed.generation(command.key)
        if generation is not None:
            return Admitted(generation)
        asked = self._closed.now()
        keys = wire.keys(self._prefix, command.key)
        (reply,) = yield [wire.admit(keys, self._time(), command)]
        admitted = wire.admitted(reply)
        if isinstance(admitted, Admitted) and not admitted.probe:
            self._closed.seen(command.key, admitted.generation, asked)
        return admitted

    def _record(self, command: Record) -> Generator[Batch, list[Any], Reply]:
        asked = self._closed.now()
        (reply,) = yield [wire.record(wire.keys(self._prefix, command.key), self._time(), command)]
        standing = wire.standing(reply)
        self._closed.told(command.key, standing, asked)
        return standing.change

    def _peek(self, command: Peek) -> Generator[Batch, list[Any], tuple[Status, ...]]:
        keys = [wire.keys(self._prefix, key).circuit for key in command.keys]
        if not keys:
            return ()
        size = 1 if self._link.is_cluster else AT_ONCE
        asked = [wire.peek(keys[at : at + size], self._time(), command) for at in range(0, len(keys), size)]
        replies = yield Pipelined(asked)
        return tuple(wire.status(each) for reply in replies for each in reply)

    def _by_hand(self, command: ForceOpen | Reset) -> Generator[Batch, list[Any], Reply]:
        asked = self._closed.now()
        (reply,) = yield [wire.by_hand(wire.keys(self._prefix, command.key), self._time(), command)]
        standing = wire.standing(reply)
        self._closed.told(command.key, standing, asked)
        return standing.change

    def _audit(self, command: Audit) -> Generator[Batch, list[Any], tuple[AuditRecord, ...]]:
        (found,) = yield [("LRANGE", wire.keys(self._prefix, command.key).audit, 0, -1)]
        return tuple(wire.audit_record(each) for each in found)

    def _time(self) -> wire.Time:
        """What every script is told first: the time, and a mark by which it knows this command when it comes again."""
        now = "" if self._clock is None else int(self._clock.now() * 1_000)
        return wire.Time(now, secrets.token_hex(4))
