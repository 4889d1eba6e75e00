"""The saver again, as simple as it gets: LangGraph's `InMemorySaver`, and what that leaves out.

It is what the contract compares a saver with; it passes the contract itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.testing.contracts.saver.values import STORED_TYPES

LONGEST_THREAD_ID: Final = 1_024


class Lossless(JsonPlusSerializer):
    """LangGraph's serializer makes a question mark of a lone surrogate; this one refuses it."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        _check_texts(obj)
        return super().dumps_typed(obj)


class ModelSaver(InMemorySaver):
    """What a saver must answer. `store` is another model whose data it shares."""

    def __init__(self, store: InMemorySaver | None = None) -> None:
        super().__init__(serde=Lossless(allowed_msgpack_modules=STORED_TYPES))
        self._lock = RLock()
        if store is not None:
            self.storage, self.writes, self.blobs = store.storage, store.writes, store.blobs
        if isinstance(store, ModelSaver):
            self._lock = store._lock

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with self._lock:
            found = super().get_tuple(_placed(config))
        return found and found._replace(config=_three(found))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        limit: int | None = None,
        **terms: Any,
    ) -> Iterator[CheckpointTuple]:
        """Newest first, whatever the namespace."""
        with self._lock:
            found = [*super().list(config and _checked(config), **terms)]
        found.sort(key=lambda each: each.checkpoint["id"], reverse=True)
        yield from found[:limit]

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """From the parent upwards, until every channel has met a value, a parent is missing, or one comes again."""
        found: dict[str, DeltaChannelHistory] = {name: {"writes": []} for name in channels}
        for each in self._ancestors(config):
            for name in [name for name in channels if "seed" not in found[name]]:
                own: list[PendingWrite] = [write for write in each.pending_writes or [] if write[1] == name]
                found[name]["writes"] = own + found[name]["writes"]
                if name in each.checkpoint["channel_values"]:
                    found[name]["seed"] = each.checkpoint["channel_values"][name]
        return found

    def _ancestors(self, config: RunnableConfig) -> Iterator[CheckpointTuple]:
        met = set()
        found = self.get_tuple(config)
        while found and found.checkpoint["id"] not in met:
            met.add(found.checkpoint["id"])
            found = self.get_tuple(found.parent_config) if found.parent_config else None
            if found and found.checkpoint["id"] not in met:
                yield found

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Values that the store has lost since, because their thread was deleted, are stored again."""
        config = _placed(config)
        here = config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
        with self._lock:
            lost = {
                name: version
                for name, version in checkpoint["channel_versions"].items()
                if name in checkpoint["channel_values"] and (*here, name, version) not in self.blobs
            }
            return super().put(config, checkpoint, metadata, {**lost, **new_versions})

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with self._lock:
            super().put_writes(_placed(config), writes, task_id, task_path)

    # Deleting and copying

    def delete_thread(self, thread_id: str) -> None:
        with self._lock:
            super().delete_thread(_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        if isinstance(run_ids, str):
            raise TypeError("run_ids: a list of ids, not one id")
        with self._lock:
            for each in [*self.list(None)]:
                if each.metadata.get("run_id") in run_ids:
                    self._forget(each)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Onto an empty thread; what is stored does not name its thread, so names change only in keys."""
        source, target = _thread(source_thread_id), _thread(target_thread_id)
        if source == target:
            raise ValueError("target_thread_id: is the source")
        with self._lock:
            if any(self.storage.get(target, {}).values()):
                raise ValueError("target_thread_id: has checkpoints already")
            for ns, checkpoints in self.storage.get(source, {}).items():
                self.storage[target][ns].update(checkpoints)
            for thread, ns, id in [*self.writes]:
                if thread == source:
                    self.writes[target, ns, id].update(self.writes[thread, ns, id])
            for thread, ns, channel, version in [*self.blobs]:
                if thread == source:
                    self.blobs[target, ns, channel, version] = self.blobs[thread, ns, channel, version]

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        if isinstance(thread_ids, str):
            raise TypeError("thread_ids: a list of ids, not one id")
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy: keep_latest or delete, not {strategy}")
        threads = [_thread(each) for each in thread_ids]
        with self._lock:
            for thread in threads:
                if strategy == "delete":
                    self.delete_thread(thread)
                for ns in [*self.storage.get(thread, {})]:
                    self._keep_latest({"configurable": {"thread_id": thread, "checkpoint_ns": ns}})

    def _keep_latest(self, config: RunnableConfig) -> None:
        """The latest, and of its ancestors those from which its delta channels are rebuilt."""
        head = self.get_tuple(config)
        if head is None:
            return
        kept, oldest = {head.checkpoint["id"]}, head
        unseeded = set(head.metadata.get("counters_since_delta_snapshot", {}))
        for each in self._ancestors(config) if unseeded else ():
            kept.add(each.checkpoint["id"])
            oldest = each
            unseeded -= set(each.checkpoint["channel_values"])
            if not unseeded:
                break
        for each in [*self.list(config)]:
            if each.checkpoint["id"] not in kept:
                self._forget(each)
        thread, ns, id = _three(oldest)["configurable"].values()
        checkpoint, metadata, _ = self.storage[thread][ns][id]
        self.storage[thread][ns][id] = checkpoint, metadata, None

    def _forget(self, found: CheckpointTuple) -> None:
        thread, ns, id = _three(found)["configurable"].values()
        self.storage[thread][ns].pop(id, None)
        self.writes.pop((thread, ns, id), None)

    # The same on an event loop; InMemorySaver's other methods call their twins.

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.delete_for_runs(run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.copy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self.prune(thread_ids, strategy=strategy)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> ModelSaver:
        clone = super().with_allowlist(extra_allowlist)
        assert isinstance(clone, ModelSaver)
        return clone


def _check_texts(value: Any) -> None:
    match value:
        case str():
            value.encode()  # raises a ValueError
        case dict():
            for each in (*value, *value.values()):
                _check_texts(each)
        case list() | tuple():
            for each in value:
                _check_texts(each)
        case _:
            pass


def _thread(thread_id: Any) -> str:
    if isinstance(thread_id, bool) or not isinstance(thread_id, str | int):
        raise TypeError(f"thread_id: a str, not {type(thread_id).__name__}")
    name = str(thread_id)
    if not 0 < len(name) <= LONGEST_THREAD_ID:
        raise ValueError(f"thread_id: 1 to {LONGEST_THREAD_ID} characters, not {len(name)}")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError("thread_id: has a lone surrogate")
    return name


def _checked(config: RunnableConfig) -> RunnableConfig:
    found = config["configurable"]
    return {**config, "configurable": {**found, "thread_id": _thread(found.get("thread_id"))}}


def _placed(config: RunnableConfig) -> RunnableConfig:
    """Without a namespace, it is the root."""
    found = _checked(config)
    return {**found, "configurable": {"checkpoint_ns": "", **found["configurable"]}}


def _three(found: CheckpointTuple) -> RunnableConfig:
    given = found.config["configurable"]
    return {"configurable": {key: given[key] for key in ("thread_id", "checkpoint_ns", "checkpoint_id")}}
