"""Two savers that are told the same things and must give the same answers, as one saver that a graph can use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from langgraph_guard.testing.contracts.saver.same import agree, same


class Twins(BaseCheckpointSaver[str]):
    """Answers as `first` does, and raises when `second` would have answered otherwise.

    Both get the same objects at the same moment, ids and versions included, so that answers can be compared whole.
    """

    def __init__(self, first: BaseCheckpointSaver[str], second: BaseCheckpointSaver[str]) -> None:
        super().__init__(serde=first.serde)
        self.first, self.second = first, second

    def get_next_version(self, current: str | None, channel: None) -> str:
        return self.first.get_next_version(current, channel)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Twins:
        return Twins(self.first.with_allowlist(extra_allowlist), self.second.with_allowlist(extra_allowlist))

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = self.first.get_tuple(config)
        agree(found, self.second.get_tuple(config))
        return found

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self.first.aget_tuple(config)
        agree(found, self.second.get_tuple(config))
        return found

    def list(self, config: RunnableConfig | None, **terms: Any) -> Iterator[CheckpointTuple]:
        found = [*self.first.list(config, **terms)]
        agree_in_order(found, [*self.second.list(config, **terms)])
        yield from found

    async def alist(self, config: RunnableConfig | None, **terms: Any) -> AsyncIterator[CheckpointTuple]:
        found = [each async for each in self.first.alist(config, **terms)]
        agree_in_order(found, [*self.second.list(config, **terms)])
        for each in found:
            yield each

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        found = self.first.get_delta_channel_history(config=config, channels=channels)
        self._check_history(found, config, channels)
        return found

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        found = await self.first.aget_delta_channel_history(config=config, channels=channels)
        self._check_history(found, config, channels)
        return found

    def _check_history(
        self, found: Mapping[str, DeltaChannelHistory], config: RunnableConfig, channels: Sequence[str]
    ) -> None:
        expected = self.second.get_delta_channel_history(config=config, channels=channels)
        assert same(_plain(found), _plain(expected)), f"{_plain(found)} is not {_plain(expected)}"

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        expected = self.second.put(config, checkpoint, metadata, new_versions)
        stored = self.first.put(config, checkpoint, metadata, new_versions)
        assert stored == expected
        return stored

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        expected = self.second.put(config, checkpoint, metadata, new_versions)
        stored = await self.first.aput(config, checkpoint, metadata, new_versions)
        assert stored == expected
        return stored

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.second.put_writes(config, writes, task_id, task_path)
        self.first.put_writes(config, writes, task_id, task_path)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.second.put_writes(config, writes, task_id, task_path)
        await self.first.aput_writes(config, writes, task_id, task_path)

    # Deleting and copying

    def delete_thread(self, thread_id: str) -> None:
        self.first.delete_thread(thread_id)
        self.second.delete_thread(thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        await self.first.adelete_thread(thread_id)
        self.second.delete_thread(thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.first.delete_for_runs(run_ids)
        self.second.delete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self.first.adelete_for_runs(run_ids)
        self.second.delete_for_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.first.copy_thread(source_thread_id, target_thread_id)
        self.second.copy_thread(source_thread_id, target_thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self.first.acopy_thread(source_thread_id, target_thread_id)
        self.second.copy_thread(source_thread_id, target_thread_id)


def agree_in_order(found: Sequence[CheckpointTuple], expected: Sequence[CheckpointTuple]) -> None:
    """The same checkpoints, and within each namespace in the same order; how namespaces mix is a saver's own affair."""
    left, right = _by_namespace(found), _by_namespace(expected)
    assert [key for key, _ in left] == [key for key, _ in right]
    for (_, ours), (_, theirs) in zip(left, right, strict=True):
        agree(ours, theirs)


def _by_namespace(found: Sequence[CheckpointTuple]) -> list[tuple[tuple[str, str, int], CheckpointTuple]]:
    grouped = groupby(sorted(found, key=_namespace), key=_namespace)  # a stable sort: the order within each is kept
    return [((*key, number), each) for key, group in grouped for number, each in enumerate(group)]


def _namespace(found: CheckpointTuple) -> tuple[str, str]:
    return str(found.config["configurable"]["thread_id"]), found.config["configurable"]["checkpoint_ns"]


def _plain(history: Mapping[str, DeltaChannelHistory]) -> dict[str, Any]:
    """Histories as plain dicts, for comparison and for messages."""
    return {name: {**entry, "writes": [tuple(write) for write in entry["writes"]]} for name, entry in history.items()}
