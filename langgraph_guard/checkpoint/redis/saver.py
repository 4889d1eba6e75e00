"""`RedisSaver`: LangGraph's checkpoints in plain Redis."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_guard._redis import RedisLink, check_prefix, checked_terms
from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.allowed import AllowedType
from langgraph_guard.checkpoint.core.codec import MOST, Codec
from langgraph_guard.checkpoint.core.saver import FlowSaver, Listing
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.core.serde import StrictSerializer
from langgraph_guard.checkpoint.redis import copying, deltas, getting, pending, putting, removing
from langgraph_guard.checkpoint.redis.check import Report, inspect
from langgraph_guard.checkpoint.redis.layout import Keyspace
from langgraph_guard.checkpoint.redis.listing import AllThreads, Query, ThreadListing
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run

Result = TypeVar("Result")


class RedisSaver(FlowSaver):
    """Checkpoints in Redis 6.2 or newer, Valkey, or what speaks like them; no modules. For `invoke` and `ainvoke`.

        app = graph.compile(checkpointer=RedisSaver.from_conn_string("redis://localhost:6379"))

    `client`, `async_client`: your own redis-py client, one or both; standalone, Cluster, or a Sentinel's `master_for`.
    It is never closed here. `tenant`, `prefix`: what this saver sees; nothing reaches beyond. `ttl`: how long a thread
    lives after it was last written or, with `refresh_on_read`, read; it goes as a whole. `strict`: compare the bytes of
    every element of every list at each put, for nodes that edit old messages in place into something equal.

    `allowed_types`: classes of yours that may be in a state, beside LangGraph's and LangChain's own. `seal`: encrypts
    and authenticates (extra `crypto`). `compress`: values over 512 bytes. `max_value_bytes`: of one value or element.
    `deadline`: seconds until an operation gives up, retries included.

    Raises `StoreUnavailable` when the server does not answer, `StoreRefused` when it says no, `BlockedType` for a type
    that nobody allowed, `CheckpointTooLarge`, and `CorruptCheckpoint` for what cannot have been written here.
    """

    def __init__(
        self,
        client: Any = None,
        async_client: Any = None,
        *,
        link: RedisLink | None = None,
        tenant: str = "",
        prefix: str = "lgg",
        ttl: timedelta | float | None = None,
        refresh_on_read: bool = True,
        strict: bool = False,
        serde: SerializerProtocol | None = None,
        allowed_types: Iterable[AllowedType] = (),
        seal: Seal | None = None,
        compress: bool = False,
        max_value_bytes: int = MOST,
        deadline: float = 10.0,
    ) -> None:
        super().__init__(serde or StrictSerializer(allowed_types))
        link = link or RedisLink(client, async_client, deadline=deadline)
        keys = Keyspace(check_prefix(prefix), _checked_tenant(tenant))
        self._store = Store(link, keys, _checked_ttl(ttl), refresh_on_read, strict)
        self._seal, self._compress, self._max_value_bytes = seal, compress, max_value_bytes
        _ = self._codec  # a wrong setting of it fails here, and not in the first superstep

    @classmethod
    def from_conn_string(
        cls, url: str, *, connection_args: Mapping[str, Any] | None = None, deadline: float = 10.0, **options: Any
    ) -> Self:
        """A saver on the server at `url` (`redis://`, `rediss://`, `unix://`), usable at once.

        It is also a context manager, sync and async, that closes its connections. `connection_args`: redis-py's terms
        for a connection, and `max_connections`. `options`: the saver's.
        """
        return cls(link=RedisLink.from_url(url, deadline=deadline, **checked_terms(connection_args)), **options)

    def check(self) -> Report:
        """Look at the server: version, role, eviction, persistence, permissions … A line for each, in words.

        It tries every command that it needs on a scratch thread, and removes it. Nothing that it finds is raised.
        """
        return self._run(inspect(self._store))

    async def acheck(self) -> Report:
        return await self._arun(inspect(self._store))

    def setup(self) -> None:
        """Nothing needs to be made in Redis. Raises what a first use would raise: no server, no permission, too old."""
        self.check().raise_if_unusable()

    async def asetup(self) -> None:
        (await self.acheck()).raise_if_unusable()

    def close(self) -> None:
        """Close the connections of this saver. A client that you passed stays as it is."""
        self._store.link.close()

    async def aclose(self) -> None:
        """The same, and those of the running event loop."""
        await self._store.link.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    # Flows

    def _run(self, flow: RedisFlow[Result]) -> Result:
        return run(flow, self._store.link.execute)

    def _arun(self, flow: RedisFlow[Result]) -> Coroutine[Any, Any, Result]:
        return arun(flow, self._store.link.aexecute)

    @property
    def _codec(self) -> Codec:
        return Codec(
            lambda: self.serde,
            seal=self._seal,
            compress=self._compress,
            max_value_bytes=self._max_value_bytes,
        )

    def _get_tuple(self, config: RunnableConfig) -> RedisFlow[CheckpointTuple | None]:
        thread, ns, id = ids.thread_id(config), ids.namespace(config), ids.checkpoint_id(config)
        return getting.get_tuple(self._store, self._codec, thread, ns, id)

    def _list(
        self, config: RunnableConfig | None, filter: dict[str, Any], before: str | None, limit: int | None
    ) -> Listing:
        if config is None:
            return AllThreads(self._store, self._codec, Query(None, None, filter, before), limit)
        query = Query(ids.namespace_or_none(config), ids.checkpoint_id(config), filter, before)
        return ThreadListing(self._store, self._codec, ids.thread_id(config), query, limit)

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RedisFlow[RunnableConfig]:
        return putting.put(self._store, self._codec, config, checkpoint, metadata, new_versions)

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> RedisFlow[None]:
        return pending.put_writes(self._store, self._codec, config, writes, task_id, task_path)

    def _delete_thread(self, thread: str) -> RedisFlow[None]:
        return removing.delete_thread(self._store, self._codec, thread)

    def _delete_for_runs(self, runs: Sequence[str]) -> RedisFlow[None]:
        return removing.delete_for_runs(self._store, self._codec, runs)

    def _copy_thread(self, source: str, target: str) -> RedisFlow[None]:
        return copying.copy_thread(self._store, self._codec, source, target)

    def _prune(self, thread: str) -> RedisFlow[None]:
        return removing.prune(self._store, self._codec, thread)

    def _delta_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> RedisFlow[Mapping[str, DeltaChannelHistory]]:
        return deltas.delta_channels(self._store, self._codec, config, channels)


def _checked_tenant(tenant: str) -> str:
    if not isinstance(tenant, str):
        raise ConfigError("tenant", f"must be a str, is a {type(tenant).__name__}")
    return ids.check_thread_id(tenant, "tenant") if tenant else ""


def _checked_ttl(ttl: timedelta | float | None) -> int | None:
    """In milliseconds."""
    if ttl is None:
        return None
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.001 <= seconds < 2**33:
        raise ConfigError("ttl", "must be a timedelta, or seconds, above 0")
    return int(seconds * 1_000)
