"""A checkpointer written once: its operations are flows, and here is where they become methods, sync and async."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Coroutine, Generator, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods

from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.filters import check_filter
from langgraph_guard.checkpoint.core.serde import allowing
from langgraph_guard.errors import ConfigError

Result = TypeVar("Result")
StoreFlow: TypeAlias = Generator[Sequence[Any], list[Any], Result]
Strategy = Literal["keep_latest", "delete"]


class Listing(Protocol):
    """A list that is read page by page."""

    done: bool

    def page(self) -> StoreFlow[list[CheckpointTuple]]:
        """The next checkpoints; `done` is set with the last."""
        ...


class FlowSaver(BaseCheckpointSaver[str]):
    """All of `BaseCheckpointSaver`, sync and async, over the flows that a subclass gives.

    A copy shares connections and caches; each has its own serializer.
    """

    def __init__(self, serde: SerializerProtocol) -> None:
        if not (callable(getattr(serde, "dumps_typed", None)) or callable(getattr(serde, "dumps", None))):
            raise ConfigError("serde", f"must have dumps_typed and loads_typed; is a {type(serde).__name__}")
        self._serde = maybe_add_typed_methods(serde)

    @property
    def serde(self) -> SerializerProtocol:
        return self._serde

    @serde.setter
    def serde(self, serde: SerializerProtocol) -> None:
        self._serde = maybe_add_typed_methods(serde)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Self:
        """A saver on the same store whose serializer, also a wrapped one, allows more types."""
        wider = allowing(self.serde, extra_allowlist)
        if wider is self.serde:
            return self
        clone = copy(self)
        clone.serde = wider
        return clone

    def get_next_version(self, current: str | int | float | None, channel: None = None) -> str:
        """Counts up; the second half is random, so that forks of one checkpoint never share a version."""
        number = int(str(current).split(".")[0]) if current is not None else 0
        return f"{number + 1:010d}.{random.getrandbits(48):012x}"

    # Sync

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._run(self._get_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        listing = self._checked_list(config, filter, before, limit)
        while not listing.done:
            yield from self._run(listing.page())

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._run(self._put(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._run(self._put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        self._run(self._delete_thread(ids.check_thread_id(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._run(self._delete_for_runs(ids.run_ids(run_ids)))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._run(self._copy_thread(*_checked_copy(source_thread_id, target_thread_id)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread in _checked_prune(thread_ids, strategy):
            self._run(self._prune(thread) if strategy == "keep_latest" else self._delete_thread(thread))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._run(self._delta_history(config, channels))

    # Async

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._arun(self._get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        listing = self._checked_list(config, filter, before, limit)
        while not listing.done:
            for found in await self._arun(listing.page()):
                yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._arun(self._put(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._arun(self._put_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._arun(self._delete_thread(ids.check_thread_id(thread_id)))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._arun(self._delete_for_runs(ids.run_ids(run_ids)))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._arun(self._copy_thread(*_checked_copy(source_thread_id, target_thread_id)))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread in _checked_prune(thread_ids, strategy):
            await self._arun(self._prune(thread) if strategy == "keep_latest" else self._delete_thread(thread))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._arun(self._delta_history(config, channels))

    # What a store gives

    @abstractmethod
    def _run(self, flow: StoreFlow[Result]) -> Result: ...

    @abstractmethod
    def _arun(self, flow: StoreFlow[Result]) -> Coroutine[Any, Any, Result]: ...

    @abstractmethod
    def _get_tuple(self, config: RunnableConfig) -> StoreFlow[CheckpointTuple | None]: ...

    @abstractmethod
    def _list(
        self, config: RunnableConfig | None, filter: dict[str, Any], before: str | None, limit: int | None
    ) -> Listing: ...

    @abstractmethod
    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> StoreFlow[RunnableConfig]: ...

    @abstractmethod
    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> StoreFlow[None]: ...

    @abstractmethod
    def _delete_thread(self, thread: str) -> StoreFlow[None]: ...

    @abstractmethod
    def _delete_for_runs(self, runs: Sequence[str]) -> StoreFlow[None]: ...

    @abstractmethod
    def _copy_thread(self, source: str, target: str) -> StoreFlow[None]: ...

    @abstractmethod
    def _prune(self, thread: str) -> StoreFlow[None]: ...

    @abstractmethod
    def _delta_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> StoreFlow[Mapping[str, DeltaChannelHistory]]: ...

    def _checked_list(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Listing:
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ConfigError("limit", "must be a number of checkpoints, 0 or more, or None")
        return self._list(config, check_filter(filter), ids.checkpoint_id(before) if before else None, limit)


def _checked_copy(source: str, target: str) -> tuple[str, str]:
    source, target = ids.check_thread_id(source, "source_thread_id"), ids.check_thread_id(target, "target_thread_id")
    if source == target:
        raise ConfigError("target_thread_id", "is the source: a thread cannot be copied onto itself")
    return source, target


def _checked_prune(thread_ids: Sequence[str], strategy: str) -> list[str]:
    """The threads to prune; all arguments are checked before anything is touched."""
    if strategy not in get_args(Strategy):
        raise ConfigError("strategy", f"must be one of {', '.join(get_args(Strategy))}")
    return ids.thread_ids(thread_ids)
