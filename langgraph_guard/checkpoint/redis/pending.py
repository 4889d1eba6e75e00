"""Put writes: what a task did before the superstep is over, kept beside the checkpoint that it started from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.types import Overwrite

from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis import identities, indexes
from langgraph_guard.checkpoint.redis.layout import Owner, StoredWrite
from langgraph_guard.checkpoint.redis.memory import Known
from langgraph_guard.checkpoint.redis.putting import ATTEMPTS, check_thread, dump, filling
from langgraph_guard.checkpoint.redis.scripts import WRITE
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store, new_storage_id
from langgraph_guard.errors import ConfigError, StoreRefused

INLINE: Final = 4_096
"""Bytes of a value that stands in the ordered map. A bigger one is a blob."""


def put_writes(
    store: Store,
    codec: Codec,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str = "",
) -> RedisFlow[None]:
    thread, ns, id = ids.thread_id(config), ids.namespace(config), _checkpoint_of(config)
    note_returned(store.memory.of(thread), ns, writes)
    owner, task = Owner(store.keys.tenant, thread, ns, id), ids.check_task_id(task_id)
    packed = [
        PackedWrite(
            StoredWrite(owner, task, WRITES_IDX_MAP.get(channel, at), channel, task_path, b""),
            dump(codec, channel, value),
        )
        for at, (channel, value) in enumerate(writes)
    ]
    for _ in range(ATTEMPTS if packed else 0):
        known = store.memory.of(thread)
        code, sid, gen, off, version, *due = (yield _batch(store, codec, known, packed))[-1]
        check_thread(code, version)
        if code == b"ok":
            store.memory.storage(thread, sid, gen, off)
            if due == [1]:
                yield from indexes.prolong(store, codec, thread)
            return
        store.memory.forget(thread)
        if code == b"moved":
            store.memory.storage(thread, sid, gen, off)
    if packed:
        raise StoreRefused("redis", "put_writes", f"the thread was deleted {ATTEMPTS} times meanwhile")


@dataclass(frozen=True, slots=True)
class PackedWrite:
    """A write whose value is serialized."""

    write: StoredWrite
    data: bytes

    @property
    def is_big(self) -> bool:
        return len(self.data) > INLINE

    def inline(self, codec: Codec) -> StoredWrite:
        return replace(self.write, value=codec.wrap(self.data, identities.of_write(codec, self.write)))

    def by_name(self, codec: Codec, sid: bytes) -> StoredWrite:
        return replace(self.write, value=self.blob(codec, sid)[0])

    def blob(self, codec: Codec, sid: bytes) -> tuple[str, bytes]:
        """A big value's name and its stored form."""
        bound = identities.of_big_write(codec, sid, self.write)
        return identities.blob_name(codec, sid, bound + self.data), codec.wrap(self.data, bound)


def _named(owner: Owner, task: str, path: str, channel: str, at: int) -> StoredWrite:
    """A write whose value is not there yet. Special channels have places of their own."""
    return StoredWrite(owner, task, WRITES_IDX_MAP.get(channel, at), channel, path, b"")


def _checkpoint_of(config: RunnableConfig) -> str:
    id = ids.checkpoint_id(config)
    if id is None:
        raise ConfigError("configurable.checkpoint_id", "is missing: writes belong to a checkpoint")
    return id


def note_returned(known: Known | None, ns: str, writes: Sequence[tuple[str, Any]]) -> None:
    """Keep in mind which stored elements a node hands back: they may have been edited, and equal what they were."""
    if known is None:
        return
    lists = known.seen(ns).lists()
    for _, value in writes:
        given = value.value if isinstance(value, Overwrite) else value
        for each in given if isinstance(given, list | tuple) else (given,):
            if any(id(each) in kept.by_id for kept in lists):
                known.returned.setdefault(ns, []).append(each)


def _batch(store: Store, codec: Codec, known: Known | None, packed: list[PackedWrite]) -> list[Command]:
    owner = packed[0].write.owner
    keys = store.keys.thread(owner.thread)
    sid = known.sid if known else new_storage_id()
    blobs = dict(each.blob(codec, sid) for each in packed if each.is_big)
    stored = [each.by_name(codec, sid) if each.is_big else each.inline(codec) for each in packed]
    terms = ("0" if known else "1", sid, "1" if blobs and codec.sealed else "0", store.ttl)
    said = [part for write in stored for part in ("last" if write.idx < 0 else "first", write.key, write.pack())]
    ahead = [] if known else [store.register(owner.thread)]
    return [*ahead, *filling(keys.log, keys.blobs, [], blobs), (WRITE, 4, *keys, *terms, *said)]
