"""Delete threads and runs, and prune: what goes takes with it what only it named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import Node, kept_by_latest
from langgraph_guard.checkpoint.redis import identities, indexes
from langgraph_guard.checkpoint.redis.fetched import merged
from langgraph_guard.checkpoint.redis.layout import Range, group_span, logged, record_span
from langgraph_guard.checkpoint.redis.reading import ATTEMPTS, Changed, Opened, Reader, blobs_of
from langgraph_guard.checkpoint.redis.scanning import everything
from langgraph_guard.checkpoint.redis.scripts import COLLECT, DROP
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import StoreRefused

AT_ONCE: Final = 1_000
"""Checkpoints that one call of the script removes."""

Choose = Callable[[list[Opened]], list[Opened]]
"""Which of a thread's checkpoints go."""


def delete_thread(store: Store, codec: Codec, thread: str) -> RedisFlow[None]:
    """Remove all of a thread. What cannot be read goes as well; the indexes of its runs may then still name it."""
    store.memory.forget(thread)
    keys = store.keys.thread(thread)
    runs = yield from indexes.runs_of(store, codec, thread)
    if store.link.atomic_across_slots:
        named = [store.keys.threads, *map(store.keys.run, sorted(runs))]
        yield [(DROP, len(keys) + len(named), *keys, *named, thread.encode())]
    else:
        # A writer might come between, so its name in the registry stays; there, lists tidy up.
        yield [("UNLINK", *keys)]
        yield from indexes.forget(store, codec, thread, runs)


def delete_for_runs(store: Store, codec: Codec, runs: Sequence[str]) -> RedisFlow[None]:
    """Remove the checkpoints that these runs wrote, with their writes, in every thread and namespace."""
    for run in runs:
        index = store.keys.run(run)
        (threads,) = yield [("SMEMBERS", index)]
        yield from _collect_from(store, codec, run, threads)
        if threads:
            yield [("SREM", index, *threads)]
            # A writer of the run may have come between; who comes now is indexed anew.
            yield from _collect_from(store, codec, run, threads)


def _collect_from(store: Store, codec: Codec, run: str, threads: Iterable[bytes]) -> RedisFlow[None]:
    for thread in sorted(member.decode() for member in threads):
        yield from collect(store, codec, thread, partial(_of_run, run))


def prune(store: Store, codec: Codec, thread: str) -> RedisFlow[None]:
    """Keep the newest checkpoint of each namespace, and what its delta channels are rebuilt from."""
    yield from collect(store, codec, thread, _not_latest)


def _of_run(run: str, found: list[Opened]) -> list[Opened]:
    return [each for each in found if each.record.run == run]


def _not_latest(found: list[Opened]) -> list[Opened]:
    kept = kept_by_latest(map(_node, found))
    return [each for each in found if each.record.owner.id not in kept.get(each.record.owner.ns, ())]


def _node(found: Opened) -> Node:
    owner, metadata = found.record.owner, found.metadata
    return Node(
        owner.ns,
        owner.id,
        found.record.parent,
        found.core.get("channel_versions", ()),
        found.refs,
        metadata.get("counters_since_delta_snapshot") or (),
        (metadata.get("parents") or {}).get(""),
    )


def collect(store: Store, codec: Codec, thread: str, choose: Choose) -> RedisFlow[None]:
    """Remove what `choose` says. A writer that comes between makes it look again; what it wrote stays whole."""
    store = replace(store, refresh_on_read=False)  # to clean up is not to use
    for _ in range(ATTEMPTS):
        try:
            if (yield from _collected(Reader(store, codec, thread), choose)):
                return
        except Changed:
            continue
    raise StoreRefused("redis", "prune", f"the thread was written to {ATTEMPTS} times meanwhile")


def _collected(reader: Reader, choose: Choose) -> RedisFlow[bool]:
    """Whether nothing is left to remove."""
    groups = yield from everything(reader)
    found = [reader.opened(group) for group in groups if group.record is not None]
    gone = choose(found)
    if not gone:
        return True
    names, end = yield from reader.inventory()
    early = [write for group in groups if group.record is None for write in reader.writes(group)]
    removal = Removal.of(found, gone[:AT_ONCE], set(blobs_of(early)), names, end)
    done = yield from _remove(reader, removal)
    return done and len(gone) <= AT_ONCE


def _remove(reader: Reader, removal: Removal) -> RedisFlow[bool]:
    """Whether nobody came between."""
    store, together = reader.store, reader.store.link.atomic_across_slots
    keys = [*reader.keys, *(map(store.keys.run, removal.runs) if together else ())]
    seen = (reader.sid, reader.gen, reader.commits, reader.thread.encode())
    members = [_without_parent(reader.codec, each) for each in removal.cut]
    (done,) = yield [(COLLECT, len(keys), *keys, *seen, *removal.arguments(members))]
    if done and not together:
        yield from indexes.forget(store, reader.codec, reader.thread, removal.runs)
    return bool(done)


def _without_parent(codec: Codec, found: Opened) -> bytes:
    """The stored form of a checkpoint whose parent goes: its path begins there."""
    before = found.record
    record = replace(before, parent=None)
    body = codec.unwrap(before.body, identities.of_record(codec, before), "a checkpoint's record")
    return record.with_body(codec.wrap(body, identities.of_record(codec, record))).member()


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes from a thread. `cut`: checkpoints that stay and whose parents go. `runs`: those that have none left."""

    gone: list[Opened]
    cut: list[Opened]
    first: int
    empty: list[int]
    blobs: list[str]
    runs: list[str]

    @classmethod
    def of(
        cls, found: list[Opened], gone: list[Opened], early: Collection[str], names: Iterable[str], end: int
    ) -> Removal:
        """`early`: blobs of writes whose checkpoint is not stored yet. `names`: all blobs. `end`: of the log."""
        ids = {(each.record.owner.ns, each.record.owner.id) for each in gone}
        stays = [each for each in found if (each.record.owner.ns, each.record.owner.id) not in ids]
        ranges = merged(each for stay in stays for each in logged(stay.refs.values()))
        first = ranges[0][0] if ranges else end
        named = {*early, *(name for stay in stays for name in stay.plan.blobs)}
        return cls(
            gone,
            [each for each in stays if (each.record.owner.ns, each.record.parent) in ids],
            first,
            _between(ranges, end),
            [name for name in names if name not in named],
            sorted(_runs(gone) - _runs(stays)),
        )

    def arguments(self, members: list[bytes]) -> list[bytes | str | int]:
        """For the script."""
        spans = [group_span(each.record.owner.ns, each.record.owner.id) for each in self.gone]
        spans += [record_span(each.record.owner.ns, each.record.owner.id) for each in self.cut]
        lows_and_highs = [bound for span in spans for bound in span]
        return [
            self.first,
            len(spans),
            *lows_and_highs,
            len(members),
            *members,
            len(self.empty),
            *self.empty,
            *self.blobs,
        ]


def _runs(found: Iterable[Opened]) -> set[str]:
    return {each.record.run for each in found if each.record.run is not None}


def _between(kept: list[Range], end: int) -> list[int]:
    """Places behind the first that is kept, and in none of the ranges."""
    found: list[int] = []
    for (start, n), (follower, _) in pairwise([*kept, (end, 0)]):
        found += range(start + n, follower)
    return found
