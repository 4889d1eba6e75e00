"""How a thread lies in Redis: the format, version 1. Everything that is stored is made and read here.

A thread is four keys in one hash slot, `{…}` being its tenant and id; so it expires, is copied and goes as a whole:

    lgg:{tenant.thread}:m   HASH  v, sid (storage id), gen (collections so far), n (commits), off and end (of the log);
                                        till (ms): until when the runs' indexes are sure to stay, if they expire
    lgg:{tenant.thread}:e   ZSET  every checkpoint and pending write, as an ordered map: score 0, member = key + value
    lgg:{tenant.thread}:l   LIST  the log: each element of each list that was ever in the state, once, or seldom anew
    lgg:{tenant.thread}:b   HASH  blobs: big values, named by their digest

Outside of it, per tenant, each possibly naming more than there is, never less:

    lgg:{tenant}:threads    ZSET  thread ids, by when they were last registered (ms)
    lgg:{tenant}:run:…      SET   thread ids that a run wrote to; expires after the last of them

A key of the ordered map sorts by namespace, then checkpoint id, then kind, so that one range is a namespace, newest
checkpoint last, and a checkpoint stands beside its writes. Ids are escaped so that they sort as text does and no id can
end early (00 → 00 FF, end = 00 01):

    checkpoint   <ns> / <id> 00 01 c                        value  <base> : <record>
    write        <ns> / <id> 00 01 w <task> 00 01 <idx> :   value  <write>

`record` and `write` are msgpack arrays that begin with the version and repeat whose they are: a reader compares. The
body of a record holds the checkpoint without its values, the metadata, and for each channel where its value is:

    bytes                    the value itself, when it is small
    str                      the name of a blob
    [kind, [start, n], …]    ranges of the log: a list (kind 0), or a delta channel's snapshot of one (kind 1)

A start below zero counts from `base`, the log's length when the record was committed: -1 is base, -2 is base + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import ormsgpack

from langgraph_guard._redis.keys import part
from langgraph_guard.errors import CorruptCheckpoint

VERSION: Final = 1

LIST: Final = 0
SNAPSHOT: Final = 1

_END: Final = b"\x00\x01"
_AFTER: Final = b"\x00\x02"

Range: TypeAlias = tuple[int, int]
"""Where elements are in the log: the first's index, and how many."""


class InLog(NamedTuple):
    """A list as ranges of the log."""

    kind: int
    ranges: tuple[Range, ...]


Ref: TypeAlias = bytes | str | InLog
"""Where a channel's value is: here, in a blob, or in the log."""


