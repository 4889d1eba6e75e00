"""The rules of the breaker: functions of a circuit, its settings and the time. They return what to say and to keep.

A backend runs each inside one atomic step: under a lock, in a transaction, or written again as a server-side script.
So the arithmetic is on integers, whole thousandths of a second and millionths of a share, which every store has.

Where a command is lost on its way and sent again:
- A probe that is admitted again keeps its place. Elsewhere admission takes nothing, so there is nothing to take twice.
- A probe's result counts once: its place is gone with it, and so is the generation when it decided.
- A result in a closed circuit counts as often as it arrives. Who may send twice and cares has to tell them apart.
"""

from __future__ import annotations

from typing import Final

from langgraph_guard.policies.breaker.circuit import FRESH, TRANSITIONS, Bucket, Circuit, Event, Lease, Outcome
from langgraph_guard.policies.breaker.commands import Admitted, Refused, Status
from langgraph_guard.policies.breaker.settings import BUCKETS, MILLION, BreakerSettings, Figures

MOMENT_MS: Final = 1_000
"""By so much a clock may be corrected without anything being made of it."""


def admit(circuit: Circuit, settings: BreakerSettings, now_ms: int, permit: str) -> tuple[Admitted | Refused, Circuit]:
    """Whether a call may be made, and the circuit after that. `permit` is the call's own id."""
    if circuit.state == "closed":
        return Admitted(circuit.generation), circuit
    circuit = _as_of(circuit, settings.figures, now_ms)
    if circuit.state == "half_open":
        if any(lease.permit == permit for lease in circuit.leases):
            return Admitted(circuit.generation, probe=True), circuit
        if _free(circuit, settings.figures) > 0:
            lease = Lease(permit, now_ms + settings.figures.lease_ms)
            return Admitted(circuit.generation, probe=True), circuit._replace(leases=(*circuit.leases, lease))
    retry_at = _retry_at(circuit)
    return Refused(circuit.state, retry_at, None if retry_at is None else max(0, retry_at - now_ms)), circuit


def record(
    circuit: Circuit,
    settings: BreakerSettings,
    now_ms: int,
    permit: tuple[str, int],
    outcome: Outcome,
    duration_ms: int,
    chance: float,
) -> Circuit:
    """The circuit after a call ended. `permit`: its id, and the generation that admitted it.

    A result of another generation changes nothing, nor does a probe's whose lease has ended. `chance`, from 0 to 1,
    is where within the jitter the open time falls.
    """
    if permit[1] != circuit.generation or circuit.state not in ("closed", "half_open"):
        return circuit
    figures = settings.figures
    if circuit.state == "half_open":
        circuit = _as_of(circuit, figures, now_ms)
        kept = tuple(lease for lease in circuit.leases if lease.permit != permit[0])
        if len(kept) == len(circuit.leases):
            return circuit
        circuit = circuit._replace(leases=kept)
    kind = outcome.kind
    if kind in ("ignored", "cancelled"):
        return circuit
    if kind == "rate_limited":
        return _open(circuit, figures, now_ms, "rate_limited", chance, outcome.retry_after_ms)
    return _judged(_counted(circuit, figures, now_ms, outcome, duration_ms), figures, now_ms, chance)


def peek(circuit: Circuit, settings: BreakerSettings, now_ms: int) -> Status:
    """What a call would meet now: an open circuit whose time is over is half-open."""
    figures = settings.figures
    seen = _as_of(circuit, figures, now_ms)
    retry_at = None if _would_admit(seen, figures) else _retry_at(seen)
    calls, failures, slow = _totals(_window(seen, figures, now_ms))
    return Status(
        state=seen.state,
        admits=_would_admit(seen, figures),
        retry_at_ms=retry_at,
        wait_ms=None if retry_at is None else max(0, retry_at - now_ms),
        since_ms=seen.since_ms,
        reason=seen.reason,
        generation=seen.generation,
        opened=seen.opened,
        calls=calls,
        failures=failures,
        slow=slow,
    )


def force_open(circuit: Circuit, now_ms: int) -> Circuit:
    """Refuse every call until somebody resets it."""
    return circuit if circuit.state == "forced_open" else _move(circuit, "forced_open", now_ms)


def reset(circuit: Circuit, now_ms: int) -> Circuit:
    """Closed, with an empty window. Calls that are under way count no more."""
    return _move(circuit, "reset", now_ms, opened=0)


# How the state moves


def _move(circuit: Circuit, event: Event, now_ms: int, *, opened: int | None = None, retry_at_ms: int = 0) -> Circuit:
    return FRESH._replace(
        state=TRANSITIONS[circuit.state, event],
        generation=circuit.generation + 1,
        reason=event,
        since_ms=now_ms,
        retry_at_ms=retry_at_ms,
        opened=circuit.opened if opened is None else opened,
    )


