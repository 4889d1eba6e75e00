"""Every command that the saver needs, tried for real: on a scratch thread among its own keys, gone afterwards."""

from __future__ import annotations

from typing import Final

from langgraph_guard._redis import trial
from langgraph_guard._redis.trial import A_MINUTE, NOTHING, Refusals
from langgraph_guard.checkpoint.redis.layout import Owner, Record, StoredWrite
from langgraph_guard.checkpoint.redis.scripts import (
    ADOPT,
    COLLECT,
    COMMIT,
    DROP,
    FORGET,
    INDEX,
    INDEXED,
    REGISTER,
    TOUCH,
    WRITE,
)
from langgraph_guard.checkpoint.redis.store import Command, RedisFlow, Store


def permissions(store: Store, thread: str, now: int) -> RedisFlow[Refusals]:
    """Which commands are refused, tried on a scratch `thread`. `now`: the server's clock in ms."""
    keys = store.keys.thread(thread)
    # On its own: what it is given is no dump, and only who may restore is told so.
    alone: list[Command] = [("RESTORE", keys.blobs, 0, b"", "REPLACE")] if store.link.is_cluster else []
    commands = _commands(store, thread, now + A_MINUTE)
    return (yield from trial.refusals(commands, ("EXISTS", keys.meta), _clearing(store, thread), alone))


def scripts(store: Store, thread: str) -> RedisFlow[bool]:
    """Whether the scripts do on a scratch `thread` what they should."""
    # The key says which server of a Cluster is meant.
    loads: list[Command] = [("SCRIPT", "LOAD", script.source) for script in _SCRIPTS]
    prelude = [("EXISTS", store.keys.thread(thread).meta), *loads]
    if (yield from trial.answers(prelude, _clearing(store, thread))) is None:
        return False
    found = yield from trial.answers(_scripts(store, thread), _clearing(store, thread))
    if found is None:
        return False
    (committed, *_), (written, *_), *others = found
    if committed == written == b"ok" and others == [1] * len(others):
        return True
    yield from trial.clear(_clearing(store, thread))
    return False


_SCRIPTS: Final = (COMMIT, WRITE, TOUCH, INDEXED, ADOPT, COLLECT, DROP, INDEX, REGISTER, FORGET)


def _commands(store: Store, thread: str, soon: int) -> list[Command]:
    """In an order in which each finds what it needs, and leaves nothing."""
    meta, entries, log, blobs = store.keys.thread(thread)
    index = store.keys.run(thread)
    copied: list[Command] = [("DUMP", log)] if store.link.is_cluster else [("COPY", log, blobs)]
    return [
        ("TIME",),
        ("SCRIPT", "LOAD", NOTHING.source),
        (NOTHING, 1, meta),
        ("HSET", meta, "v", 1),
        ("PEXPIREAT", meta, soon),
        ("PTTL", meta),
        ("PERSIST", meta),
        ("PEXPIREAT", meta, soon),
        ("EXISTS", meta),
        ("HINCRBY", meta, "n", 1),
        ("HGET", meta, "n"),
        ("HMGET", meta, "n", "v"),
        ("HLEN", meta),
        ("HKEYS", meta),
        ("HDEL", meta, "n", "v"),
        ("ZADD", entries, 0, "a"),
        ("PEXPIREAT", entries, soon),
        ("ZCARD", entries),
        ("ZLEXCOUNT", entries, "-", "+"),
        ("ZREVRANGEBYLEX", entries, "+", "-"),
        ("ZREMRANGEBYLEX", entries, "-", "+"),
        ("RPUSH", log, "a"),
        ("PEXPIREAT", log, soon),
        ("LLEN", log),
        ("LRANGE", log, 0, -1),
        ("LSET", log, 0, ""),
        *copied,
        ("LTRIM", log, 1, 0),
        ("LTRIM", blobs, 1, 0),
        ("UNLINK", meta, entries, log, blobs),
        ("ZADD", index, 0, "a"),
        ("PEXPIREAT", index, soon),
        ("ZSCORE", index, "a"),
        ("ZSCAN", index, 0),
        ("ZREM", index, "a"),
        ("SADD", index, "a"),
        ("PEXPIREAT", index, soon),
        ("SMEMBERS", index),
        ("SREM", index, "a"),
        ("UNLINK", index),
    ]


def _scripts(store: Store, thread: str) -> list[Command]:
    """A thread's life: a checkpoint, writes, a read, what a copy does, and the removal of all that."""
    keys, index = store.keys.thread(thread), store.keys.run(thread)
    owner = Owner(store.keys.tenant, thread, "", "scratch")
    record, write = Record(owner, None, None, b""), StoredWrite(owner, "t", 0, "c", "", b"")
    again = StoredWrite(owner, "t", -1, "c", "", b"")
    said = ("first", write.key, write.pack(), "last", again.key, again.pack())
    soon = 1  # ms for which indexes stay: TOUCH says that they are due
    commits = 3  # so far: what COLLECT is told to expect
    return [
        (COMMIT, 4, *keys, 1, "scratch", "", "", A_MINUTE, 0, soon, record.key, record.pack(), 1, "a", "b", "c"),
        (WRITE, 4, *keys, 0, "scratch", 0, A_MINUTE, *said),
        (TOUCH, 4, *keys, A_MINUTE),
        (INDEXED, 1, keys.meta, "scratch", A_MINUTE),
        (ADOPT, 4, *keys, "scratch", 0, 0, "", "", record.member()),
        (COLLECT, 4, *keys, "scratch", 0, commits, "a", 1, 1, "-", "+", 0, 0),
        (REGISTER, 1, index, "a"),
        (FORGET, 1, index, 0, "a"),
        (INDEX, 1, index, A_MINUTE, "a"),
        (DROP, 6, *([index] * 6), "a"),
    ]


def _clearing(store: Store, thread: str) -> list[Command]:
    return [("UNLINK", *store.keys.thread(thread)), ("UNLINK", store.keys.run(thread))]
