"""Delete threads and runs, and prune."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from langgraph_guard.checkpoint.cloudflare.commands import DeleteMany, KVFlow, PutMany
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.getting import Waiting
from langgraph_guard.checkpoint.cloudflare.layout import (
    Group,
    Space,
    counts_deltas,
    run_of,
    without_parent,
)
from langgraph_guard.checkpoint.cloudflare.names import part
from langgraph_guard.checkpoint.cloudflare.reading import Missing, Values, head_of, values
from langgraph_guard.checkpoint.cloudflare.records import Stored, cut
from langgraph_guard.checkpoint.cloudflare.scanning import all_keys, everything
from langgraph_guard.checkpoint.cloudflare.session import VALUELESS
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import Node, kept_by_latest
from langgraph_guard.errors import StoreRefused

PER_REQUEST: Final = 10_000
"""Keys of one bulk deletion."""

SHORTEST_TTL: Final = 60
"""Seconds."""


def delete(store: Store, keys: Sequence[str]) -> KVFlow[None]:
    for at in range(0, len(keys), PER_REQUEST):
        some = keys[at : at + PER_REQUEST]
        (undone,) = yield [DeleteMany(some)]
        store.recent.deleted(set(some).difference(undone))
        if undone:
            raise StoreRefused(STORE, "bulk delete", f"{len(undone)} of {len(some)} keys were not deleted")


def delete_thread(store: Store, thread: str) -> KVFlow[None]:
    """Remove all of a thread that is visible, its name in the runs' indexes too."""
    groups = yield from everything(store, store.keys.thread(part(thread)))
    index = {store.keys.indexed(run, group.space) for group in groups for run in _runs([group])}
    store.forget(thread=part(thread))
    yield from delete(store, [*(key for group in groups for key in group.keys), *sorted(index)])


def delete_for_runs(store: Store, runs: Iterable[str]) -> KVFlow[None]:
    """Remove the checkpoints that these runs wrote last, with their writes, in every thread and namespace."""
    for run in map(part, runs):
        index = yield from all_keys(store, store.keys.run(run))
        for key in index:
            groups = yield from everything(store, store.keys.space(store.keys.indexed_space(key, run)))
            gone = [group for group in groups if group.heads and run_of(group.head) == run]
            yield from delete(store, [key for group in gone for key in group.keys])
        store.forget(run=run)
        yield from delete(store, index)


def prune(store: Store, codec: Codec, thread: str) -> KVFlow[None]:
    """Keep the newest checkpoint of each namespace, and what its delta channels are rebuilt from."""
    waiting = Waiting(store)
    while True:
        try:
            return (yield from _pruned(store, codec, part(thread)))
        except Missing:
            yield [waiting.next(VALUELESS)]


def _pruned(store: Store, codec: Codec, thread: str) -> KVFlow[None]:
    groups = [group for group in (yield from everything(store, store.keys.thread(thread))) if group.heads]
    wanted = _to_read(groups)
    texts = yield from values(store, [group.head for group in wanted])
    if len(texts) < len({group.head.name for group in wanted}):
        raise Missing
    stored = {(group.space, group.id): head_of(store, codec, group, texts) for group in wanted}
    kept = kept_by_latest(_node(group, stored.get((group.space, group.id))) for group in groups)
    stays = [group for group in groups if group.id in kept.get(group.space.ns, ())]
    gone = [group for group in groups if group.id not in kept.get(group.space.ns, ())]
    ids = {(group.space, group.id) for group in gone}
    orphans = [group for group in stays if (group.space, stored[group.space, group.id].parent) in ids]
    yield from _rewrite(store, codec, thread, orphans, texts)
    superseded = [head.name for group in stays for head in group.heads[0 if group in orphans else 1 :]]
    unindexed = _runs_by_space(gone) - _runs_by_space(stays)
    for run, _ in unindexed:
        store.forget(run=run)
    index = sorted(store.keys.indexed(run, space) for run, space in unindexed)
    yield from delete(store, [*(key for group in gone for key in group.keys), *superseded, *index])


def _to_read(groups: Collection[Group]) -> list[Group]:
    """The newest of each namespace; all of one that has delta channels."""
    newest: dict[Space, Group] = {}
    for group in groups:
        newest.setdefault(group.space, group)
    delta = {group.space for group in groups if counts_deltas(group.head)}
    return [group for group in groups if group.space in delta or newest[group.space] is group]


def _node(group: Group, stored: Stored | None) -> Node:
    if stored is None:
        return Node(group.space.ns, group.id)
    metadata: dict[str, Any] = stored.metadata
    return Node(
        group.space.ns,
        group.id,
        stored.parent,
        stored.core.get("channel_versions", ()),
        stored.values,
        metadata.get("counters_since_delta_snapshot") or (),
        (metadata.get("parents") or {}).get(""),
    )


def _rewrite(store: Store, codec: Codec, thread: str, groups: Iterable[Group], texts: Values) -> KVFlow[None]:
    """Checkpoints whose parents go begin their path. Their new keys stand before the old, and behind later puts."""
    for group in groups:
        old = group.head
        key = without_parent(old.name)
        text = cut(codec, texts[old.name], old.name, key)
        left = None if old.expiration is None else max(int(old.expiration - store.now()), SHORTEST_TTL)
        yield [PutMany([Pair(key, text, {**(old.metadata or {}), "s": len(text)}, left)], thread)]


def _runs(groups: Iterable[Group]) -> set[str]:
    return {run for group in groups for head in group.heads if (run := run_of(head)) is not None}


def _runs_by_space(groups: Iterable[Group]) -> set[tuple[str, Space]]:
    return {(run, group.space) for group in groups for run in _runs([group])}
