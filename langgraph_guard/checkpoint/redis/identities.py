"""What sealed bytes are bound to: whose they are, so that none can stand in for another. Without a seal, nothing."""

from __future__ import annotations

from hashlib import blake2b

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.seal import identity
from langgraph_guard.checkpoint.redis.layout import Record, StoredWrite


def of_element(codec: Codec, sid: bytes, index: int) -> bytes:
    """Of an element: the storage and its index there, which travel with a copy of the thread."""
    return identity("element", sid, index) if codec.sealed else b""


def of_blob(codec: Codec, sid: bytes, name: str) -> bytes:
    return identity("blob", sid, name) if codec.sealed else b""


def of_record(codec: Codec, record: Record) -> bytes:
    if not codec.sealed:
        return b""
    owner = record.owner
    return identity("record", owner.tenant, owner.thread, owner.ns, owner.id, record.parent or "", record.run or "")


def of_write(codec: Codec, write: StoredWrite) -> bytes:
    if not codec.sealed:
        return b""
    owner = write.owner
    named = (owner.tenant, owner.thread, owner.ns, owner.id)
    return identity("write", *named, write.task, write.idx, write.channel, write.path)


def of_big_write(codec: Codec, sid: bytes, write: StoredWrite) -> bytes:
    """Of a write whose value is a blob: its place in the storage, which travels with a copy of the thread."""
    if not codec.sealed:
        return b""
    place = (write.owner.ns, write.owner.id, write.task, write.idx, write.channel, write.path)
    return identity("big write", sid, *place)


def blob_name(codec: Codec, sid: bytes, data: bytes) -> str:
    """A blob is named by its content, so that equal ones are stored once.

    With a seal, by the key and the storage too: one that was sealed for another storage must not take its place.
    """
    name = blake2b(sid if codec.sealed else b"", digest_size=16, key=codec.name_key)
    name.update(data)
    return name.hexdigest()
