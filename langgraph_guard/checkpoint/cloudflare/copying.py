"""Copy a thread: the values travel as they are, but for whose they are and what they are sealed for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from langgraph_guard.checkpoint.cloudflare.commands import KVFlow, PutMany
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.getting import Waiting
from langgraph_guard.checkpoint.cloudflare.layout import Group, run_of
from langgraph_guard.checkpoint.cloudflare.names import part
from langgraph_guard.checkpoint.cloudflare.putting import index_pair
from langgraph_guard.checkpoint.cloudflare.reading import Missing, batches, values
from langgraph_guard.checkpoint.cloudflare.records import moved
from langgraph_guard.checkpoint.cloudflare.removing import SHORTEST_TTL, delete
from langgraph_guard.checkpoint.cloudflare.scanning import Scan, everything
from langgraph_guard.checkpoint.cloudflare.session import VALUELESS
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Listed, Pair
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.errors import StoreRefused

ANOTHER: Final = "the target holds another thread already"

A_GLANCE: Final = 10
"""Keys; a list may not be shorter."""


def copy_thread(store: Store, codec: Codec, source: str, target: str) -> KVFlow[None]:
    """Copy all namespaces, checkpoints and writes. The target must be empty; an unknown source leaves it so."""
    waiting = Waiting(store)
    yield from _check_empty(store, target)
    while True:
        copied = Copied(store, codec, source, target)
        try:
            return (yield from copied.all())
        except Missing:
            yield from delete(store, copied.written)
            yield [waiting.next(VALUELESS)]
        except Exception:
            yield from delete(store, copied.written)
            raise


def _check_empty(store: Store, target: str) -> KVFlow[None]:
    scan = Scan(store, store.keys.thread(part(target)), A_GLANCE)
    while not scan.done:
        if (yield from scan.next()):
            raise StoreRefused(STORE, "copy_thread", ANOTHER)


class Copied:
    """A copy that is being made, oldest checkpoint first: what there is of it is a thread at any time."""

    def __init__(self, store: Store, codec: Codec, source: str, target: str) -> None:
        self.written: list[str] = []
        self._store, self._codec, self._source, self._target = store, codec, source, target

    def all(self) -> KVFlow[None]:
        groups = yield from everything(self._store, self._store.keys.thread(part(self._source)))
        yield from self._write([*self._index(groups)])
        needed = [each for group in reversed(groups) for each in reversed(group.needed)]
        for batch in batches(needed):
            found = yield from values(self._store, batch)
            if len(found) < len(batch):
                raise Missing
            yield from self._write([self._moved(each, found[each.name]) for each in batch])

    def _write(self, pairs: list[Pair]) -> KVFlow[None]:
        if pairs:
            self.written += [pair.key for pair in pairs]
            yield [PutMany(pairs, self._target)]

    def _index(self, groups: list[Group]) -> Iterator[Pair]:
        found = {(run, group.space) for group in groups for head in group.heads[:1] if (run := run_of(head))}
        for run, space in sorted(found, key=str):
            yield index_pair(self._store, run, type(space)(part(self._target), space.ns))

    def _moved(self, listed: Listed, text: str) -> Pair:
        keys = self._store.keys
        key = keys.thread(part(self._target)) + listed.name.removeprefix(keys.thread(part(self._source)))
        told = moved(self._codec, text, listed.name, self._target, key)
        left = None if listed.expiration is None else int(listed.expiration - self._store.now())
        ttl = self._store.options.ttl if left is None else max(left, SHORTEST_TTL)
        return Pair(key, told, {**(listed.metadata or {}), "s": len(told)}, ttl)
