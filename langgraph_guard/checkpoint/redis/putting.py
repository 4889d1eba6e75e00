"""Put a checkpoint: what is new, in one trip, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from zlib import crc32

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, get_checkpoint_metadata
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis import identities, indexes
from langgraph_guard.checkpoint.redis.elements import Matching
from langgraph_guard.checkpoint.redis.layout import (
    LIST,
    SNAPSHOT,
    Body,
    InLog,
    Owner,
    Record,
    Ref,
    incomplete,
    settled,
    wrong_version,
)
from langgraph_guard.checkpoint.redis.memory import Known, Seen, plan_of
from langgraph_guard.checkpoint.redis.reading import Changed, Reader
from langgraph_guard.checkpoint.redis.scripts import COMMIT
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store, new_storage_id
from langgraph_guard.errors import CheckpointTooLarge, StoreRefused

INLINE: Final = 256
"""Bytes of a value that travels in its record."""

THROUGH_SCRIPT: Final = 16_384
"""Bytes that the script may copy. More than that goes ahead of it, by plain commands of the same transaction."""

PER_COMMAND: Final = 1_000

ATTEMPTS: Final = 16


def put(
    store: Store,
    codec: Codec,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> RedisFlow[RunnableConfig]:
    thread, ns, id = ids.thread_id(config), ids.namespace(config), ids.check_checkpoint_id(checkpoint["id"])
    draft = Draft(
        codec,
        Owner(store.keys.tenant, thread, ns, id),
        ids.checkpoint_id(config),
        checkpoint,
        dict(get_checkpoint_metadata(config, metadata)),
        new_versions,
        store.strict or _saves_at_exit(config),
    )
    for _ in range(ATTEMPTS):
        if draft.leans_on_parent(store.memory.of(thread)):
            yield from _learn_parent(store, draft)
        commit = Commit(store, draft, store.memory.of(thread))
        code, sid, gen, off, base, version, *due = (yield commit.batch())[-1]
        check_thread(code, version)
        if code == b"ok":
            commit.remember(store.memory.storage(thread, sid, gen, off), base)
            store.memory.trim(thread)
            if due == [1]:
                yield from indexes.prolong(store, codec, thread)
            return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}
        commit.refused(code, sid, gen, off, base)
    raise StoreRefused("redis", "put", f"other writers of the thread were first {ATTEMPTS} times")


def _learn_parent(store: Store, draft: Draft) -> RedisFlow[None]:
    """A snapshot of a delta channel is put once, and counts for every checkpoint that names its version. Who puts after
    one that another process put, and only listed it, has to look."""
    assert draft.parent is not None
    with suppress(Changed):  # what was collected meanwhile, the script will say
        yield from Reader(store, draft.codec, draft.owner.thread).learn(draft.owner.ns, draft.parent)


@dataclass(slots=True)
class Draft:
    """What is to be put. `thorough`: nothing tells which elements were edited, so each is serialized and compared."""

    codec: Codec
    owner: Owner
    parent: str | None
    checkpoint: Checkpoint
    metadata: dict[str, Any]
    new_versions: ChannelVersions
    thorough: bool
    told: bytes = field(init=False)

    def __post_init__(self) -> None:
        core = {name: value for name, value in self.checkpoint.items() if name != "channel_values"}
        self.told = self.codec.dump([core, self.metadata])

    def leans_on_parent(self, known: Known | None) -> bool:
        """Whether values that are not here may stand beside the parent, and this process does not know where."""
        values = self.checkpoint["channel_values"]
        elsewhere = any(channel not in values and channel not in self.new_versions for channel in self.versions)
        if self.parent is None or not elsewhere:
            return False
        return known is None or not known.seen(self.owner.ns).knows(self.parent)

    @property
    def versions(self) -> Mapping[str, Any]:
        return self.checkpoint["channel_versions"]

    @property
    def draw(self) -> float:
        """A number from 0 to 1, by chance, and the same at each attempt to put this checkpoint."""
        return crc32(self.owner.id.encode()) / 2**32

    @property
    def run(self) -> str | None:
        run = self.metadata.get("run_id")
        return run if isinstance(run, str) else None


class Commit:
    """A draft beside what is known of its thread: references to what is there, and what has to be sent."""

    def __init__(self, store: Store, draft: Draft, known: Known | None) -> None:
        self._store = store
        self._draft = draft
        self._known = known
        self._keys = store.keys.thread(draft.owner.thread)
        self._seen = known.seen(draft.owner.ns) if known else Seen()
        self._returned = list(known.returned.get(draft.owner.ns, ())) if known else []
        self._sid = known.sid if known else new_storage_id()
        self._end = known.end if known else 0
        self._new: list[bytes] = []
        self._blobs: dict[str, bytes] = {}
        self._lists: dict[str, Matching] = {}
        self._refs = dict(self._places())

    # Where each value is, or will be

    def _places(self) -> Iterator[tuple[str, Ref]]:
        values, versions, new = self._draft.checkpoint["channel_values"], self._draft.versions, self._draft.new_versions
        for channel, value in values.items():
            carried = None if channel in new else self._carried(channel, versions)
            yield channel, self._stored(channel, value) if carried is None else carried
        for channel in versions:
            if channel not in values and channel not in new:
                carried = self._carried(channel, versions)
                if carried is not None:
                    yield channel, carried

    def _carried(self, channel: str, versions: Mapping[str, Any]) -> Ref | None:
        return self._seen.ref(self._draft.parent, channel, versions[channel]) if channel in versions else None

    def _stored(self, channel: str, value: Any) -> Ref:
        if isinstance(value, _DeltaSnapshot) and _goes_to_log(value.value):
            return self._logged(channel, SNAPSHOT, value.value)
        return self._logged(channel, LIST, value) if _goes_to_log(value) else self._whole(channel, value)

    def _logged(self, channel: str, kind: int, value: list[Any]) -> InLog:
        known = self._known.kept(self._draft.owner.ns, channel) if self._known else []
        again = None if self._draft.thorough else {id(each) for each in self._returned}
        matching = Matching(value, known, partial(dump, self._draft.codec, channel), self._new)
        matching.run(again)
        matching.join(self._draft.draw)
        self._lists[channel] = matching
        return InLog(kind, matching.ranges)

    def _whole(self, channel: str, value: Any) -> Ref:
        data = dump(self._draft.codec, channel, value)
        if len(data) <= INLINE:
            return data
        name = identities.blob_name(self._draft.codec, self._sid, data)
        if name not in self._seen.plan.blobs:
            self._blobs[name] = data
        return name

    # What is sent

    def batch(self) -> list[Command]:
        codec = self._draft.codec
        wrap = codec.wrap
        elements = [
            wrap(data, identities.of_element(codec, self._sid, self._end + at)) for at, data in enumerate(self._new)
        ]
        blobs = {name: wrap(data, identities.of_blob(codec, self._sid, name)) for name, data in self._blobs.items()}
        if fits_script([*elements, *blobs.values()]):
            return [*self._registration(), self._command(0, elements, blobs)]
        ahead = filling(self._keys.log, self._keys.blobs, elements, blobs)
        return [*self._registration(), *ahead, self._command(len(elements), [], {})]

    def _registration(self) -> Iterator[Command]:
        """Ahead, and outside the thread's slot: the registries may name too many threads, never too few."""
        owner, run = self._draft.owner, self._draft.run
        if self._known is None:
            yield self._store.register(owner.thread)
        if run is not None and (self._known is None or run not in self._known.runs):
            yield self._store.index(run, owner.thread)

    def _command(self, pushed: int, elements: list[bytes], blobs: dict[str, bytes]) -> Command:
        gen = self._known.gen if self._known else ""
        end = self._end if self._draft.codec.sealed else ""
        stay = "" if self._draft.run is None else self._store.stay
        terms = ("0" if self._known else "1", self._sid, gen, end, self._store.ttl, pushed, stay)
        filled = (each for blob in blobs.items() for each in blob)
        return (COMMIT, 4, *self._keys, *terms, *self._record(), len(elements), *elements, *filled)

    def _record(self) -> tuple[bytes, bytes]:
        draft = self._draft
        record = Record(draft.owner, draft.parent, draft.run, b"")
        # The base stands beside the sealed body: what is sealed does not count from it.
        refs = settled(self._refs, self._end) if draft.codec.sealed else self._refs
        body = Body(draft.told, refs).pack()
        return record.key, record.with_body(draft.codec.wrap(body, identities.of_record(draft.codec, record))).pack()

    # What follows

    def refused(self, code: bytes, sid: bytes, gen: bytes, off: int, base: int) -> None:
        """Learn why, so that the next commit fits."""
        memory, thread, known = self._store.memory, self._draft.owner.thread, self._known
        if code != b"moved" or known is None or (known.sid, known.gen) != (sid, gen):
            memory.forget(thread)
        if code == b"moved" and sid:
            memory.storage(thread, sid, gen, off).end = base

    def remember(self, known: Known, base: int) -> None:
        draft, versions = self._draft, self._draft.versions
        refs = settled(self._refs, base)
        placed = {channel: (versions.get(channel), ref) for channel, ref in refs.items()}
        before = self._seen if known is self._known else Seen()
        stored = {channel: kept for channel, kept in before.stored.items() if channel in refs}
        stored |= {channel: matching.kept(base) for channel, matching in self._lists.items()}
        recent = before.after(draft.owner.id, placed)
        known.remember(draft.owner.ns, Seen(recent, stored, before.loaded, plan_of(refs)))
        known.end = base + len(self._new)
        if draft.run is not None:
            known.runs.add(draft.run)
        if self._returned:
            taken = set(map(id, self._returned))
            later = [each for each in known.returned.get(draft.owner.ns, ()) if id(each) not in taken]
            known.returned[draft.owner.ns] = later


