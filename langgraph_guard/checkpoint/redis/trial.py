"""Every command that the saver needs, tried for real: on a scratch thread among its own keys, which is gone afterwards.

It is one transaction, so nobody sees the scratch thread. When that is refused, each command is tried by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from langgraph_guard._redis import errors
from langgraph_guard._redis.scripts import Script
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
from langgraph_guard.errors import StoreError, StoreRefused

A_MINUTE: Final = 60_000
"""Milliseconds after which the scratch keys go by themselves, should their removal be what is refused."""

_NOTHING: Final = Script("nothing", "return 1")


@dataclass(frozen=True, slots=True)
class Refusals:
    """What of it the server refuses. Names are an ACL's: `zadd`, `script|load`."""

    forbidden: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    keys: bool = False
    """Whether the keys themselves are out of bounds."""

    def __bool__(self) -> bool:
        return bool(self.forbidden or self.unknown or self.keys)


def permissions(store: Store, thread: str, now: int) -> RedisFlow[Refusals]:
    """Which commands are refused, tried on a scratch `thread`. `now`: the server's clock in ms."""
    commands = _commands(store, thread, now + A_MINUTE)
    refused: list[Refusal] = []
    try:
        yield commands
    except StoreRefused as error:
        if not is_about_permission(error):
            raise
        refused = yield from _one_by_one(commands)
        refused += yield from _transactions(store, thread)
    # On its own: what it is given is no dump, and only who may restore is told so.
    if store.link.is_cluster:
        refused += yield from _one_by_one([("RESTORE", store.keys.thread(thread).blobs, 0, b"", "REPLACE")])
    if refused:
        yield from _clear(store, thread)
    return _sorted_out(refused)


def scripts(store: Store, thread: str) -> RedisFlow[bool]:
    """Whether the scripts do on a scratch `thread` what they should."""
    # The key says which server of a Cluster is meant.
    loads: list[Command] = [("SCRIPT", "LOAD", script.source) for script in _SCRIPTS]
    try:
        yield [("EXISTS", store.keys.thread(thread).meta), *loads]
        (committed, *_), (written, *_), *others = yield _scripts(store, thread)
    except StoreError as error:
        yield from _clear(store, thread)
        if isinstance(error, StoreRefused) and _code(error) not in _IN_THE_WAY:
            return False
        raise
    if committed == written == b"ok" and others == [1] * len(others):
        return True
    yield from _clear(store, thread)
    return False


_SCRIPTS: Final = (COMMIT, WRITE, TOUCH, INDEXED, ADOPT, COLLECT, DROP, INDEX, REGISTER, FORGET)


def _commands(store: Store, thread: str, soon: int) -> list[Command]:
    """In an order in which each finds what it needs, and leaves nothing."""
    meta, entries, log, blobs = store.keys.thread(thread)
    index = store.keys.run(thread)
    copied: list[Command] = [("DUMP", log)] if store.link.is_cluster else [("COPY", log, blobs)]
    return [
        ("TIME",),
        ("SCRIPT", "LOAD", _NOTHING.source),
        (_NOTHING, 1, meta),
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


# Piece by piece


def _one_by_one(commands: Sequence[Command]) -> RedisFlow[list[Refusal]]:
    refused: list[Refusal] = []
    for command in commands:
        name = _acl_name(command)
        if name == "evalsha" and any(each.name == "script|load" for each in refused):
            continue  # it would be refused for the same reason
        try:
            yield [command]
        except StoreRefused as error:
            if is_about_permission(error):
                refused.append(Refusal(name, error))
            elif _code(error) in _IN_THE_WAY:
                raise
    return refused


def _transactions(store: Store, thread: str) -> RedisFlow[list[Refusal]]:
    """Whether several commands may be one."""
    try:
        yield [("EXISTS", store.keys.thread(thread).meta)] * 2
    except StoreRefused as error:
        return [Refusal(name, error) for name in ("multi", "exec") if f"'{name}'" in _said(error).lower()]
    return []


def _clear(store: Store, thread: str) -> RedisFlow[None]:
    for command in (("UNLINK", *store.keys.thread(thread)), ("UNLINK", store.keys.run(thread))):
        try:
            yield [command]
        except StoreError:
            continue  # what was refused a moment ago: the keys are empty, or expire


def _acl_name(command: Command) -> str:
    name, *arguments = command
    if isinstance(name, Script):
        return "evalsha"
    return f"{name}|{arguments[0]}".lower() if name == "SCRIPT" else str(name).lower()


# Why

_IN_THE_WAY: Final = ("OOM", "READONLY", "MISCONF", "NOREPLICAS")
"""Whatever else a command says is of no interest: the one that should have prepared things was refused."""


class Refusal(NamedTuple):
    """A command that was refused."""

    name: str
    error: StoreRefused


def _sorted_out(refused: Sequence[Refusal]) -> Refusals:
    of_keys = [each for each in refused if re.search(r"\bkeys?\b", _said(each.error))]
    others = [each for each in refused if each not in of_keys]
    unknown = dict.fromkeys(each.name for each in others if _code(each.error) == "UNKNOWN")
    forbidden = dict.fromkeys(each.name for each in others if each.name not in unknown)
    return Refusals(tuple(forbidden), tuple(unknown), keys=bool(of_keys))


def is_about_permission(error: StoreRefused) -> bool:
    return _code(error) in ("NOPERM", "UNKNOWN")


def _code(error: StoreRefused) -> str:
    # EXEC, when it is what is forbidden: "EXECABORT Transaction discarded because of: NOPERM …"
    return "NOPERM" if "NOPERM" in _said(error) else errors.code(error.__cause__ or error)


def _said(error: StoreRefused) -> str:
    return str(error.__cause__ or "")
