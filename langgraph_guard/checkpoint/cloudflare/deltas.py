"""The history of delta channels: one list of the namespace, and its values in as few reads as can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from langgraph.checkpoint.base import DeltaChannelHistory

from langgraph_guard.checkpoint.cloudflare.commands import KVFlow
from langgraph_guard.checkpoint.cloudflare.getting import Query, find, find_all
from langgraph_guard.checkpoint.cloudflare.layout import Group
from langgraph_guard.checkpoint.cloudflare.reading import Opened
from langgraph_guard.checkpoint.cloudflare.records import writes_of
from langgraph_guard.checkpoint.cloudflare.scanning import Groups
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import Ancestor, DeltaWalk, Write, delta_history, delta_walk
from langgraph_guard.errors import CorruptCheckpoint

AT_ONCE: Final = 48
"""Checkpoints that are read together."""


def delta_channels(
    store: Store, codec: Codec, query: Query, channels: Sequence[str]
) -> KVFlow[Mapping[str, DeltaChannelHistory]]:
    """Of each channel the nearest value above the checkpoint, and the writes since."""
    if not channels:
        return {}
    target = yield from find(store, codec, query)
    if target is None:
        return {channel: {"writes": []} for channel in channels}
    return (yield from _Walk(store, codec, target, channels).history())


class _Walk:
    """Up the path of one checkpoint."""

    def __init__(self, store: Store, codec: Codec, target: Opened, channels: Sequence[str]) -> None:
        self._store, self._codec, self._channels = store, codec, channels
        self._target = target.stored.id
        self._space = target.group.space
        self._groups = Groups(store, store.keys.space(self._space))
        self._ready: deque[Group] = deque()
        self._known: dict[str, Ancestor | None] = {}
        self._opened: dict[str, Opened] = {}
        self._note(target)

    def history(self) -> KVFlow[Mapping[str, DeltaChannelHistory]]:
        while (missing := self._walk().missing) is not None:
            if self._ready:
                yield from self._read()
            elif not self._groups.done:
                groups = yield from self._groups.next()
                self._ready.extend(group for group in groups if group.heads and group.id < self._target)
            else:
                yield from self._look_up(missing)
        return self._told(self._walk())

    def _walk(self) -> DeltaWalk:
        return delta_walk(self._target, self._known, self._channels)

    def _read(self) -> KVFlow[None]:
        chosen = [self._ready.popleft() for _ in range(min(AT_ONCE, len(self._ready)))]
        for found in (yield from find_all(self._store, self._codec, chosen)):
            self._note(found)

    def _look_up(self, id: str) -> KVFlow[None]:
        """An ancestor that is not below its descendant: ids need not grow along a path."""
        found = yield from find(self._store, self._codec, Query(self._space, id, told=False))
        if found is not None:
            self._note(found)
        self._known.setdefault(id, None)

    def _note(self, found: Opened) -> None:
        self._opened[found.stored.id] = found
        self._known[found.stored.id] = Ancestor(found.stored.parent, found.stored.values)

    def _told(self, walk: DeltaWalk) -> Mapping[str, DeltaChannelHistory]:
        self._check(walk)
        seeds = {channel: self._value(at, channel) for channel, at in walk.seeds.items()}
        return delta_history(walk, self._writes_of, seeds)

    def _value(self, id: str, channel: str) -> object:
        return self._codec.load([self._opened[id].stored.values[channel]], f"channel {channel!r}")[0]

    def _writes_of(self, id: str) -> list[Write]:
        return writes_of(self._codec, self._opened[id].calls, self._channels)

    def _check(self, walk: DeltaWalk) -> None:
        """Parents expire before their children: what is left of such a path would be a wrong value, and no error."""
        if self._store.options.ttl is None:
            return
        for channel in self._channels:
            if channel not in walk.seeds and self._goes_on((walk.paths[channel] or (self._target,))[-1], channel):
                problem = "has expired in part: its ttl is shorter than the time between two snapshots"
                raise CorruptCheckpoint(f"the history of channel {channel!r}", problem)

    def _goes_on(self, last: str, channel: str) -> bool:
        """Whether a path was longer: its last checkpoint has a parent, which is gone, and counts steps before it."""
        if last not in self._opened:
            return False
        stored = self._opened[last].stored
        counts = channel in (stored.metadata.get("counters_since_delta_snapshot") or ())
        return counts and stored.parent is not None and self._known.get(stored.parent) is None
