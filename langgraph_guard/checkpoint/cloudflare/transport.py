"""What a way to Workers KV must be able to do: five calls. REST is one way; a Worker's binding would be another.

A transport makes one attempt and says how it ended; waiting, trying again and joining writes are done around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from langgraph_guard.checkpoint.cloudflare.pace import Pace


class Listed(NamedTuple):
    """A key as a list shows it. `expiration`: seconds since 1970."""

    name: str
    metadata: Any = None
    expiration: float | None = None


class Page(NamedTuple):
    """Some keys, in order; `cursor` is empty when there are no more. A page without keys need not be the last."""

    keys: list[Listed]
    cursor: str = ""


class Pair(NamedTuple):
    """What is written to a key. `ttl`: seconds."""

    key: str
    value: str
    metadata: Any = None
    ttl: int | None = None


class Transport(Protocol):
    """The five calls, blocking. Raises `Throttled`, `Lost` or `Refused`."""

    @property
    def pace(self) -> Pace:
        """What the server told of its limits and of its clock."""
        ...

    def list_keys(self, prefix: str, limit: int, cursor: str) -> Page:
        """Keys that begin with `prefix`; `limit` is 10 to 1,000."""
        ...

    def get_many(self, keys: Sequence[str]) -> dict[str, str | None]:
        """The values of up to 100 keys; `None` for those that are not there."""
        ...

    def get_one(self, key: str) -> str | None:
        """A value of any size."""
        ...

    def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        """Write up to 10,000 pairs. Returns the keys that were not written."""
        ...

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        """Delete up to 10,000 keys, there or not. Returns those that were not deleted."""
        ...


class AsyncTransport(Protocol):
    """The same on the running event loop."""

    @property
    def pace(self) -> Pace: ...

    async def list_keys(self, prefix: str, limit: int, cursor: str) -> Page: ...

    async def get_many(self, keys: Sequence[str]) -> dict[str, str | None]: ...

    async def get_one(self, key: str) -> str | None: ...

    async def put_many(self, pairs: Sequence[Pair]) -> list[str]: ...

    async def delete_many(self, keys: Sequence[str]) -> list[str]: ...


# How an attempt can end


@dataclass
class Throttled(Exception):
    """Too much was asked for. `retry_after`: seconds, if the server said so; `daily`: more than a plan's day allows."""

    reason: str
    retry_after: float | None = None
    daily: bool = False

    def __str__(self) -> str:
        return self.reason


class Lost(Exception):
    """No answer, or one that says nothing of the request. It may have been done; doing it again does no harm.

    `answered`: something came back, and it is nothing that Cloudflare's API would say.
    """

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered


class Refused(Exception):
    """The server understood and said no. Its text is safe to show. `status`: of HTTP; `codes`: Cloudflare's own."""

    def __init__(self, reason: str, status: int = 0, codes: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.status, self.codes = status, tuple(codes)
