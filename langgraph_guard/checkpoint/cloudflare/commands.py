"""What the saver's flows ask for, and what a delivery asks its world to do."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.flow import Flow

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ListKeys:
    """One page of keys."""

    prefix: str
    limit: int
    cursor: str = ""

    name = "list"

    def of(self, transport: Any) -> Any:
        """What this asks of a transport of either world."""
        return transport.list_keys(self.prefix, self.limit, self.cursor)


@dataclass(frozen=True, slots=True)
class GetMany:
    """Values of up to 100 keys."""

    keys: Sequence[str]

    name = "bulk get"

    def of(self, transport: Any) -> Any:
        return transport.get_many(self.keys)


@dataclass(frozen=True, slots=True)
class GetOne:
    """One big value."""

    key: str

    name = "get"

    def of(self, transport: Any) -> Any:
        return transport.get_one(self.key)


@dataclass(frozen=True, slots=True)
class PutMany:
    """Pairs of one caller; several callers' may travel together. `hurry`: a run waits for it.

    `thread` tells runs apart, as far as that matters for waiting for each other.
    """

    pairs: Sequence[Pair]
    thread: str = ""
    hurry: bool = True

    name = "bulk write"

    def of(self, transport: Any) -> Any:
        return transport.put_many(self.pairs)

    @property
    def keys(self) -> list[str]:
        return [pair.key for pair in self.pairs]

    def only(self, keys: Sequence[str]) -> PutMany:
        wanted = set(keys)
        return PutMany([pair for pair in self.pairs if pair.key in wanted], self.thread, self.hurry)


@dataclass(frozen=True, slots=True)
class DeleteMany:
    """Keys to delete, there or not."""

    keys: Sequence[str]

    name = "bulk delete"

    def of(self, transport: Any) -> Any:
        return transport.delete_many(self.keys)

    def only(self, keys: Sequence[str]) -> DeleteMany:
        return DeleteMany(keys)


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


Request: TypeAlias = ListKeys | GetMany | GetOne | PutMany | DeleteMany
Command: TypeAlias = Request | Wait
KVFlow: TypeAlias = Generator[Sequence[Command], list[Any], Result]

Action: TypeAlias = Request | Wait
Delivery: TypeAlias = Flow[Action, Any, Result]
