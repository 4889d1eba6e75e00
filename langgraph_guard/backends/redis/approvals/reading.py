"""What is read as it lies there and judged here, by the rules themselves; and by whose clock."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from langgraph_guard._redis import Batch
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.keys import APPROVAL, EXECUTION, Keyspace
from langgraph_guard.policies.approval.commands import RETENTION, Approval
from langgraph_guard.policies.outbox import RETENTION as KEPT
from langgraph_guard.policies.outbox import Doubt, EffectKey, Execution, doubt

Result = TypeVar("Result")
Asking: TypeAlias = Generator[Batch, list[Any], Result]


class Times:
    """What time it is: the server's, unless the program has a clock of its own."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock

    def told(self) -> str:
        """What scripts are told; empty for the server's."""
        return "" if self._clock is None else repr(float(self._clock.now()))

    def ask(self) -> Batch:
        """What to send ahead of what is read and judged here."""
        return [("TIME",)] if self._clock is None else []

    def answered(self, replies: list[Any]) -> tuple[float, list[Any]]:
        """The time, and the other replies."""
        if self._clock is not None:
            return self._clock.now(), replies
        (seconds, micros), *rest = replies
        return int(seconds) + int(micros) / 1e6, rest


def read_approvals(keys: Keyspace, ids: Iterable[str]) -> Batch:
    return [("HMGET", keys.approval(id), *APPROVAL) for id in ids]


def known_approvals(replies: Iterable[Any], now: float) -> list[Approval | None]:
    """Requests as they were written; `None` for those that nobody knows, or that were closed too long ago."""
    found = map(wire.approval, replies)
    return [None if each is None or _is_forgotten(each, now) else each for each in found]


def read_execution(keys: Keyspace, key: EffectKey) -> Batch:
    return [("HMGET", keys.execution(key), *EXECUTION)]


def known_execution(replies: Sequence[Any], now: float) -> Execution | None:
    found = wire.execution(replies[0])
    ended = found is not None and found.state in ("done", "failed")
    return None if found is None or (ended and found.at + KEPT <= now) else found


def read_begun(keys: Keyspace, hashes: Iterable[str]) -> Batch:
    return [("HMGET", keys.execution_at(each), *EXECUTION, "thread", "call_id", "digest") for each in hashes]


def known_doubts(tenant: str, replies: Iterable[Any], now: float) -> list[Doubt]:
    """Those that are in doubt."""
    found = [_doubt(tenant, *values, now=now) for values in replies]
    return [each for each in found if each is not None]


def _doubt(tenant: str, *values: Any, now: float) -> Doubt | None:
    execution = wire.execution(values[: len(EXECUTION)])
    if execution is None:
        return None
    return doubt(EffectKey(tenant, *wire.words(values[len(EXECUTION) :])), execution, now)


def _is_forgotten(approval: Approval, now: float) -> bool:
    closed = approval.at if approval.decided_at is None else approval.decided_at
    return not approval.is_open and closed + RETENTION <= now
