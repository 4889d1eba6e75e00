"""The history of delta channels, in a few trips: ancestors stand beside each other, with their writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import DeltaChannelHistory

from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import Ancestor, Write, delta_history, delta_walk
from langgraph_guard.checkpoint.redis import indexes
from langgraph_guard.checkpoint.redis.layout import StoredWrite, group_span, namespace_span
from langgraph_guard.checkpoint.redis.reading import ATTEMPTS, Changed, Group, Opened, Reader, blobs_of
from langgraph_guard.checkpoint.redis.scanning import Scan
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import StoreRefused

PAGE: Final = 4_096
"""Entries per trip: two thousand deltas."""


def delta_channels(
    store: Store, codec: Codec, config: RunnableConfig, channels: Sequence[str]
) -> RedisFlow[Mapping[str, DeltaChannelHistory]]:
    thread, ns, id = ids.thread_id(config), ids.namespace(config), ids.checkpoint_id(config)
    for _ in range(ATTEMPTS):
        try:
            return (yield from Walk(Reader(store, codec, thread), ns, tuple(channels)).history(id))
        except Changed:
            continue
    raise StoreRefused("redis", "get_delta_channel_history", f"the thread was rewritten {ATTEMPTS} times meanwhile")


class Walk:
    """From a checkpoint up its path, until every channel has its seed."""

    def __init__(self, reader: Reader, ns: str, channels: tuple[str, ...]) -> None:
        self._reader, self._ns, self._channels = reader, ns, channels
        self._opened: dict[str, Opened] = {}
        self._known: dict[str, Ancestor | None] = {}

    def history(self, id: str | None) -> RedisFlow[Mapping[str, DeltaChannelHistory]]:
        scan = Scan(self._reader, namespace_span(self._ns, upto=id), PAGE)
        yield from self._look(scan)
        target = id or max(self._opened, default=None)
        if target is None:
            return {channel: {"writes": []} for channel in self._channels}
        while (missing := delta_walk(target, self._known, self._channels).missing) is not None:
            if scan.done:
                yield from self._look_up(missing)
            else:
                yield from self._look(scan)
        told = yield from self._told(target)
        yield from indexes.prolong_if_due(self._reader)
        return told

    def _told(self, target: str) -> RedisFlow[Mapping[str, DeltaChannelHistory]]:
        walk = delta_walk(target, self._known, self._channels)
        refs = {channel: self._opened[at].refs[channel] for channel, at in walk.seeds.items()}
        wanted = [write for id in walk.ids for write in self._opened[id].writes if write.channel in self._channels]
        yield from self._reader.fetch_values(refs, blobs_of(wanted))
        seeds = {channel: self._reader.value(ref) for channel, ref in refs.items()}
        return delta_history(walk, self._writes_of, seeds)

    def _look(self, scan: Scan) -> RedisFlow[None]:
        for group in (yield from scan.next()):
            self._note(group)

    def _look_up(self, id: str) -> RedisFlow[None]:
        """An ancestor that is not below its descendant: ids need not grow along a path."""
        for group in (yield from self._reader.entries(group_span(self._ns, id), None)):
            self._note(group)
        self._known.setdefault(id, None)

    def _note(self, group: Group) -> None:
        if group.record is not None:
            found = self._reader.opened(group)
            self._opened[found.record.owner.id] = found
            self._known[found.record.owner.id] = Ancestor(found.record.parent, frozenset(found.refs))

    def _writes_of(self, id: str) -> list[Write]:
        return [self._as_write(write) for write in self._opened[id].writes if write.channel in self._channels]

    def _as_write(self, write: StoredWrite) -> Write:
        return Write(write.path, write.task, write.idx, write.channel, self._reader.pending(write)[2])