class ThreadKeys(NamedTuple):
    """The four keys of a thread."""

    meta: str
    entries: str
    log: str
    blobs: str


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The keys of one tenant under one prefix."""

    prefix: str
    tenant: str

    def thread(self, thread: str) -> ThreadKeys:
        return _thread_keys(self.prefix, self.tenant, thread)

    @property
    def threads(self) -> str:
        return f"{self.prefix}:{{{part(self.tenant)}}}:threads"

    def run(self, run: str) -> str:
        return f"{self.prefix}:{{{part(self.tenant)}}}:run:{part(run)}"


@lru_cache(4_096)
def _thread_keys(prefix: str, tenant: str, thread: str) -> ThreadKeys:
    tag = f"{prefix}:{{{part(tenant)}.{part(thread)}}}:"
    return ThreadKeys(tag + "m", tag + "e", tag + "l", tag + "b")


# The ordered map


class Span(NamedTuple):
    """A range of the ordered map, as ZRANGEBYLEX takes it."""

    low: bytes
    high: bytes


def _escaped(text: str) -> bytes:
    return text.encode().replace(b"\x00", b"\x00\xff")


def _of_namespace(ns: str) -> bytes:
    return part(ns).encode() + b"/"


def group_key(ns: str, id: str) -> bytes:
    return _of_namespace(ns) + _escaped(id) + _END


def record_key(ns: str, id: str) -> bytes:
    return group_key(ns, id) + b"c"


def write_key(ns: str, id: str, task: str, idx: int) -> bytes:
    return group_key(ns, id) + b"w" + _escaped(task) + _END + b"%d:" % idx


def group_span(ns: str, id: str) -> Span:
    """One checkpoint and its writes."""
    group = group_key(ns, id)
    return Span(b"[" + group, b"(" + group[:-2] + _AFTER)


def record_span(ns: str, id: str) -> Span:
    """One checkpoint without its writes."""
    key = record_key(ns, id)
    return Span(b"[" + key, b"(" + key + b"\xff")


def namespace_span(ns: str, *, before: str | None = None, upto: str | None = None) -> Span:
    """The checkpoints of a namespace, or those with ids below `before`, or up to and with `upto`."""
    low = _of_namespace(ns)
    if before is not None:
        return Span(b"[" + low, b"(" + group_key(ns, before))
    if upto is not None:
        return Span(b"[" + low, group_span(ns, upto).high)
    return Span(b"[" + low, b"(" + low[:-1] + b"0")  # 0 comes after /


EVERYTHING: Final = Span(b"-", b"+")


class Entry(NamedTuple):
    """A member of the ordered map, taken apart: `group` is what a checkpoint and its writes share."""

    group: bytes
    kind: bytes
    rest: bytes


def entry(member: bytes) -> Entry:
    end = member.find(_END, member.find(b"/") + 1)
    if end < 0:
        raise CorruptCheckpoint("an entry", "has no end of its key")
    cut = end + 2
    return Entry(member[:cut], member[cut : cut + 1], member[cut + 1 :])


# Records


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an entry is; it repeats this, and a reader compares."""

    tenant: str
    thread: str
    ns: str
    id: str


@dataclass(frozen=True, slots=True)
class Record:
    """A stored checkpoint. `body` is packed, and sealed if there is a key; see `Body`."""

    owner: Owner
    parent: str | None
    run: str | None
    body: bytes
    base: int = 0

    @property
    def key(self) -> bytes:
        return record_key(self.owner.ns, self.owner.id)

    def header(self) -> list[Any]:
        owner = self.owner
        return [VERSION, owner.tenant, owner.thread, owner.ns, owner.id, self.parent, self.run]

    def pack(self) -> bytes:
        return ormsgpack.packb([*self.header(), self.body])

    def member(self) -> bytes:
        """The record as it stands in the map once its base is known."""
        return self.key + b"%d:" % self.base + self.pack()

    def with_body(self, body: bytes) -> Record:
        return Record(self.owner, self.parent, self.run, body, self.base)

    def moved_to(self, thread: str) -> Record:
        return replace(self, owner=replace(self.owner, thread=thread))


class Body(NamedTuple):
    """What a record's body holds: the packed checkpoint and metadata, and the values' places."""

    told: bytes
    refs: dict[str, Ref]

    def pack(self) -> bytes:
        return ormsgpack.packb([self.told, {channel: _packed_ref(ref) for channel, ref in self.refs.items()}])


@dataclass(frozen=True, slots=True)
class StoredWrite:
    """A pending write. `value` is packed, or the name of a blob."""

    owner: Owner
    task: str
    idx: int
    channel: str
    path: str
    value: bytes | str

    @property
    def key(self) -> bytes:
        return write_key(self.owner.ns, self.owner.id, self.task, self.idx)

    def pack(self) -> bytes:
        owner = self.owner
        named = [owner.tenant, owner.thread, owner.ns, owner.id]
        return ormsgpack.packb([VERSION, *named, self.task, self.idx, self.channel, self.path, self.value])

    def member(self) -> bytes:
        return self.key + self.pack()

    def moved_to(self, thread: str) -> StoredWrite:
        return replace(self, owner=replace(self.owner, thread=thread))


_RECORD: Final = (int, str, str, str, str, str | None, str | None, bytes)
_WRITE: Final = (int, str, str, str, str, str, int, str, str, bytes | str)


def read_record(found: Entry, tenant: str, thread: str) -> Record:
    base, _, packed = found.rest.partition(b":")
    if not base.isdigit():
        raise CorruptCheckpoint("an entry", "does not say where the log ended")
    _, *named, parent, run, body = _unpacked(packed, _RECORD)
    record = Record(Owner(*named), parent, run, body, int(base))
    return _checked(record, found, found.group + b"c", tenant, thread)


