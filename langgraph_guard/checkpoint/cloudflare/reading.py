"""Values of keys that were listed, and the checkpoints that they make.

A key is never read before it was listed or written: Workers KV remembers for up to a minute that a key is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple

from langgraph_guard.checkpoint.cloudflare.commands import GetMany, GetOne, KVFlow
from langgraph_guard.checkpoint.cloudflare.layout import Group, size_of
from langgraph_guard.checkpoint.cloudflare.records import Calls, Stored, read_calls, read_checkpoint, writes_of
from langgraph_guard.checkpoint.cloudflare.session import latest_moment
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Listed
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import pending_writes

AT_ONCE: Final = 100
"""Keys of one bulk read."""

MOST_AT_ONCE: Final = 16 * 2**20
"""Characters of one bulk read, whose answer may have 25 MB; a bigger value is read by itself."""

Values = dict[str, str]


class Missing(Exception):
    """A key is listed and its value is not there: it was deleted meanwhile, or it is not visible here yet."""


def values(store: Store, wanted: Iterable[Listed]) -> KVFlow[Values]:
    """The values of listed keys; those that are not there are left out."""
    listed = [*wanted]
    cached = {each.name: store.recent.value(each.name) for each in listed}
    requests = list(_requests([each for each in listed if cached[each.name] is None]))
    replies = (yield requests) if requests else []
    for request, reply in zip(requests, replies, strict=True):
        cached.update(reply if isinstance(request, GetMany) else {request.key: reply})
    for name, value in cached.items():
        if value is not None:
            store.recent.read(name, value)
    return {name: value for name, value in cached.items() if value is not None}


def _requests(wanted: Sequence[Listed]) -> Iterator[GetMany | GetOne]:
    for batch in batches(wanted):
        big = len(batch) == 1 and size_of(batch[0]) > MOST_AT_ONCE
        yield GetOne(batch[0].name) if big else GetMany([each.name for each in batch])


def batches(wanted: Sequence[Listed], most: int = AT_ONCE) -> Iterator[list[Listed]]:
    """As many as one request may read."""
    batch: list[Listed] = []
    size = 0
    for each in wanted:
        if batch and (len(batch) == most or size + size_of(each) > MOST_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += size_of(each)
    if batch:
        yield batch


@dataclass(slots=True)
class Opened:
    """A checkpoint whose values were read; its writes are decoded when they are asked for."""

    group: Group
    stored: Stored
    calls: list[Calls] = field(default_factory=list)

    def tuple(self, codec: Codec) -> CheckpointTuple:
        owner, stored = self.stored.owner, self.stored
        return CheckpointTuple(
            config=config_of(owner.thread, owner.ns, stored.id),
            checkpoint=stored.checkpoint(codec),
            metadata=cast(CheckpointMetadata, stored.metadata),
            parent_config=config_of(owner.thread, owner.ns, stored.parent) if stored.parent else None,
            pending_writes=pending_writes(writes_of(codec, self.calls)),
        )


def opened(store: Store, codec: Codec, group: Group, values: Mapping[str, str]) -> Opened:
    """A checkpoint of which all values are there; raises `Missing` otherwise."""
    if any(each.name not in values for each in group.needed):
        raise Missing
    return Opened(group, head_of(store, codec, group, values), calls_of(store, codec, group, values))


def head_of(store: Store, codec: Codec, group: Group, values: Mapping[str, str]) -> Stored:
    key = group.head.name
    return read_checkpoint(codec, values[key], key, store.keys.place_of(key))


def calls_of(store: Store, codec: Codec, group: Group, values: Mapping[str, str]) -> list[Calls]:
    keys = [each.name for each in group.writes]
    return [read_calls(codec, values[key], key, store.keys.place_of(key)) for key in keys]


def read(store: Store, codec: Codec, groups: Sequence[Group]) -> KVFlow[list[Opened]]:
    """Checkpoints with their writes; raises `Missing` if a value of one is not there."""
    found = yield from values(store, [each for group in groups for each in group.needed])
    store.stamps.saw(latest_moment([store.keys.place_of(key) for group in groups for key in group.keys]))
    return [opened(store, codec, group, found) for group in groups]


def config_of(thread: str, ns: str, id: str) -> RunnableConfig:
    configurable: dict[str, Any] = {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}
    return {"configurable": configurable}
