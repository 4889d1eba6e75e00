"""Every command that the backend needs, tried for real on scratch keys, which are gone afterwards."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

from langgraph_guard._redis import trial
from langgraph_guard._redis.trial import A_MINUTE, NOTHING, RedisFlow, Refusals
from langgraph_guard.backends.redis.approvals import trial as approvals
from langgraph_guard.backends.redis.approvals.keys import Keyspace
from langgraph_guard.backends.redis.breakers import wire
from langgraph_guard.policies.breaker import (
    FAILURE,
    Admit,
    Admitted,
    BreakerSettings,
    Change,
    CircuitKey,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reset,
)


class Scratch(NamedTuple):
    """Scratch keys, named as the ledger's, the circuits' and the desk's are, all in one slot of a Cluster."""

    owner: str
    leases: str
    circuit: wire.Keys
    desk: Keyspace

    @classmethod
    def of(cls, prefix: str, name: str) -> Self:
        tag = f"{{{prefix}:{name}}}"
        circuit = wire.Keys(f"{prefix}:{tag}:circuit", f"{prefix}:{tag}:audit")
        return cls(f"{tag}:m", f"{tag}:x", circuit, Keyspace.at(tag))


def permissions(scratch: Scratch) -> RedisFlow[Refusals]:
    """Which commands are refused."""
    return (yield from trial.refusals(_commands(scratch), ("GET", scratch.owner), _clearing(scratch)))


def scripts(scratch: Scratch) -> RedisFlow[bool]:
    """Whether the scripts of a circuit and of a desk do what the rules do."""
    found: list[Any] = []
    for command in _life(scratch.circuit):
        replies = yield from trial.answers([command], _clearing(scratch))
        if replies is None:
            return False
        found += replies
    approved = yield from trial.answers(approvals.life(scratch.desk), _clearing(scratch))
    yield from trial.clear(_clearing(scratch))
    return approved is not None and _is_as_expected(found) and approvals.is_as_expected(approved)


def _commands(scratch: Scratch) -> list[tuple[Any, ...]]:
    """In an order in which each finds what it needs, and leaves nothing."""
    owner, leases, (circuit, audit), _ = scratch
    return [
        ("SET", circuit, "1", "PX", A_MINUTE),
        ("GET", circuit),
        ("MGET", circuit),
        ("TIME",),
        ("SCRIPT", "LOAD", NOTHING.source),
        (NOTHING, 1, circuit),
        ("RPUSH", audit, "a"),
        ("PERSIST", audit),
        ("PEXPIRE", audit, A_MINUTE),
        ("PTTL", audit),
        ("LLEN", audit),
        ("LINDEX", audit, -1),
        ("LRANGE", audit, 0, -1),
        ("LTRIM", audit, 1, 0),
        ("HSET", owner, "a", 1),
        ("PEXPIRE", owner, A_MINUTE),
        ("HMGET", owner, "a"),
        ("HGETALL", owner),
        ("HDEL", owner, "a"),
        ("ZADD", leases, 0, "a"),
        ("PEXPIRE", leases, A_MINUTE),
        ("ZCARD", leases),
        ("ZRANGEBYLEX", leases, "-", "+"),
        ("ZRANGEBYSCORE", leases, "-inf", "+inf"),
        ("ZREM", leases, "a"),
        ("DEL", circuit),
    ]


def _clearing(scratch: Scratch) -> list[tuple[Any, ...]]:
    owner, leases, (circuit, audit), desk = scratch
    by_itself = [("LTRIM", audit, 1, 0), ("HDEL", owner, "a"), ("ZREM", leases, "a")]
    return [("DEL", circuit, audit, owner, leases, *approvals.keys_of(desk)), *by_itself, ("PEXPIRE", circuit, 0)]


# A circuit's life

_KEY: Final = CircuitKey("", "", "")
_SETTINGS: Final = BreakerSettings(minimum_number_of_calls=2, jitter=0)
_NOW: Final = 1_767_225_600_000
_RETRY_AT: Final = _NOW + _SETTINGS.figures.wait_ms


def _life(keys: wire.Keys) -> list[tuple[Any, ...]]:
    """A call is let through, two fail, the next one is refused, a probe passes; then a person holds it open."""
    now, later = wire.Time(_NOW, "scratch"), wire.Time(_RETRY_AT, "later")
    fail = Record(_KEY, _SETTINGS, "call", 0, FAILURE)
    return [
        wire.admit(keys, now, Admit(_KEY, _SETTINGS, "call")),
        wire.record(keys, now, fail),
        wire.record(keys, wire.Time(_NOW, "again"), fail),
        wire.admit(keys, now, Admit(_KEY, _SETTINGS, "next")),
        wire.admit(keys, later, Admit(_KEY, _SETTINGS, "probe")),
        wire.by_hand(keys, later, ForceOpen(_KEY, "check")),
        wire.peek([keys.circuit], later, Peek((_KEY,), _SETTINGS)),
        wire.by_hand(keys, wire.Time(_RETRY_AT, "last"), Reset(_KEY, "check")),
    ]


def _is_as_expected(found: list[Any]) -> bool:
    opened = Change("closed", "open", "failure_rate", _RETRY_AT)
    half_open = Change("open", "half_open", "wait_is_over")
    first, counted, second, refused, probe, forced, (status,), closed = found
    return (
        wire.admitted(first) == Admitted(0)
        and wire.standing(counted).change is None
        and wire.standing(second).change == opened
        and wire.admitted(refused) == Refused("open", _RETRY_AT, _RETRY_AT - _NOW)
        and wire.admitted(probe) == Admitted(2, True, half_open)
        and wire.standing(forced).change == Change("half_open", "forced_open", "forced_open")
        and wire.status(status)[:3] == ("forced_open", False, None)
        and wire.standing(closed).change == Change("forced_open", "closed", "reset")
    )
