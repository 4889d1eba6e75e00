"""Copy a thread: what is big is copied by the server, what says whose it is is written anew."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from langgraph_guard._redis import Pipelined
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis import identities, indexes
from langgraph_guard.checkpoint.redis.layout import ThreadKeys
from langgraph_guard.checkpoint.redis.reading import ATTEMPTS, Changed, Group, Reader
from langgraph_guard.checkpoint.redis.scanning import everything
from langgraph_guard.checkpoint.redis.scripts import ADOPT
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store
from langgraph_guard.errors import StoreRefused

ANOTHER: Final = "the target holds another thread already"


def copy_thread(store: Store, codec: Codec, source: str, target: str) -> RedisFlow[None]:
    """Copy all namespaces, checkpoints and writes. The target must be empty; an unknown source leaves it so."""
    for _ in range(ATTEMPTS):
        try:
            if (yield from _copied(store, codec, source, target)):
                return
        except Changed:
            continue
    raise StoreRefused("redis", "copy_thread", f"the source was rewritten {ATTEMPTS} times meanwhile")


def _copied(store: Store, codec: Codec, source: str, target: str) -> RedisFlow[bool]:
    reader = Reader(store, codec, source)
    groups = yield from everything(reader)
    yield from indexes.prolong_if_due(reader)
    if not reader.sid:
        return True
    theirs, ours = store.keys.thread(source), store.keys.thread(target)
    (occupied,) = yield [("EXISTS", *ours)]
    if occupied:
        raise StoreRefused("redis", "copy_thread", ANOTHER)
    members = [member for group in groups for member in _moved(reader, group, target)]
    runs = {reader.record(group.record).run for group in groups if group.record is not None} - {None}
    known = [store.register(target), *(store.index(run, target) for run in sorted(filter(None, runs)))]
    terms = (reader.sid, int.from_bytes(os.urandom(6)), reader.off, store.ttl, store.stay if runs else "")
    adopt = (ADOPT, 4, *ours, *terms, *members)
    if store.link.atomic_across_slots:
        *_, done = yield [*known, *_copies(theirs, ours), adopt]
    else:
        done = yield from _adopted([*known, *(yield from _carried(theirs, ours)), adopt], reader, ours)
    if not done:
        raise StoreRefused("redis", "copy_thread", ANOTHER)
    return (yield from _still(reader, ours))


def _copies(theirs: ThreadKeys, ours: ThreadKeys) -> list[Command]:
    return [("COPY", theirs.log, ours.log), ("COPY", theirs.blobs, ours.blobs)]


def _adopted(batch: list[Command], reader: Reader, ours: ThreadKeys) -> RedisFlow[bool]:
    """Whether the target is ours. What is there already may be another's, or our own of before an answer was lost."""
    try:
        *_, done = yield batch
    except StoreRefused:
        (sid,) = yield [("HGET", ours.meta, "sid")]
        if sid is None:
            raise
        done = sid == reader.sid
    return bool(done)


def _carried(theirs: ThreadKeys, ours: ThreadKeys) -> RedisFlow[list[Command]]:
    """A Cluster may keep the two threads on two servers, so the contents travel."""
    dumps = yield Pipelined([("DUMP", theirs.log), ("DUMP", theirs.blobs)])
    places = (ours.log, ours.blobs)
    return [("RESTORE", key, 0, dump) for key, dump in zip(places, dumps, strict=True) if dump is not None]


def _moved(reader: Reader, group: Group, target: str) -> list[bytes]:
    """A checkpoint and its writes, as the target's own."""
    members = []
    if group.record is not None:
        record = reader.record(group.record)
        moved = record.moved_to(target)
        body = reader.codec.unwrap(record.body, identities.of_record(reader.codec, record), "a checkpoint's record")
        members.append(moved.with_body(reader.codec.wrap(body, identities.of_record(reader.codec, moved))).member())
    for write in reader.writes(group):
        moved_write = write.moved_to(target)
        if isinstance(write.value, bytes):
            value = reader.codec.unwrap(write.value, identities.of_write(reader.codec, write), "a pending write")
            moved_write = replace(
                moved_write, value=reader.codec.wrap(value, identities.of_write(reader.codec, moved_write))
            )
        members.append(moved_write.member())
    return members


def _still(reader: Reader, ours: ThreadKeys) -> RedisFlow[bool]:
    """Whether nothing was collected from the source while it was copied; else the copy goes, to be made again."""
    try:
        yield from reader.same()
    except Changed:
        yield [("UNLINK", *ours)]
        raise
    return True
