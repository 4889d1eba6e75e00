"""`CloudflareKVSaver`: LangGraph's checkpoints in Workers KV."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.checkpoint.cloudflare import (
    arguments,
    copying,
    deltas,
    getting,
    listing,
    putting,
    removing,
    session,
)
from langgraph_guard.checkpoint.cloudflare.check import PATIENCE, Report, inspect
from langgraph_guard.checkpoint.cloudflare.clock import Clock, SystemClock
from langgraph_guard.checkpoint.cloudflare.commands import KVFlow, ListKeys
from langgraph_guard.checkpoint.cloudflare.delivery import Terms
from langgraph_guard.checkpoint.cloudflare.layout import Keyspace, Space
from langgraph_guard.checkpoint.cloudflare.link import Link
from langgraph_guard.checkpoint.cloudflare.names import part
from langgraph_guard.checkpoint.cloudflare.rest import CLOUDFLARE
from langgraph_guard.checkpoint.cloudflare.rest_transport import RestTransport
from langgraph_guard.checkpoint.cloudflare.store import Consistency, Options, Store
from langgraph_guard.checkpoint.cloudflare.transport import AsyncTransport, Transport
from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.allowed import AllowedType
from langgraph_guard.checkpoint.core.codec import MOST, Codec
from langgraph_guard.checkpoint.core.saver import FlowSaver
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.core.serde import StrictSerializer
from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run

Result = TypeVar("Result")

GROUP_WINDOW: Final = 0.1
"""Seconds; fifty agents that are out of step then share a request by six or seven."""

_PLAIN: Final = {StrictSerializer.dumps_typed, JsonPlusSerializer.dumps_typed}
"""Serializers that hide nothing, so that metadata may stand where lists see it."""


class CloudflareKVSaver(FlowSaver):
    """Checkpoints in a namespace of Workers KV, or behind a gateway Worker that speaks like it.

        saver = CloudflareKVSaver.from_account(account_id, namespace_id, api_token)
        app = graph.compile(checkpointer=saver)      # then `invoke` and `ainvoke`

    `transport`, `async_transport`: ways to a namespace; a `RestTransport` is both. `tenant`, `prefix`: what this saver
    sees; nothing reaches beyond. `ttl`: how long what is written lives, 60 seconds at least; parents go before their
    children, so a history gets shorter and the latest stays for as long as its thread is used.

    `consistency`: with "session", signs that the store does not show the latest state are waited out for up to
    `patience` seconds, and `StaleCheckpoint` is raised then; with "eventual" only a token is waited for. What this
    saver wrote it sees at once in both. `visibility`: seconds after which a write is taken to be seen everywhere; 0 for
    a store that is strongly consistent, as a gateway over Durable Objects is.

    `group_commit`: writes that are made at the same time travel in one request, and each caller learns of its own.
    Without it each call is a request, and many are on their way at once: for a gateway that is near and has no limits.
    `group_window`: seconds that writes wait for others to travel with, at most. A run that is alone never waits, nor do
    runs that go one after another.
    `deadline`: seconds after which a request without an answer is not sent again; one attempt waits for up to 30 for a
    byte. `throttle_budget`: seconds that a request waits while Cloudflare says that it is one too many; it blocks a
    token for up to 300.

    `allowed_types`, `seal`, `compress`, `max_value_bytes`: as `RedisSaver` has them. A checkpoint, all its channels
    together, may have 18.75 MiB.

    Raises `StoreUnavailable`, `StoreRefused`, `StoreRateLimited`, `StaleCheckpoint`, `CheckpointTooLarge`,
    `BlockedType` and `CorruptCheckpoint`.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        async_transport: AsyncTransport | None = None,
        *,
        tenant: str = "",
        prefix: str = "lgg",
        ttl: timedelta | float | None = None,
        consistency: Consistency = "session",
        visibility: float = 120.0,
        patience: float = 10.0,
        group_commit: bool = True,
        group_window: float = GROUP_WINDOW,
        deadline: float = 10.0,
        throttle_budget: float = 330.0,
        serde: SerializerProtocol | None = None,
        allowed_types: Iterable[AllowedType] = (),
        seal: Seal | None = None,
        compress: bool = False,
        max_value_bytes: int = MOST,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(serde or StrictSerializer(allowed_types))
        clock = clock or SystemClock()
        if consistency not in get_args(Consistency):
            raise ConfigError("consistency", f"must be one of {', '.join(get_args(Consistency))}")
        options = Options(
            arguments.checked_ttl(ttl),
            consistency,
            arguments.seconds("visibility", visibility),
            arguments.seconds("patience", patience),
        )
        keys = Keyspace(arguments.checked_prefix(prefix), ids.check_thread_id(tenant, "tenant") if tenant != "" else "")
        self._store = Store.of(keys, options, clock.now)
        terms = Terms(arguments.seconds("deadline", deadline), arguments.seconds("throttle_budget", throttle_budget))
        self._link = Link(
            transport,
            async_transport if async_transport is not None else getattr(transport, "aio", None),
            terms,
            clock,
            arguments.window(group_commit, group_window),
            self._store.recent.wrote,
        )
        self._seal, self._compress, self._max_value_bytes = seal, compress, max_value_bytes

    @classmethod
    def from_account(
        cls, account_id: str, namespace_id: str, api_token: str, *, base_url: str = CLOUDFLARE, **options: Any
    ) -> Self:
        """A saver on a namespace of your account. The token needs the permission Workers KV Storage Edit.

        It is usable at once, and a context manager, sync and async, that closes its connections.
        """
        for name, value in (("account_id", account_id), ("api_token", api_token)):
            if not isinstance(value, str):
                raise ConfigError(name, "is missing")
        transport = RestTransport(namespace_id, account_id=account_id, api_token=api_token, base_url=base_url)
        return cls._owning(transport, **options)

    @classmethod
    def from_conn_string(cls, url: str, *, api_token: str | None = None, **options: Any) -> Self:
        """The same on the URL of a namespace: of the REST API, of the local simulator, or of a gateway Worker."""
        return cls._owning(RestTransport.of_url(url, api_token=api_token), **options)

    @classmethod
    def _owning(cls, transport: RestTransport, **options: Any) -> Self:
        saver = cls(transport, **options)
        saver._link.owner = transport
        return saver

    def check(self) -> Report:
        """Look at the namespace: address, token, rights, clock, limits. A line for each, in words.

        It tries every call that it needs on a scratch key, and removes it. Nothing that it finds is raised, and a rate
        limit is not waited for.
        """
        link = self._link.impatient(PATIENCE)
        return run(inspect(self._store, link), link.execute)

    async def acheck(self) -> Report:
        link = self._link.impatient(PATIENCE)
        return await arun(inspect(self._store, link), link.aexecute)

    def setup(self) -> None:
        """Nothing needs to be made. Raises what a first use would raise: a wrong token, account or namespace."""
        self._run(_look(self._store))

    async def asetup(self) -> None:
        await self._arun(_look(self._store))

    def token(self, thread_id: str) -> str:
        """What another process passes as `configurable["kv_at_least"]` to see at least what this one wrote of a thread.

        It names the latest checkpoint of each namespace that was written within `visibility`, and how many calls wrote
        to it. Empty when nothing was written lately: then everything is visible everywhere.
        """
        thread = part(ids.check_thread_id(thread_id))
        names = self._store.recent.names(self._store.keys.thread(thread))
        return session.token(map(self._store.keys.place_of, names))

    def close(self) -> None:
        """Close the connections of this saver. A transport that you passed stays as it is."""
        self._link.close()

    async def aclose(self) -> None:
        """The same, and those of the running event loop."""
        await self._link.aclose()

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

    def _run(self, flow: KVFlow[Result]) -> Result:
        return run(flow, self._link.execute)

    def _arun(self, flow: KVFlow[Result]) -> Coroutine[Any, Any, Result]:
        return arun(flow, self._link.aexecute)

    @property
    def _codec(self) -> Codec:
        return Codec(
            lambda: self.serde,
            seal=self._seal,
            compress=self._compress,
            max_value_bytes=self._max_value_bytes,
        )

    @property
    def _is_plain(self) -> bool:
        return self._seal is None and type(self.serde).dumps_typed in _PLAIN

    def _query(self, config: RunnableConfig) -> getting.Query:
        thread, ns = ids.thread_id(config), ids.namespace(config)
        return getting.Query(Space.of(thread, ns), ids.checkpoint_id(config), session.at_least(config, ns))

    def _get_tuple(self, config: RunnableConfig) -> KVFlow[CheckpointTuple | None]:
        return getting.get_tuple(self._store, self._codec, self._query(config))

    def _list(
        self, config: RunnableConfig | None, filter: dict[str, Any], before: str | None, limit: int | None
    ) -> listing.Listing:
        query = listing.Query(
            None if config is None else ids.thread_id(config),
            None if config is None else ids.namespace_or_none(config),
            None if config is None else ids.checkpoint_id(config),
            filter,
            before,
        )
        return listing.Listing(self._store, self._codec, query, limit)

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> KVFlow[RunnableConfig]:
        return putting.put(self._store, self._codec, config, checkpoint, metadata, plain=self._is_plain)

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> KVFlow[None]:
        return putting.put_writes(self._store, self._codec, config, writes, task_id, task_path)

    def _delete_thread(self, thread: str) -> KVFlow[None]:
        return removing.delete_thread(self._store, thread)

    def _delete_for_runs(self, runs: Sequence[str]) -> KVFlow[None]:
        return removing.delete_for_runs(self._store, runs)

    def _copy_thread(self, source: str, target: str) -> KVFlow[None]:
        return copying.copy_thread(self._store, self._codec, source, target)

    def _prune(self, thread: str) -> KVFlow[None]:
        return removing.prune(self._store, self._codec, thread)

    def _delta_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> KVFlow[Mapping[str, DeltaChannelHistory]]:
        return deltas.delta_channels(self._store, self._codec, self._query(config), channels)


def _look(store: Store) -> KVFlow[None]:
    yield [ListKeys(store.keys.root, 10)]
