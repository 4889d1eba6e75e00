"""What the values hold: a checkpoint whole, or the writes of one call, as text.

    1.<base64 of msgpack [thread, ns, body]>

Text, because many values are read by one request only if they are text. `thread` and `ns` are the names that the key
may hold as digests; a reader compares. The body is msgpack, and compressed or sealed as the codec does it:

    checkpoint   [parent, told, {channel: value, …}]      told: the checkpoint without its values, and the metadata
    writes       [task, path, [[index, channel, value], …]]

What seals is bound to the whole key, so no value can stand in for another.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import ormsgpack
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint

from langgraph_guard.checkpoint.cloudflare.layout import Place, Space
from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.history import Write
from langgraph_guard.checkpoint.core.seal import identity
from langgraph_guard.errors import CheckpointTooLarge, CorruptCheckpoint

LONGEST_VALUE: Final = 26_214_400
"""Characters of a value: 25 MiB. Base64 leaves three quarters of them to what is stored."""

NAMED: Final = 3
"""Channels that an error about size names."""

A_CHECKPOINT: Final = "a checkpoint"
A_WRITE: Final = "a pending write"

_FORMAT: Final = "1."


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a value is, by name."""

    thread: str
    ns: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A checkpoint or the writes of a call, serialized. `sizes`: bytes by channel."""

    owner: Owner
    body: bytes
    sizes: Mapping[str, int]

    def text(self, codec: Codec, key: str) -> str:
        """The value of `key`; one that no value can hold is refused before anything is sent."""
        text = _text(self.owner, codec.wrap(self.body, _bound(codec, key)))
        if len(text) > LONGEST_VALUE:
            largest = sorted(self.sizes.items(), key=lambda each: each[1], reverse=True)[:NAMED]
            raise CheckpointTooLarge(LONGEST_VALUE, len(text), tuple(largest))
        return text


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as it is read; its channels' values are decoded when they are asked for."""

    owner: Owner
    id: str
    parent: str | None
    core: dict[str, Any]
    metadata: dict[str, Any]
    values: Mapping[str, bytes]

    def checkpoint(self, codec: Codec) -> Checkpoint:
        values = dict(zip(self.values, codec.load([*self.values.values()], "a channel's value"), strict=True))
        return cast(Checkpoint, {**self.core, "channel_values": values})


@dataclass(frozen=True, slots=True)
class Calls:
    """The writes of one call as they are read. `values` are serialized."""

    task: str
    path: str
    writes: Sequence[tuple[int, str, bytes]]


# Writing


def draft_checkpoint(
    codec: Codec, owner: Owner, parent: str | None, checkpoint: Checkpoint, metadata: Mapping[str, Any]
) -> Draft:
    core = {name: value for name, value in checkpoint.items() if name != "channel_values"}
    told = codec.dump([core, dict(metadata)], A_CHECKPOINT)
    values = {channel: _dump(codec, channel, value) for channel, value in checkpoint["channel_values"].items()}
    return Draft(owner, ormsgpack.packb([parent, told, values]), {name: len(data) for name, data in values.items()})


def draft_writes(codec: Codec, owner: Owner, task: str, path: str, writes: Sequence[tuple[str, Any]]) -> Draft:
    dumped = [
        (WRITES_IDX_MAP.get(channel, at), channel, _dump(codec, channel, value))
        for at, (channel, value) in enumerate(writes)
    ]
    sizes: dict[str, int] = {}
    for _, channel, data in dumped:
        sizes[channel] = sizes.get(channel, 0) + len(data)
    return Draft(owner, ormsgpack.packb([task, path, dumped]), sizes)


def moved(codec: Codec, text: str, key: str, thread: str, target: str) -> str:
    """The same contents as the value of another key, of another thread."""
    owner, body = _opened(codec, text, key)
    return _text(Owner(thread, owner.ns), codec.wrap(body, _bound(codec, target)))


def cut(codec: Codec, text: str, key: str, target: str) -> str:
    """The same checkpoint as the value of another key, without its parent."""
    owner, body = _opened(codec, text, key)
    _, told, values = _unpacked(body, A_CHECKPOINT, 3)
    return _text(owner, codec.wrap(ormsgpack.packb([None, told, values]), _bound(codec, target)))


