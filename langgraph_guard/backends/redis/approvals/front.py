"""What a desk and an outbox on a server have in common: how a batch of commands becomes round trips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import groupby, islice
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from langgraph_guard._redis import Batch, Pipelined, RedisLink, check_prefix
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.redis.approvals.reading import Asking, Times
from langgraph_guard.flow import arun, run

Single = TypeVar("Single")
Paged = TypeVar("Paged")
Reply = TypeVar("Reply")

Asked: TypeAlias = tuple[Batch, Callable[[list[Any]], Reply]]
"""What to send for a command, and how to read what comes back."""


class Front(ABC, Generic[Single, Paged, Reply]):
    """Neighbours of a batch go in one round trip, and those that read pages by themselves."""

    PAGED: ClassVar[tuple[type, ...]]

    def __init__(self, link: RedisLink, clock: Clock | None = None, *, prefix: str = "lgg") -> None:
        self._link = link
        self._times = Times(clock)
        self._prefix = check_prefix(prefix)

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Single | Paged]) -> list[Reply]:
        return run(self._obeyed(commands), self._link.execute)

    async def aexecute(self, commands: Sequence[Single | Paged]) -> list[Reply]:
        return await arun(self._obeyed(commands), self._link.aexecute)

    def _is_paged(self, command: Single | Paged) -> bool:
        """Whether it takes round trips of its own."""
        return isinstance(command, self.PAGED)

    @abstractmethod
    def _check(self, command: Single | Paged) -> None:
        """Raise `ConfigError` for what is no command."""

    @abstractmethod
    def _asked(self, command: Single) -> Asked[Reply]: ...

    @abstractmethod
    def _paged(self, command: Paged) -> Asking[Reply]: ...

    def _obeyed(self, commands: Sequence[Single | Paged]) -> Asking[list[Reply]]:
        for command in commands:
            self._check(command)
        replies: list[Reply] = []
        for is_paged, several in groupby(commands, self._is_paged):
            if not is_paged:
                replies += yield from self._together(cast(list[Single], list(several)))
                continue
            for command in several:
                reply = yield from self._paged(cast(Paged, command))
                replies.append(reply)
        return replies

    def _together(self, commands: Sequence[Single]) -> Asking[list[Reply]]:
        asked = [self._asked(command) for command in commands]
        replies = iter((yield Pipelined(each for batch, _ in asked for each in batch)))
        return [tell(list(islice(replies, len(batch)))) for batch, tell in asked]