def read_write(found: Entry, tenant: str, thread: str) -> StoredWrite:
    start = found.rest.find(b":", found.rest.find(_END) + 2) + 1
    _, *named, task, idx, channel, path, value = _unpacked(found.rest[start:], _WRITE)
    write = StoredWrite(Owner(*named), task, idx, channel, path, value)
    return _checked(write, found, found.group + b"w" + found.rest[:start], tenant, thread)


def read_body(packed: bytes, base: int, where: str) -> Body:
    """A body as stored, with the starts of its ranges counted from the log's beginning."""
    try:
        match ormsgpack.unpackb(packed):
            case [bytes(told), dict(refs)]:
                return Body(told, {channel: _ref(ref, base) for channel, ref in refs.items()})
            case other:
                raise TypeError(type(other).__name__)
    except (ValueError, TypeError) as error:
        raise CorruptCheckpoint(where, "the body of a record cannot be read") from error


def settled(refs: dict[str, Ref], base: int) -> dict[str, Ref]:
    """References of a record that was just committed at `base`, with every start counted from the log's beginning."""
    return {
        channel: InLog(ref.kind, tuple(_start(each, base) for each in ref.ranges)) if isinstance(ref, InLog) else ref
        for channel, ref in refs.items()
    }


def named_blobs(refs: Iterable[Ref]) -> Iterator[str]:
    return (ref for ref in refs if isinstance(ref, str))


def logged(refs: Iterable[Ref]) -> Iterator[Range]:
    return (each for ref in refs if isinstance(ref, InLog) for each in ref.ranges)


def _packed_ref(ref: Ref) -> Any:
    return [ref.kind, *ref.ranges] if isinstance(ref, InLog) else ref


def _ref(packed: Any, base: int) -> Ref:
    if isinstance(packed, list):
        kind, *ranges = packed
        if kind not in (LIST, SNAPSHOT):
            raise ValueError("no kind of list")
        return InLog(kind, tuple(_start(_range(each), base) for each in ranges))
    if isinstance(packed, bytes | str):
        return packed
    raise TypeError(type(packed).__name__)


def _range(packed: Any) -> Range:
    match packed:
        case [int(start), int(count)] if count >= 0:
            return start, count
    raise TypeError(type(packed).__name__)


def _start(each: Range, base: int) -> Range:
    start, count = each
    return (start, count) if start >= 0 else (base - 1 - start, count)


def _unpacked(packed: bytes, kinds: tuple[Any, ...]) -> list[Any]:
    try:
        found = ormsgpack.unpackb(packed)
    except ValueError as error:
        raise CorruptCheckpoint("an entry", "cannot be read") from error
    if not isinstance(found, list) or not found:
        raise CorruptCheckpoint("an entry", f"is a {type(found).__name__}, not a record")
    if found[0] != VERSION:
        raise CorruptCheckpoint("an entry", f"has format version {found[0]!r}; this release reads {VERSION}")
    if len(found) != len(kinds) or not all(map(isinstance, found, kinds)):
        raise CorruptCheckpoint("an entry", "has other fields than it should")
    return found


def incomplete() -> CorruptCheckpoint:
    """Of a thread that lacks one of its keys, or a part of it: to go on would give wrong answers later."""
    return CorruptCheckpoint("a thread", "is not all there: the server evicted a part of it, or somebody deleted it")


def wrong_version(found: Any) -> CorruptCheckpoint:
    """Of a thread that another release wrote."""
    return CorruptCheckpoint("a thread", f"has format version {found!r}; this release knows {VERSION}")


Stored = TypeVar("Stored", Record, StoredWrite)


def _checked(read: Stored, found: Entry, key: bytes, tenant: str, thread: str) -> Stored:
    """`read`, if it is whose its place says."""
    if (read.owner.tenant, read.owner.thread) != (tenant, thread) or read.key != key:
        raise CorruptCheckpoint("an entry", "says that it belongs to another thread, namespace or checkpoint")
    return read