def _dump(codec: Codec, channel: str, value: Any) -> bytes:
    """`value` serialized; what is wrong with it is said of its channel."""
    ids.check_channel(channel)
    try:
        return codec.dump(value, f"channel {channel!r}")
    except CheckpointTooLarge as error:
        raise CheckpointTooLarge(error.limit, error.size, ((channel, error.size),)) from None


def _text(owner: Owner, body: bytes) -> str:
    return _FORMAT + b64encode(ormsgpack.packb([owner.thread, owner.ns, body])).decode()


def _bound(codec: Codec, key: str) -> bytes:
    return identity("workers kv", key) if codec.sealed else b""


# Reading


def read_checkpoint(codec: Codec, text: str, key: str, place: Place) -> Stored:
    owner, body = _owned(codec, text, key, place.space)
    match _unpacked(body, A_CHECKPOINT, 3):
        case [str() | None as parent, bytes(told), dict(values)] if _hold(values, str, bytes):
            match codec.load([told], A_CHECKPOINT)[0]:
                case [dict(core), dict(metadata)]:
                    return Stored(owner, place.id, parent, core, metadata, values)
    raise CorruptCheckpoint(A_CHECKPOINT, "is not put together as checkpoints are")


def read_calls(codec: Codec, text: str, key: str, place: Place) -> Calls:
    _, body = _owned(codec, text, key, place.space)
    match _unpacked(body, A_WRITE, 3):
        case [str(task), str(path), list(writes)] if all(map(_is_write, writes)):
            return Calls(task, path, [(idx, channel, data) for idx, channel, data in writes])
    raise CorruptCheckpoint(A_WRITE, "is not put together as writes are")


def writes_of(codec: Codec, calls: Iterable[Calls], channels: Iterable[str] | None = None) -> list[Write]:
    """What the calls of one checkpoint left, in order of the calls; of `channels` alone, if they are given.

    Of an ordinary write the first stays, for its task's siblings may have been told of it; of a special one the last.
    """
    kept: dict[tuple[str, int], tuple[Calls, str, bytes]] = {}
    for call in calls:
        for idx, channel, data in call.writes:
            if idx < 0 or (call.task, idx) not in kept:
                kept[call.task, idx] = call, channel, data
    wanted = None if channels is None else frozenset(channels)
    left = [(idx, *each) for (_, idx), each in kept.items() if wanted is None or each[1] in wanted]
    values = codec.load([data for *_, data in left], A_WRITE)
    return [
        Write(call.path, call.task, idx, channel, value)
        for (idx, call, channel, _), value in zip(left, values, strict=True)
    ]


def _is_write(found: Any) -> bool:
    match found:
        case [int(), str(), bytes()]:
            return True
    return False


def _hold(found: dict[Any, Any], key: type, value: type) -> bool:
    return all(isinstance(each, key) for each in found) and all(isinstance(each, value) for each in found.values())


def _owned(codec: Codec, text: str, key: str, space: Space) -> tuple[Owner, bytes]:
    owner, body = _opened(codec, text, key)
    if Space.of(owner.thread, owner.ns) != space:
        raise CorruptCheckpoint("a value", "belongs to another thread or namespace")
    return owner, body


def _opened(codec: Codec, text: str, key: str) -> tuple[Owner, bytes]:
    if not text.startswith(_FORMAT):
        raise CorruptCheckpoint("a value", "has a format that this release does not know")
    try:
        data = b64decode(text[len(_FORMAT) :], validate=True)
    except binascii.Error as error:
        raise CorruptCheckpoint("a value", "is damaged: it is not base64") from error
    thread, ns, body = _unpacked(data, "a value", 3)
    if not (isinstance(thread, str) and isinstance(ns, str) and isinstance(body, bytes)):
        raise CorruptCheckpoint("a value", "is not put together as values are")
    return Owner(thread, ns), codec.unwrap(body, _bound(codec, key), "a value")


def _unpacked(data: bytes, where: str, length: int) -> list[Any]:
    try:
        found = ormsgpack.unpackb(data)
    except ormsgpack.MsgpackDecodeError as error:
        raise CorruptCheckpoint(where, "is damaged: it is no whole msgpack value") from error
    if not isinstance(found, list) or len(found) != length:
        raise CorruptCheckpoint(where, "is not put together as it should be")
    return found
