"""When a service that fails is left alone, and how it is tried again. After resilience4j's circuit breaker.

    stateDiagram-v2
        [*] --> closed
        closed --> open: failure_rate, slow_call_rate, rate_limited
        open --> half_open: wait_is_over
        half_open --> open: failure_rate, slow_call_rate, rate_limited
        half_open --> closed: probes_succeeded, reset
        closed --> forced_open: forced_open
        open --> forced_open: forced_open
        half_open --> forced_open: forced_open
        closed --> closed: reset
        open --> closed: reset
        forced_open --> closed: reset

A closed circuit lets every call through and counts how they end. An open one refuses them until its time is over; then
it is half-open, lets a few through, each on a lease, and decides by them. Every change begins a generation: what was
admitted in one counts in no other, so a call that hung for an hour cannot close a circuit, or open it.

settings    when it opens, and for how long
circuit     a circuit as a value, and the table above
rules       what a circuit becomes: pure functions of it, its settings and the time
commands    what can be said to a registry of circuits, and what it answers
"""

from langgraph_guard.policies.breaker.circuit import (
    CANCELLED,
    FAILURE,
    FRESH,
    IGNORED,
    SLOW,
    SUCCESS,
    TRANSITIONS,
    Bucket,
    Change,
    Circuit,
    Event,
    Lease,
    Outcome,
    State,
    change,
    diagram,
    rate_limited,
)
from langgraph_guard.policies.breaker.commands import (
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reply,
    Reset,
    Status,
)
from langgraph_guard.policies.breaker.rules import admit, force_open, peek, record, reset
from langgraph_guard.policies.breaker.settings import BreakerSettings

__all__ = [
    "CANCELLED",
    "FAILURE",
    "FRESH",
    "IGNORED",
    "SLOW",
    "SUCCESS",
    "TRANSITIONS",
    "Admit",
    "Admitted",
    "Audit",
    "AuditRecord",
    "BreakerSettings",
    "Bucket",
    "Change",
    "Circuit",
    "CircuitKey",
    "Command",
    "Event",
    "ForceOpen",
    "Lease",
    "Outcome",
    "Peek",
    "Record",
    "Refused",
    "Reply",
    "Reset",
    "State",
    "Status",
    "admit",
    "change",
    "diagram",
    "force_open",
    "peek",
    "rate_limited",
    "record",
    "reset",
]
