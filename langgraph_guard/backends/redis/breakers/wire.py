"""How circuits lie in Redis, and what their scripts are told and answer. The format, version 1.

    lgg:{tenant.breaker.key}:circuit   STRING  a circuit as JSON: v, state, generation, reason, since, retry_at, opened,
                                               buckets [[number, calls, failures, slow], …], leases [[permit, ends], …],
                                               marks (of the last results), by (the mark of its last change), before
    lgg:{tenant.breaker.key}:audit     LIST    what people did, as JSON: v, at, action, by, reason, before, mark

Instants are milliseconds since 1970. An empty list may stand as `{}`. A circuit that nothing is known of has no key.
The parts of a name are encoded by `_redis/keys.py`, so no name reaches another's circuit. The hash tag is the circuit's
own: on a Cluster busy circuits are spread over the servers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from langgraph_guard._redis import Script, load_script, part
from langgraph_guard.errors import StoreRefused
from langgraph_guard.policies.breaker import (
    Admit,
    Admitted,
    AuditRecord,
    BreakerSettings,
    Change,
    CircuitKey,
    ForceOpen,
    Outcome,
    Peek,
    Record,
    Refused,
    Reset,
    Status,
)
from langgraph_guard.policies.breaker.settings import BUCKETS

MOMENT: Final = 1_000
"""Milliseconds for which a closed circuit is kept past its window."""

RETENTION: Final = 3_600_000
"""And for so long when it was open once, or when it lives by another clock than the server that forgets it."""


def _script(name: str, *before: str) -> Script:
    package = "langgraph_guard.backends.redis"
    return Script(name, "".join(load_script(package, f"lua/breaker/{each}").source for each in (*before, name)))


ADMIT: Final = _script("admit", "circuit")
RECORD: Final = _script("record", "circuit")
PEEK: Final = _script("peek", "circuit")
FORCE_OPEN: Final = _script("force_open", "circuit", "note")
RESET: Final = _script("reset", "circuit", "note")


class Keys(NamedTuple):
    """Where a circuit is, and what people did to it."""

    circuit: str
    audit: str


@lru_cache(4_096)
def keys(prefix: str, key: CircuitKey) -> Keys:
    tag = f"{prefix}:{{{'.'.join(map(_part, key))}}}:"
    return Keys(f"{tag}circuit", f"{tag}audit")


class Time(NamedTuple):
    """When a command is sent: the caller's time in ms, empty for the server's; and the command's own mark."""

    now: int | str
    mark: str

    def kept(self, settings: BreakerSettings | None) -> int:
        """Milliseconds for which a closed circuit says anything: as long as its window, and a moment."""
        window = BUCKETS * settings.figures.bucket_ms if settings else 0
        return window + MOMENT + (0 if self.now == "" else RETENTION)


# What the scripts are told


def admit(found: Keys, time: Time, command: Admit) -> tuple[Any, ...]:
    figures = command.settings.figures
    told = (_part(command.permit), figures.permitted, figures.lease_ms, time.kept(command.settings))
    return (ADMIT, 1, found.circuit, *time, *told)


def record(found: Keys, time: Time, command: Record) -> tuple[Any, ...]:
    figures, outcome = command.settings.figures, command.outcome
    slow = figures.slow_ms is not None and command.duration_ms >= figures.slow_ms
    ended = (
        _part(command.permit),
        command.generation,
        outcome.kind,
        int(slow or outcome.kind == "slow"),
        _asked(outcome, figures.max_wait_ms),
        int(command.chance * 1_000),
    )
    rules = (
        time.kept(command.settings),
        figures.failure_rate,
        figures.slow_rate,
        figures.minimum,
        figures.bucket_ms,
        figures.wait_ms,
        figures.backoff,
        figures.max_wait_ms,
        figures.jitter,
        figures.permitted,
    )
    return (RECORD, 1, found.circuit, *time, *ended, *rules)


def peek(circuits: Sequence[str], time: Time, command: Peek) -> tuple[Any, ...]:
    figures = command.settings.figures
    return (PEEK, len(circuits), *circuits, time.now, figures.permitted, figures.bucket_ms)


def by_hand(found: Keys, time: Time, command: ForceOpen | Reset) -> tuple[Any, ...]:
    script = FORCE_OPEN if isinstance(command, ForceOpen) else RESET
    return (script, 2, *found, *time, _bytes(command.by), _bytes(command.reason), time.kept(None))


# What they answer


class Standing(NamedTuple):
    """How a circuit stands after a command, and what that changed."""

    state: str
    generation: int
    change: Change | None = None


def admitted(reply: list[Any]) -> Admitted | Refused:
    match reply:
        case [1, generation, probe, changed]:
            change = Change("open", "half_open", "wait_is_over") if changed else None
            return Admitted(generation, bool(probe), change)
        case [0, state, at, wait]:
            return Refused(_word(state), at, wait)
    raise _strange("admit")


def standing(reply: list[Any]) -> Standing:
    state, generation, *change = reply
    if not change:
        return Standing(_word(state), generation)
    before, reason, retry_at = change
    return Standing(_word(state), generation, Change(_word(before), _word(state), _word(reason), int(retry_at) or None))


def status(reply: list[Any]) -> Status:
    state, admits, at, wait, since, reason, *figures = reply
    return Status(_word(state), bool(admits), at, wait, since, _word(reason) or None, *figures)


def audit_record(found: bytes) -> AuditRecord:
    try:
        said = json.loads(found.decode("utf-8", "surrogatepass"))
        return AuditRecord(said["at"], said["action"], said["by"], said["reason"], said["before"])
    except (ValueError, LookupError, TypeError) as error:
        raise StoreRefused("redis", "audit", "a record of what people did is not what was written") from error


def _asked(outcome: Outcome, longest: int) -> int | str:
    asked = outcome.retry_after_ms
    return "" if asked is None else min(max(0, asked), longest)


@lru_cache(4_096)
def _part(text: str) -> str:
    """Names are a model's too: half of a surrogate pair, which no key can hold, must not end a run."""
    try:
        return part(text)
    except ValueError:
        return f"s{sha256(_bytes(text)).hexdigest()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _word(word: bytes) -> Any:
    return word.decode()


def _strange(operation: str) -> StoreRefused:
    return StoreRefused("redis", operation, "it answered something else than its script does")
