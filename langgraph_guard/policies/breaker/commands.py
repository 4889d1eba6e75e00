"""What can be said to a registry of circuits, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from langgraph_guard.policies.breaker.circuit import Change, Event, Outcome, State
from langgraph_guard.policies.breaker.settings import BreakerSettings


class CircuitKey(NamedTuple):
    """Whose circuit it is: a tenant's, of one breaker, for one tool, host or model."""

    tenant: str
    breaker: str
    key: str


# Commands. What every call sends is a tuple, which is three times as quick to make as a frozen dataclass.


class Admit(NamedTuple):
    """May a call be made? `permit` is the call's own id; the same id again has the same place."""

    key: CircuitKey
    settings: BreakerSettings
    permit: str


class Record(NamedTuple):
    """How the call `permit` ended, which `generation` admitted. `chance`: from 0 to 1, for the jitter."""

    key: CircuitKey
    settings: BreakerSettings
    permit: str
    generation: int
    outcome: Outcome
    duration_ms: int = 0
    chance: float = 0.5


@dataclass(frozen=True, slots=True)
class Peek:
    """How circuits stand, in order. Takes nothing and changes nothing."""

    keys: tuple[CircuitKey, ...]
    settings: BreakerSettings


@dataclass(frozen=True, slots=True)
class ForceOpen:
    """Refuse every call until a `Reset`. Who did it and why goes to the audit record."""

    key: CircuitKey
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the circuit and empty its window. Who did it and why goes to the audit record."""

    key: CircuitKey
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What people did to a circuit, oldest first."""

    key: CircuitKey


Command: TypeAlias = Admit | Record | Peek | ForceOpen | Reset | Audit

# Replies


class Admitted(NamedTuple):
    """The call may be made. `probe`: on its result depends whether others may follow."""

    generation: int
    probe: bool = False
    change: Change | None = None


class Refused(NamedTuple):
    """The call may not be made. It is worth another try at `retry_at_ms`, in `wait_ms`; `None` when nobody knows."""

    state: State
    retry_at_ms: int | None
    wait_ms: int | None

    @property
    def retry_after(self) -> float | None:
        """Seconds until another try."""
        return None if self.wait_ms is None else self.wait_ms / 1_000


class Status(NamedTuple):
    """How a circuit stands. `admits`: whether a call would be let through now; if not, `retry_at_ms` says when.

    `calls`, `failures` and `slow` are of the window, or of the probes so far; `opened` counts openings in a row.
    """

    state: State
    admits: bool
    retry_at_ms: int | None = None
    wait_ms: int | None = None
    since_ms: int = 0
    reason: Event | None = None
    generation: int = 0
    opened: int = 0
    calls: int = 0
    failures: int = 0
    slow: int = 0

    @property
    def failure_rate(self) -> float | None:
        """The share of failures; `None` before the first call."""
        return self.failures / self.calls if self.calls else None


class AuditRecord(NamedTuple):
    """One thing that a person did to a circuit, and the state it was in before."""

    at_ms: int
    action: Literal["force_open", "reset"]
    by: str
    reason: str
    before: State


Reply: TypeAlias = Admitted | Refused | Change | tuple[Status, ...] | tuple[AuditRecord, ...] | None
"""To `Admit` one of the first two; to `Record`, `ForceOpen` and `Reset` the change that they made, if they made one."""
