"""How requests and executions lie in Redis: the format, version 1. `{…}` is the hash slot of one tenant.

    {lgg:desk:<tenant>}:h         HASH  the end of the chain of deeds: v (the format's version), number, hash
    {lgg:desk:<tenant>}:d         LIST  the newest 10,000 deeds, each as what was hashed, and its hash
    {lgg:desk:<tenant>}:o         ZSET  open requests, score 0: "instant id", two zero bytes, "expires thread"
    {lgg:desk:<tenant>}:b         ZSET  executions that have not ended, score 0: "end of the lease, hash"
    {lgg:desk:<tenant>}:a:<id>    HASH  a request: v, and the fields of `Approval`; a closed one goes after 30 days
    {lgg:desk:<tenant>}:e:<hash>  HASH  an execution: v, and the fields of `Execution`, and thread, call_id, digest; an
                                        ended one goes after 30 days

Lists, and deeds, are words with their length in bytes before each: `3:ada2:bo`. `requirement` is JSON. Instants are
seconds since 1970, to the last bit of a double; in the two sets with 9 decimals. What there is none of is empty.
`swept`, in a request that a sweep closed, is that command's mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple, Self

from langgraph_guard._redis.keys import part
from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.approval.commands import Approval
from langgraph_guard.policies.outbox import EffectKey, Execution

VERSION: Final = b"1"

APPROVAL: Final = ("v", *Approval._fields)
EXECUTION: Final = ("v", *Execution._fields)
"""The fields of their hashes, in the order in which scripts tell them."""

to_text: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Keyspace(NamedTuple):
    """A tenant's keys."""

    tag: str
    head: str
    deeds: str
    open: str
    begun: str

    def approval(self, id: str) -> str:
        return f"{self.tag}:a:{part(id, 'approval id')}"

    def execution(self, key: EffectKey) -> str:
        return self.execution_at(hashed("effect", *key))

    def execution_at(self, end: str) -> str:
        return f"{self.tag}:e:{end}"

    @classmethod
    def at(cls, tag: str) -> Self:
        return cls(tag, f"{tag}:h", f"{tag}:d", f"{tag}:o", f"{tag}:b")


@lru_cache(maxsize=4_096)
def keyspace(prefix: str, tenant: str) -> Keyspace:
    return Keyspace.at(f"{{{prefix}:desk:{part(tenant, 'tenant')}}}")


# Lists


def framed(words: Iterable[str]) -> bytes:
    """Words as one text that no other words have."""
    datas = [word.encode() for word in words]
    return b"".join(b"%d:%b" % (len(data), data) for data in datas)


def unframed(text: bytes) -> list[str]:
    words, at = [], 0
    while at < len(text):
        colon = text.index(b":", at)
        at = colon + 1 + int(text[at:colon])
        words.append(text[colon + 1 : at].decode())
    return words


# Open requests


class Place(NamedTuple):
    """What is known of an open request without reading it."""

    member: bytes
    id: str
    expires_at: float | None
    thread: str

    @classmethod
    def of(cls, member: bytes) -> Place:
        _, _, rest = member.partition(b" ")
        id, _, last = rest.partition(b"\0\0")
        expires, _, thread = last.partition(b" ")
        return cls(member, id.replace(b"\0\1", b"\0").decode(), float(expires) if expires else None, thread.decode())


def beyond(at: float, id: str) -> bytes:
    """The bound behind which the open requests are that come after this one."""
    return b"(%026.9f %b\0\0\xff" % (at, id.encode().replace(b"\0", b"\0\1"))
