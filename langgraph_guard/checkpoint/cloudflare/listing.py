"""Lists: one namespace, one thread or all threads, newest first, page by page."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard.checkpoint.cloudflare.commands import KVFlow
from langgraph_guard.checkpoint.cloudflare.getting import find_all
from langgraph_guard.checkpoint.cloudflare.layout import Group, Space, surely_not
from langgraph_guard.checkpoint.cloudflare.names import part
from langgraph_guard.checkpoint.cloudflare.scanning import A_LOOK, PAGE, Groups
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.filters import matches

AT_ONCE: Final = 64
"""Checkpoints whose values are read and decoded together."""

FEW: Final = 10
"""Checkpoints that a short first page is enough for."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. `thread` `None`: all threads; `ns` `None`: all namespaces."""

    thread: str | None
    ns: str | None
    id: str | None
    filter: dict[str, Any]
    before: str | None

    def prefix(self, store: Store) -> str:
        if self.thread is None:
            return store.keys.threads
        if self.ns is None:
            return store.keys.thread(part(self.thread))
        space = Space.of(self.thread, self.ns)
        return store.keys.space(space) if self.id is None else store.keys.group(space, self.id)

    def admits(self, group: Group) -> bool:
        """As far as its keys tell."""
        if not group.heads or (self.id is not None and group.id != self.id):
            return False
        return (self.before is None or group.id < self.before) and not surely_not(group.head, self.filter)


class Listing:
    """Checkpoints, by id within a namespace or a thread; threads come one after another."""

    def __init__(self, store: Store, codec: Codec, query: Query, limit: int | None) -> None:
        self.done = limit == 0
        self._store, self._codec, self._query, self._left = store, codec, query, limit
        short = query.ns is not None and limit is not None and limit <= FEW
        self._groups = Groups(store, query.prefix(store), A_LOOK if short else PAGE)
        self._ready: deque[Group] = deque()
        self._thread: list[Group] = []
        """Of the thread that is being listed, unless one namespace is asked for."""

    def page(self) -> KVFlow[list[CheckpointTuple]]:
        while not self._ready and not self._groups.done:
            yield from self._fill()
        most = AT_ONCE if self._left is None else min(AT_ONCE, self._left)
        chosen = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        opened = yield from find_all(self._store, self._codec, chosen)
        found = [each.tuple(self._codec) for each in opened if matches(each.stored.metadata, self._query.filter)]
        if self._left is not None:
            self._left -= len(found)
        self.done = self._left == 0 or (self._groups.done and not self._ready)
        return found

    def _fill(self) -> KVFlow[None]:
        for group in (yield from self._groups.next()):
            if self._query.ns is not None:
                self._admit([group])
            else:
                self._gather(group)
        if self._groups.done:
            self._admit(self._thread)

    def _gather(self, group: Group) -> None:
        """Namespaces stand one after another, so a thread is known when the next one begins."""
        if self._thread and self._thread[0].space.thread != group.space.thread:
            self._admit(self._thread)
            self._thread = []
        self._thread.append(group)

    def _admit(self, groups: list[Group]) -> None:
        admitted = [group for group in groups if self._query.admits(group)]
        self._ready.extend(sorted(admitted, key=lambda group: (group.id, group.space.ns), reverse=True))
