"""The savers that are compared, each as its own documentation says to open it, sync and async."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import redis
import redis.asyncio
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.servers import HOST, Servers
from langgraph_guard.checkpoint.redis import RedisSaver

How = Literal["sync", "async"]
BOTH: tuple[How, How] = ("sync", "async")

OURS, MEMORY, SQLITE, POSTGRES, OFFICIAL = (
    "RedisSaver", "InMemorySaver", "SqliteSaver", "PostgresSaver", "langgraph-checkpoint-redis",
)  # fmt: skip
BARE = "one EVALSHA"
"""The limit: redis-py alone, sending as many bytes as there are new ones."""


@dataclass(frozen=True)
class Peer:
    """How a saver is opened at a port; for sync and for async."""

    open: Callable[[int], AbstractContextManager[Any]]
    aopen: Callable[[int], AbstractAsyncContextManager[Any]]
    server: str = ""


def url(port: int) -> str:
    return f"redis://{HOST}:{port}"


@asynccontextmanager
async def asynchronous(saver: Any) -> AsyncIterator[Any]:
    yield saver


@contextmanager
def sqlite(_: int) -> Iterator[Any]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with tempfile.TemporaryDirectory() as folder, SqliteSaver.from_conn_string(str(Path(folder) / "db")) as saver:
        yield saver


@asynccontextmanager
async def asqlite(_: int) -> AsyncIterator[Any]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "db")) as saver:
            yield saver


def dsn(port: int) -> str:
    return f"postgresql://postgres@{HOST}:{port}/postgres?sslmode=disable"


@contextmanager
def postgres(port: int) -> Iterator[Any]:
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(dsn(port)) as saver:
        saver.setup()
        yield saver


@asynccontextmanager
async def apostgres(port: int) -> AsyncIterator[Any]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(dsn(port)) as saver:
        await saver.setup()
        yield saver


@contextmanager
def official(port: int) -> Iterator[Any]:
    from langgraph.checkpoint.redis import RedisSaver

    with RedisSaver.from_conn_string(url(port)) as saver:
        saver.setup()
        yield saver


@asynccontextmanager
async def aofficial(port: int) -> AsyncIterator[Any]:
    from langgraph.checkpoint.redis.aio import AsyncRedisSaver

    async with AsyncRedisSaver.from_conn_string(url(port)) as saver:
        await saver.asetup()
        yield saver


@contextmanager
def bare(port: int) -> Iterator[Any]:
    with redis.Redis(host=HOST, port=port) as client:
        yield Bare(client, client.script_load(Bare.SCRIPT))


@asynccontextmanager
async def abare(port: int) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis(host=HOST, port=port) as client:
        yield Bare(client, await client.script_load(Bare.SCRIPT))


class Bare:
    """Two values go to Redis; nothing is serialized, and nothing thought about."""

    SCRIPT = "redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('ZADD', KEYS[2], 0, ARGV[2]) return 1"

    def __init__(self, client: Any, sha: str) -> None:
        self._client, self._sha = client, sha

    def commit(self, thread: str, element: bytes, record: bytes) -> Any:
        return self._client.evalsha(self._sha, 2, f"{{{thread}}}:l", f"{{{thread}}}:e", element, record)

    acommit = commit

    def delete_thread(self, thread: str) -> Any:
        return self._client.unlink(f"{{{thread}}}:l", f"{{{thread}}}:e")

    adelete_thread = delete_thread


PEERS: dict[str, Peer] = {
    OURS: Peer(
        lambda port: RedisSaver.from_conn_string(url(port)),
        lambda port: RedisSaver.from_conn_string(url(port)),
        "redis",
    ),
    BARE: Peer(bare, abare, "redis"),
    MEMORY: Peer(lambda _: nullcontext(InMemorySaver()), lambda _: asynchronous(InMemorySaver())),
    SQLITE: Peer(sqlite, asqlite),
    POSTGRES: Peer(postgres, apostgres, "postgres"),
    OFFICIAL: Peer(official, aofficial, "stack"),
}


def present(found: Servers) -> dict[str, Peer]:
    return {name: peer for name, peer in PEERS.items() if peer.server not in found.missing}


def absent(found: Servers) -> dict[str, str]:
    """Who cannot be measured here, and why."""
    return {name: found.missing[peer.server] for name, peer in PEERS.items() if peer.server in found.missing}
