"""What the savers of one store share: the connection, the names, the options and the memory."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_guard._redis.link import RedisLink
from langgraph_guard.checkpoint.redis.layout import Keyspace, ThreadKeys
from langgraph_guard.checkpoint.redis.memory import Memory
from langgraph_guard.checkpoint.redis.scripts import INDEX, REGISTER, TOUCH

Result = TypeVar("Result")
Command: TypeAlias = tuple[Any, ...]
RedisFlow: TypeAlias = Generator[Sequence[Command], list[Any], Result]


STAY: Final = 3
"""How many ttls the indexes of a thread's runs are sure to stay, from when it was last seen to."""

AN_HOUR: Final = 3_600_000
"""Milliseconds that they stay beyond that: a Cluster's clocks differ, and a put takes time."""


@dataclass(frozen=True, slots=True)
class Store:
    """One tenant's threads on one server. `ttl_ms` is whole-thread; `strict` compares every element at each put."""

    link: RedisLink
    keys: Keyspace
    ttl_ms: int | None = None
    refresh_on_read: bool = True
    strict: bool = False
    memory: Memory = field(default_factory=Memory)

    @property
    def ttl(self) -> int | str:
        """The scripts' way to say it."""
        return "" if self.ttl_ms is None else self.ttl_ms

    @property
    def stay(self) -> int | str:
        """For how long the indexes of a thread's runs are sure to stay."""
        return "" if self.ttl_ms is None else STAY * self.ttl_ms

    def index(self, run: str, *threads: str) -> Command:
        """Note that a run wrote to a thread; without one, keep the run's index for longer."""
        stay = "" if self.ttl_ms is None else STAY * self.ttl_ms + AN_HOUR
        return (INDEX, 1, self.keys.run(run), stay, *(thread.encode() for thread in threads))

    def register(self, thread: str) -> Command:
        return (REGISTER, 1, self.keys.threads, thread.encode())

    def touch(self, keys: ThreadKeys) -> list[Command]:
        """Put off the expiry of a thread that is read."""
        return [(TOUCH, 4, *keys, self.ttl)] if self.ttl_ms is not None and self.refresh_on_read else []


def new_storage_id() -> bytes:
    """Names a thread's storage from its creation to its deletion."""
    return os.urandom(12).hex().encode()