def _open(
    circuit: Circuit, figures: Figures, now_ms: int, event: Event, chance: float, told_ms: int | None = None
) -> Circuit:
    """Open for as long as the service asked for, or for as long as this opening in a row takes."""
    opened = circuit.opened + 1
    wait = _wait_ms(figures, opened, chance) if told_ms is None else min(max(0, told_ms), figures.max_wait_ms)
    return _move(circuit, event, now_ms, opened=opened, retry_at_ms=now_ms + wait)


def _wait_ms(figures: Figures, opened: int, chance: float) -> int:
    wait = figures.wait_ms
    for _ in range(opened - 1):
        longer = wait * figures.backoff // 1_000
        if wait >= figures.max_wait_ms or longer == wait:
            break
        wait = longer
    wait = min(wait, figures.max_wait_ms)
    spread = figures.jitter * (2 * int(chance * 1_000) - 1_000)
    return max(1, min(wait + wait * spread // MILLION, figures.max_wait_ms))


def _as_of(circuit: Circuit, figures: Figures, now_ms: int) -> Circuit:
    """The circuit as time alone has made it: waits that are over, leases that have ended."""
    # A clock that was set back by more than a moment has no use for instants that it gave before. What waits for them
    # would wait for ever, so a wait is over and places are free: one call more is let through, and decides.
    set_back = now_ms + MOMENT_MS < circuit.since_ms
    if circuit.state == "open" and (circuit.retry_at_ms <= now_ms or set_back):
        return _move(circuit, "wait_is_over", now_ms)
    if set_back:
        return circuit._replace(since_ms=now_ms, leases=())
    if any(lease.ends_ms <= now_ms for lease in circuit.leases):
        return circuit._replace(leases=tuple(lease for lease in circuit.leases if lease.ends_ms > now_ms))
    return circuit


def _free(circuit: Circuit, figures: Figures) -> int:
    """Places that a half-open circuit has: neither taken, nor used."""
    return figures.permitted - len(circuit.leases) - _totals(circuit.buckets)[0]


def _would_admit(circuit: Circuit, figures: Figures) -> bool:
    return circuit.state == "closed" or (circuit.state == "half_open" and _free(circuit, figures) > 0)


def _retry_at(circuit: Circuit) -> int | None:
    """When a call is worth another try; `None` when no time is known, because a person decides."""
    if circuit.state == "half_open":
        return min((lease.ends_ms for lease in circuit.leases), default=None)
    return circuit.retry_at_ms or None


# What is counted


def _counted(circuit: Circuit, figures: Figures, now_ms: int, outcome: Outcome, duration_ms: int) -> Circuit:
    state, generation, reason, since_ms, retry_at_ms, opened, buckets, leases = circuit
    failed = outcome.kind == "failure"
    slow = outcome.kind == "slow" or (figures.slow_ms is not None and duration_ms >= figures.slow_ms)
    number = now_ms // figures.bucket_ms if state == "closed" else 0
    if buckets and buckets[-1].number == number:
        _, calls, failures, slows = buckets[-1]
        buckets = (*buckets[:-1], Bucket(number, calls + 1, failures + failed, slows + slow))
    else:
        buckets = (*_window(circuit, figures, now_ms), Bucket(number, 1, int(failed), int(slow)))
    # Every call comes by here, and `_replace` takes three times as long.
    return Circuit(state, generation, reason, since_ms, retry_at_ms, opened, buckets, leases)


def _judged(circuit: Circuit, figures: Figures, now_ms: int, chance: float) -> Circuit:
    """Open it if too much failed, or close it if enough succeeded."""
    calls, failures, slow = _totals(circuit.buckets)  # those that count: what is too old went as this call was counted
    probing = circuit.state == "half_open"
    if not probing and (calls < figures.minimum or not (failures or slow)):
        return circuit
    # Of probes it is known how many there will be: so many failures are too many whatever the others bring.
    of = figures.permitted if probing else calls
    if failures * MILLION >= figures.failure_rate * of:
        return _open(circuit, figures, now_ms, "failure_rate", chance)
    if slow * MILLION >= figures.slow_rate * of:
        return _open(circuit, figures, now_ms, "slow_call_rate", chance)
    if probing and calls >= figures.permitted:
        return _move(circuit, "probes_succeeded", now_ms, opened=0)
    return circuit


def _window(circuit: Circuit, figures: Figures, now_ms: int) -> tuple[Bucket, ...]:
    """The buckets that count now. A clock that was set back a little leaves some ahead of it; they count as well."""
    if circuit.state != "closed":
        return circuit.buckets
    number = now_ms // figures.bucket_ms
    return tuple(bucket for bucket in circuit.buckets if -BUCKETS < bucket.number - number < BUCKETS)


def _totals(buckets: tuple[Bucket, ...]) -> tuple[int, int, int]:
    calls = failures = slow = 0
    for _, in_calls, in_failures, in_slow in buckets:
        calls += in_calls
        failures += in_failures
        slow += in_slow
    return calls, failures, slow
