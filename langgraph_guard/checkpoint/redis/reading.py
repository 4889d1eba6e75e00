"""Reads of one thread that belong together, and what they find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    writes_sort_key,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_guard._redis import Pipelined
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis import identities
from langgraph_guard.checkpoint.redis.elements import Kept, loaded
from langgraph_guard.checkpoint.redis.fetched import Fetched, merged
from langgraph_guard.checkpoint.redis.layout import (
    LIST,
    VERSION,
    Entry,
    InLog,
    Range,
    Record,
    Ref,
    Span,
    StoredWrite,
    entry,
    group_span,
    incomplete,
    read_body,
    read_record,
    read_write,
    wrong_version,
)
from langgraph_guard.checkpoint.redis.memory import Known, Plan, Refs, Seen, plan_of
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store
from langgraph_guard.errors import CorruptCheckpoint

ATTEMPTS: Final = 16

A_RECORD: Final = "a checkpoint's record"
A_WRITE: Final = "a pending write"
A_VALUE: Final = "a channel's value"
A_BLOB: Final = "a blob"
AN_ELEMENT: Final = "an element of a list"


class Changed(Exception):
    """The thread was deleted, or something in it collected, while it was read."""


@dataclass(slots=True)
class Group:
    """A checkpoint and its writes, as they stand beside each other."""

    key: bytes
    record: Entry | None = None
    writes: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Opened:
    """A record that was read, and whose body was opened."""

    record: Record
    writes: list[StoredWrite]
    core: dict[str, Any]
    metadata: dict[str, Any]
    refs: dict[str, Ref]

    @property
    def plan(self) -> Plan:
        """What its values and its writes need."""
        plan, named = plan_of(self.refs), blobs_of(self.writes)
        return Plan(plan.ranges, plan.blobs + named) if named else plan


class Reader:
    """Reads of one thread that belong together: every trip sees the same storage, or `Changed` is raised."""

    def __init__(self, store: Store, codec: Codec, thread: str) -> None:
        self.store = store
        self.codec = codec
        self.thread = thread
        self.keys = store.keys.thread(thread)
        self.sid = b""
        self.gen = b""
        self.off = 0
        self.end = 0
        self.commits = b""
        self.ended = False
        """Whether the last read of entries came to the end of its span."""
        self.due = False
        """Whether the indexes of the thread's runs have to be prolonged, now that the thread is."""
        self._began = False
        self._fetched = Fetched(self.keys)
        self._decoded: dict[int, Any] = {}

    # Trips

    def entries(self, span: Span, limit: int | None, guess: str | None = None) -> RedisFlow[list[Group]]:
        """Checkpoints with their writes, newest first. `guess`: the namespace whose values are likely wanted next."""
        paged = () if limit is None else ("LIMIT", 0, limit)
        command = ("ZREVRANGEBYLEX", self.keys.entries, span.high, span.low, *paged)
        known = None if guess is None else self.store.memory.of(self.thread)
        (members,) = yield from self._trip([command], known, guess or "")
        self.ended = limit is None or len(members) < limit
        return grouped(members)

    def inventory(self) -> RedisFlow[tuple[list[str], int]]:
        """The names of all blobs, and where the log ends."""
        length, names = yield from self._read([("LLEN", self.keys.log), ("HKEYS", self.keys.blobs)])
        return [name.decode() for name in names], self.off + length

    def same(self) -> RedisFlow[None]:
        """Raise `Changed` if what was read may be there no longer."""
        yield from self._read([])

    def fetch(self, wanted: Sequence[Opened]) -> RedisFlow[None]:
        """Have all that these need: what is here already is not asked for again."""
        yield from self._fetch(joint_plan(each.plan for each in wanted))

    def fetch_values(self, refs: Mapping[str, Ref], blobs: tuple[str, ...]) -> RedisFlow[None]:
        """Have these values, and these blobs."""
        yield from self._fetch(joint_plan([plan_of(refs), Plan((), blobs)]))

    def _fetch(self, plan: Plan) -> RedisFlow[None]:
        if self._fetched.lacks(plan):
            self._fetched.take((yield from self._read(self._fetched.ask(plan))))

    def _trip(self, commands: list[Command], known: Known | None, ns: str) -> RedisFlow[list[Any]]:
        """`commands` and, beside them, what this process believes to be the values of a namespace's newest."""
        guessed = Fetched(self.keys, known.off) if known else self._fetched
        asked = guessed.ask(known.seen(ns).plan, open_end=True) if known else []
        about: list[Command] = [("EXISTS", self.keys.entries), ("LLEN", self.keys.log)]
        replies = yield from self._read([*commands, *about, *asked, *self.store.touch(self.keys)])
        answers, (there, length, *rest) = replies[: len(commands)], replies[len(commands) :]
        if bool(there) != bool(self.sid):
            raise incomplete()
        self.end = self.off + length
        self.due = self.due or rest[len(asked) :] == [1]
        if known and (self.sid, self.gen) == (known.sid, known.gen):
            guessed.take(rest[: len(asked)])
            self._fetched = guessed
        return answers

    def _read(self, commands: list[Command]) -> RedisFlow[list[Any]]:
        """`commands` in one trip, all on one storage.

        Writers may come between them: they add, so what a checkpoint names is there once the checkpoint is. Who
        removes something changes what stands in the meta key, which is read behind all else.
        """
        first = [] if self._began else [self._meta()]
        *replies, last = yield Pipelined([*first, *commands, self._meta()])
        if first:
            self._check(replies.pop(0))
        self._check(last)
        return replies

    def _meta(self) -> Command:
        return ("HMGET", self.keys.meta, "sid", "gen", "off", "n", "v")

    def _check(self, meta: list[bytes | None]) -> None:
        """Learn which storage this is, or that it is the one that was read before."""
        sid, gen, off, commits, version = meta
        if self._began and (sid, gen) != (self.sid or None, self.gen or None):
            raise Changed
        if sid is not None and version != b"%d" % VERSION:
            raise wrong_version(version)
        if not self._began:
            self._began, self.sid, self.gen, self.off = True, sid or b"", gen or b"", _number(off or b"0")
            self._fetched = Fetched(self.keys, self.off)
        self.commits = self.commits or commits or b""

    # What was read

    def record(self, found: Entry) -> Record:
        return read_record(found, self.store.keys.tenant, self.thread)

    def opened(self, group: Group) -> Opened:
        assert group.record is not None
        record = self.record(group.record)
        packed = self.codec.unwrap(record.body, identities.of_record(self.codec, record), A_RECORD)
        body = read_body(packed, record.base, A_RECORD)
        match self.codec.load([body.told], A_RECORD):
            case [[dict(core), dict(metadata)]] if isinstance(core.get("channel_versions", {}), dict):
                return Opened(record, self.writes(group), core, metadata, body.refs)
        raise CorruptCheckpoint(A_RECORD, "holds no checkpoint with its metadata")

    def writes(self, group: Group) -> list[StoredWrite]:
        found = [read_write(each, self.store.keys.tenant, self.thread) for each in group.writes]
        return sorted(found, key=lambda write: writes_sort_key(write.path, write.task, write.idx))

    def tuple(self, found: Opened, *, remember: bool = False) -> CheckpointTuple:
        values = {channel: self.value(ref) for channel, ref in found.refs.items()}
        if remember:
            self._remember(found, values)
        owner, parent = found.record.owner, found.record.parent
        return CheckpointTuple(
            config=config_of(owner.thread, owner.ns, owner.id),
            checkpoint=cast(Checkpoint, {**found.core, "channel_values": values}),
            metadata=cast(CheckpointMetadata, found.metadata),
            parent_config=config_of(owner.thread, owner.ns, parent) if parent else None,
            pending_writes=[self.pending(write) for write in found.writes],
        )

    def pending(self, write: StoredWrite) -> PendingWrite:
        if isinstance(write.value, str):
            bound = identities.of_big_write(self.codec, self.sid, write)
            return write.task, write.channel, self.codec.unpack(self._fetched.blob(write.value), bound, A_WRITE)
        return (
            write.task,
            write.channel,
            self.codec.unpack(write.value, identities.of_write(self.codec, write), A_WRITE),
        )

    def learn(self, ns: str, id: str) -> RedisFlow[None]:
        """Remember where the values of a checkpoint are, without reading them. One that is gone has none."""
        groups = yield from self.entries(group_span(ns, id), None)
        found = self.opened(groups[0]) if groups and groups[0].record else None
        if self.sid:
            refs = _versioned(found) if found else {}
            known = self.store.memory.storage(self.thread, self.sid, self.gen, self.off)
            before = known.seen(ns)
            known.remember(ns, replace(before, recent=before.after(id, refs)))

    def value(self, ref: Ref) -> Any:
        if isinstance(ref, InLog):
            elements = self._elements(ref.ranges)
            return elements if ref.kind == LIST else _DeltaSnapshot(elements)
        return self._blob(ref) if isinstance(ref, str) else self.codec.load([ref], A_VALUE)[0]

    def _blob(self, name: str) -> Any:
        return self.codec.unpack(self._fetched.blob(name), identities.of_blob(self.codec, self.sid, name), A_BLOB)

    def _elements(self, ranges: Sequence[Range]) -> list[Any]:
        """Elements of the log. Each is decoded once by this reader, however many checkpoints have it."""
        for start, n in merged(ranges):
            if any(at not in self._decoded for at in range(start, start + n)):
                found = self.codec.load(self._dumped(start, n), AN_ELEMENT)
                self._decoded.update(zip(range(start, start + n), found, strict=True))
        return [self._decoded[at] for start, n in ranges for at in range(start, start + n)]

    def _dumped(self, start: int, n: int) -> list[bytes]:
        """Elements as they were before they were compressed and sealed."""
        found = self._fetched.elements([(start, n)])
        if self.codec.is_plain(found):
            return found
        unwrap, sid = self.codec.unwrap, self.sid
        return [
            unwrap(data, identities.of_element(self.codec, sid, at), AN_ELEMENT) for at, data in enumerate(found, start)
        ]

    def _remember(self, found: Opened, values: Mapping[str, Any]) -> None:
        owner = found.record.owner
        known = self.store.memory.storage(self.thread, self.sid, self.gen, self.off)
        known.end = max(known.end, self.end)
        lists = {
            channel: self._kept(ref, values[channel]) for channel, ref in found.refs.items() if isinstance(ref, InLog)
        }
        before = known.seen(owner.ns)
        known.remember(
            owner.ns, Seen(before.after(owner.id, _versioned(found)), before.stored, lists, plan_of(found.refs))
        )
        self.store.memory.trim(self.thread)

    def _kept(self, ref: InLog, value: Any) -> Kept:
        elements = value if ref.kind == LIST else value.value
        stored = [data for start, n in ref.ranges for data in self._dumped(start, n)]
        return loaded(elements, stored, [at for start, n in ref.ranges for at in range(start, start + n)])


def _versioned(found: Opened) -> Refs:
    versions = found.core.get("channel_versions", {})
    return {channel: (versions.get(channel), ref) for channel, ref in found.refs.items()}


def _number(said: bytes) -> int:
    if not said.isdigit():
        raise CorruptCheckpoint("a thread", "does not say where its log begins")
    return int(said)


def grouped(members: Iterable[bytes]) -> list[Group]:
    """Entries that stand together, by checkpoint."""
    groups: list[Group] = []
    for member in members:
        found = entry(member)
        if not groups or groups[-1].key != found.group:
            groups.append(Group(found.group))
        if found.kind == b"c":
            groups[-1].record = found
        else:
            groups[-1].writes.append(found)
    return groups


def blobs_of(writes: Iterable[StoredWrite]) -> tuple[str, ...]:
    return tuple(write.value for write in writes if isinstance(write.value, str))


def joint_plan(plans: Iterable[Plan]) -> Plan:
    every = list(plans)
    ranges = chain.from_iterable(plan.ranges for plan in every)
    return Plan(tuple(ranges), tuple(chain.from_iterable(plan.blobs for plan in every)))


def config_of(thread: str, ns: str, id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}