def dump(codec: Codec, channel: str, value: Any) -> bytes:
    """`value` serialized; what is wrong with it is said of its channel."""
    try:
        return codec.dump(value, f"channel {channel!r}")
    except CheckpointTooLarge as error:
        raise CheckpointTooLarge(error.limit, error.size, ((channel, error.size),)) from None


def check_thread(code: bytes, version: bytes) -> None:
    """Raise if a script refused a thread because its format is not ours, or not all of it is there."""
    if code == b"version":
        raise wrong_version(version)
    if code == b"broken":
        raise incomplete()


def _goes_to_log(value: Any) -> bool:
    """Whether a value is a list whose elements are stored one by one. Numbers are not worth a place each."""
    return type(value) is list and any(not isinstance(each, int | float | None) for each in value)


def _saves_at_exit(config: RunnableConfig) -> bool:
    """Whether nodes' results come without writes of their own, so that nothing tells what they returned."""
    return config["configurable"].get("__pregel_durability") == "exit"


def fits_script(parts: list[bytes]) -> bool:
    return sum(map(len, parts)) <= THROUGH_SCRIPT


def filling(log: str, key: str, elements: list[bytes], blobs: dict[str, bytes]) -> Iterator[Command]:
    """Plain commands that put elements and blobs in their place."""
    for start in range(0, len(elements), PER_COMMAND):
        yield ("RPUSH", log, *elements[start : start + PER_COMMAND])
    for name, data in blobs.items():
        yield ("HSET", key, name, data)
