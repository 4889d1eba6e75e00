"""Lists: one namespace, one thread or all threads, newest first, page by page."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard._redis import Pipelined
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.filters import matches
from langgraph_guard.checkpoint.redis import indexes
from langgraph_guard.checkpoint.redis.layout import EVERYTHING, Span, group_span, namespace_span
from langgraph_guard.checkpoint.redis.reading import ATTEMPTS, Changed, Opened, Reader
from langgraph_guard.checkpoint.redis.scanning import PAGE, Scan, everything
from langgraph_guard.checkpoint.redis.scripts import FORGET
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store
from langgraph_guard.errors import StoreRefused

AT_ONCE: Final = 64
"""Checkpoints whose values are fetched and decoded together."""

PER_CHECKPOINT: Final = 4
"""Entries to expect of a checkpoint: its record and some writes."""

A_DAY: Final = 86_400_000
"""Milliseconds that a thread which is gone stays registered: its writer may be about to come back."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to list of a thread. `ns` `None`: all namespaces."""

    ns: str | None
    id: str | None
    filter: dict[str, Any]
    before: str | None

    @property
    def span(self) -> Span:
        if self.ns is None:
            return EVERYTHING
        return group_span(self.ns, self.id) if self.id else namespace_span(self.ns, before=self.before)

    def admits(self, found: Opened) -> bool:
        id = found.record.owner.id
        if (self.id is not None and id != self.id) or (self.before is not None and id >= self.before):
            return False
        return matches(found.metadata, self.filter)


class ThreadListing:
    """Checkpoints of one thread. Tuples of one page share the elements of lists that they have in common."""

    def __init__(self, store: Store, codec: Codec, thread: str, query: Query, limit: int | None) -> None:
        self.done = limit == 0
        self.gone = False
        """Whether nothing is stored of the thread."""
        self._query = query
        self._left = limit
        self._page = PAGE if limit is None else min(PAGE, PER_CHECKPOINT * (limit + 1))
        self._of: tuple[Store, Codec, str] = (store, codec, thread)
        self._last: tuple[str, str] | None = None
        self._start()

    def page(self) -> RedisFlow[list[CheckpointTuple]]:
        for _ in range(ATTEMPTS):
            try:
                return (yield from self._read())
            except Changed:
                self._start()
        raise StoreRefused("redis", "list", f"the thread was rewritten {ATTEMPTS} times meanwhile")

    def _start(self) -> None:
        """Begin, or begin again behind what was listed already."""
        self._reader = Reader(*self._of)
        self._scan = Scan(self._reader, self._query.span, self._page)
        self._ready: deque[Opened] = deque()

    def _read(self) -> RedisFlow[list[CheckpointTuple]]:
        while not self._ready and not self._scan.done:
            yield from self._fill()
        most = AT_ONCE if self._left is None else min(AT_ONCE, self._left)
        chosen = [self._ready[at] for at in range(min(most, len(self._ready)))]
        yield from self._reader.fetch(chosen)
        found = [self._reader.tuple(each) for each in chosen]
        self._took(chosen)
        yield from indexes.prolong_if_due(self._reader)
        return found

    def _fill(self) -> RedisFlow[None]:
        if self._query.ns is None:
            groups, self._scan.done = (yield from everything(self._reader)), True
        else:
            groups = yield from self._scan.next()
        self.gone = not self._reader.sid
        opened = [self._reader.opened(group) for group in groups if group.record is not None]
        admitted = [each for each in opened if self._query.admits(each) and not self._listed(each)]
        self._ready.extend(sorted(admitted, key=_order, reverse=True))

    def _listed(self, found: Opened) -> bool:
        return self._last is not None and _order(found) >= self._last

    def _took(self, chosen: list[Opened]) -> None:
        for _ in chosen:
            self._last = _order(self._ready.popleft())
        if self._left is not None:
            self._left -= len(chosen)
        self.done = self._left == 0 or (self._scan.done and not self._ready)


def _order(found: Opened) -> tuple[str, str]:
    return found.record.owner.id, found.record.owner.ns


class AllThreads:
    """Checkpoints of every thread of the tenant, thread by thread."""

    def __init__(self, store: Store, codec: Codec, query: Query, limit: int | None) -> None:
        self.done = limit == 0
        self._store, self._codec, self._query, self._left = store, codec, query, limit
        self._cursor: bytes | None = b"0"
        self._threads: deque[str] = deque()
        self._seen: set[str] = set()
        self._gone: list[bytes] = []
        self._current: ThreadListing | None = None

    def page(self) -> RedisFlow[list[CheckpointTuple]]:
        if self._current is None:
            yield from self._next_thread()
        if self._current is None:
            return []
        found = yield from self._current.page()
        if self._left is not None:
            self._left -= len(found)
        if self._current.gone:
            self._gone.append(self._threads[0].encode())
        if self._current.done:
            self._threads.popleft()
            self._current = None
        self.done = self._left == 0
        return found

    def _next_thread(self) -> RedisFlow[None]:
        if not self._threads and self._cursor is not None:
            yield from self._more_threads()
        if self._threads:
            self._current = ThreadListing(self._store, self._codec, self._threads[0], self._query, self._left)
        elif self._cursor is None:
            if self._gone:
                yield [self._forget()]
            self.done = True

    def _forget(self) -> Command:
        return (FORGET, 1, self._store.keys.threads, A_DAY, *self._gone)

    def _more_threads(self) -> RedisFlow[None]:
        registry = self._store.keys.threads
        forget = [self._forget()] if self._gone else []
        *_, (cursor, found) = yield Pipelined([*forget, ("ZSCAN", registry, self._cursor, "COUNT", PAGE)])
        self._gone = []
        self._cursor = None if cursor in (b"0", 0) else cursor
        for thread in (member.decode() for member in found[::2]):
            if thread not in self._seen:
                self._seen.add(thread)
                self._threads.append(thread)
