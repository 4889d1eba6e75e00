"""A circuit as a value: its state, what it counted, who tries it out; and the table of how its state may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

State = Literal["closed", "open", "half_open", "forced_open"]
Event = Literal[
    "failure_rate", "slow_call_rate", "rate_limited", "wait_is_over", "probes_succeeded", "forced_open", "reset"
]

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    ("closed", "failure_rate"): "open",
    ("closed", "slow_call_rate"): "open",
    ("closed", "rate_limited"): "open",
    ("open", "wait_is_over"): "half_open",
    ("half_open", "failure_rate"): "open",
    ("half_open", "slow_call_rate"): "open",
    ("half_open", "rate_limited"): "open",
    ("half_open", "probes_succeeded"): "closed",
    ("closed", "forced_open"): "forced_open",
    ("open", "forced_open"): "forced_open",
    ("half_open", "forced_open"): "forced_open",
    ("closed", "reset"): "closed",
    ("open", "reset"): "closed",
    ("half_open", "reset"): "closed",
    ("forced_open", "reset"): "closed",
}
"""What may happen in which state, and where it leads. Nothing else changes a state; every change is a generation."""


class Bucket(NamedTuple):
    """What ended in one part of the window. In a half-open circuit there is one, number 0, for all probes."""

    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class Lease(NamedTuple):
    """A probe's place in a half-open circuit: free again when its time ends."""

    permit: str
    ends_ms: int


class Circuit(NamedTuple):
    """Builtins all the way down, so that a store can keep it. Instants are milliseconds since 1970.

    `reason`: the event that led here. `opened`: how often it opened in a row. `retry_at_ms`: when an open one may be
    tried; 0 in every other state.
    """

    state: State = "closed"
    generation: int = 0
    reason: Event | None = None
    since_ms: int = 0
    retry_at_ms: int = 0
    opened: int = 0
    buckets: tuple[Bucket, ...] = ()
    leases: tuple[Lease, ...] = ()


FRESH: Final = Circuit()
"""The circuit of a key that nothing is known of."""


class Outcome(NamedTuple):
    """How a call ended. `ignored` says nothing of the service, `cancelled` that the call did not end at all.

    `retry_after_ms` of a `rate_limited` one: what the service asked for, if it did.
    """

    kind: Literal["success", "failure", "slow", "ignored", "rate_limited", "cancelled"]
    retry_after_ms: int | None = None


SUCCESS: Final = Outcome("success")
FAILURE: Final = Outcome("failure")
SLOW: Final = Outcome("slow")
IGNORED: Final = Outcome("ignored")
CANCELLED: Final = Outcome("cancelled")


def rate_limited(retry_after: float | None = None) -> Outcome:
    """The service had too many calls. `retry_after`: the seconds that it asked for."""
    usable = retry_after is not None and 0 <= retry_after < float("inf")
    return Outcome("rate_limited", int(retry_after * 1_000) if retry_after is not None and usable else None)


class Change(NamedTuple):
    """That a state became another, and why."""

    before: State
    after: State
    reason: Event
    retry_at_ms: int | None = None


def change(before: Circuit, after: Circuit) -> Change | None:
    """What `after` has that is news to whoever knew `before`."""
    if before.state == after.state or after.reason is None:
        return None
    return Change(before.state, after.state, after.reason, after.retry_at_ms or None)


def diagram() -> str:
    """`TRANSITIONS` as a Mermaid diagram."""
    events: dict[tuple[State, State], list[str]] = {}
    for (state, event), to in TRANSITIONS.items():
        events.setdefault((state, to), []).append(event)
    lines = [f"    {state} --> {to}: {', '.join(names)}" for (state, to), names in events.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> closed", *lines])
