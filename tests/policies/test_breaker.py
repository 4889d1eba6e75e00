"""The breaker's pure part: settings that are checked, a table that is the diagram, values that any store can keep."""

from __future__ import annotations

import json
import pickle
from textwrap import indent
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies import breaker
from langgraph_guard.policies.breaker import (
    FAILURE,
    FRESH,
    SUCCESS,
    TRANSITIONS,
    Admitted,
    BreakerSettings,
    Change,
    Circuit,
    Event,
    Outcome,
    State,
    admit,
    change,
    diagram,
    force_open,
    peek,
    rate_limited,
    record,
    reset,
)

NOW = 1_767_225_600_000


# Settings


def test_the_defaults_are_the_promise() -> None:
    """Three failed calls within a minute open it for half a minute: a change is a decision."""
    assert BreakerSettings() == BreakerSettings(
        failure_rate_threshold=0.5,
        slow_call_rate_threshold=1.0,
        slow_call_duration_threshold=None,
        minimum_number_of_calls=3,
        sliding_window_size=60.0,
        wait_duration_in_open_state=30.0,
        backoff_multiplier=2.0,
        max_wait_duration_in_open_state=600.0,
        jitter=0.1,
        permitted_number_of_calls_in_half_open_state=1,
        half_open_lease=60.0,
    )


SHARES = ("failure_rate_threshold", "slow_call_rate_threshold")
SPANS = (
    "slow_call_duration_threshold",
    "sliding_window_size",
    "wait_duration_in_open_state",
    "max_wait_duration_in_open_state",
    "half_open_lease",
)
COUNTS = ("minimum_number_of_calls", "permitted_number_of_calls_in_half_open_state")
WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in SHARES for value in (0, -0.1, 1.01, float("nan"), "0.5", True, None)),
    *((name, value) for name in SPANS for value in (0, -1, float("nan"), float("inf"), 1e9, "30", True)),
    *((name, value) for name in COUNTS for value in (0, -1, 1.5, 10**9, "3", True, None)),
    *(("backoff_multiplier", value) for value in (0.9, float("inf"), float("nan"), 101, None)),
    *(("jitter", value) for value in (-0.1, 1.1, float("nan"), "0.1", False)),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value!r}" for name, value in WRONG])
def test_a_setting_that_is_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    """When the breaker is made, never when the service is down."""
    with pytest.raises(ConfigError) as caught:
        BreakerSettings(**{name: value})
    assert caught.value.field == name


def test_the_longest_wait_is_no_shorter_than_the_first() -> None:
    """The two contradict each other, and nobody could say which was meant."""
    with pytest.raises(ConfigError, match="max_wait_duration_in_open_state"):
        BreakerSettings(wait_duration_in_open_state=900)


def test_settings_are_values() -> None:
    """They travel with each command: equal ones are equal, also in another process."""
    settings = BreakerSettings(jitter=0.2)
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert pickle.loads(pickle.dumps(settings)).figures == settings.figures
    assert hash(settings) == hash(BreakerSettings(jitter=0.2))


# The table


def test_the_diagram_is_drawn_from_the_table() -> None:
    """A picture that somebody keeps up to date by hand is wrong within a year."""
    assert indent(diagram(), "    ") in (breaker.__doc__ or "")


def test_every_state_can_be_left_and_reached() -> None:
    """A state without a way out is an outage of our own."""
    states = set(get_args(State))
    assert {state for state, _ in TRANSITIONS} == states
    assert {state for (before, _), state in TRANSITIONS.items() if before != state} == states


def test_a_person_can_close_every_circuit() -> None:
    """Whatever the table says otherwise."""
    assert {TRANSITIONS[state, "reset"] for state in get_args(State)} == {"closed"}


def test_every_event_happens_somewhere() -> None:
    """A word that nothing says is a reader's wasted minute."""
    assert {event for _, event in TRANSITIONS} == set(get_args(Event))


outcomes = st.sampled_from([SUCCESS, FAILURE, Outcome("slow"), Outcome("ignored"), rate_limited(), rate_limited(5)])
what = st.sampled_from(["call", "call", "call", "force", "reset"])
steps = st.lists(st.tuples(what, outcomes, st.integers(0, 40_000)), max_size=60)


@given(steps)
def test_no_state_changes_but_by_the_table(found: list[tuple[str, Outcome, int]]) -> None:
    """Every change is one generation, has a reason, and stands in the table."""
    circuit, now, settings = FRESH, NOW, BreakerSettings()
    for step, outcome, passes in found:
        now += passes
        for after in _after(circuit, step, outcome, now, settings):
            assert after.generation - circuit.generation in (0, 1)
            if after.generation != circuit.generation:
                assert after.reason is not None
                assert TRANSITIONS[circuit.state, after.reason] == after.state
            circuit = after


def _after(circuit: Circuit, step: str, outcome: Outcome, now: int, settings: BreakerSettings) -> list[Circuit]:
    if step == "force":
        return [force_open(circuit, now)]
    if step == "reset":
        return [reset(circuit, now)]
    reply, admitted = admit(circuit, settings, now, "call")
    if not isinstance(reply, Admitted):
        return [admitted]
    return [admitted, record(admitted, settings, now, ("call", reply.generation), outcome, 0, 0.5)]


def test_a_change_is_told_only_when_the_state_is_another() -> None:
    """A reset of what is closed is no news for a dashboard."""
    assert change(FRESH, reset(FRESH, NOW)) is None
    assert change(FRESH, force_open(FRESH, NOW)) == Change("closed", "forced_open", "forced_open")


# Values


@given(steps)
def test_a_circuit_is_made_of_builtins(found: list[tuple[str, Outcome, int]]) -> None:
    """So that SQLite and Redis can keep it as it is. Integers stay within what a double holds exactly."""
    circuit, now = FRESH, NOW
    for step, outcome, passes in found:
        now += passes
        circuit = _after(circuit, step, outcome, now, BreakerSettings())[-1]
    kept = json.loads(json.dumps(circuit))
    assert kept == json.loads(json.dumps(tuple(circuit)))
    assert all(abs(each) < 2**53 for each in _integers(kept))


def _integers(value: Any) -> list[int]:
    if isinstance(value, list):
        return [each for member in value for each in _integers(member)]
    assert value is None or isinstance(value, str | int)
    return [value] if isinstance(value, int) else []


@given(
    st.floats(1, 100),
    st.floats(0.001, 30 * 86_400),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 200),
)
def test_no_wait_is_longer_than_the_longest_or_shorter_than_a_moment(
    backoff: float, wait: float, jitter: float, chance: float, times: int
) -> None:
    """At any settings, after any number of openings."""
    settings = BreakerSettings(
        backoff_multiplier=backoff,
        wait_duration_in_open_state=wait,
        max_wait_duration_in_open_state=30 * 86_400,
        jitter=jitter,
        minimum_number_of_calls=1,
    )
    half_open = FRESH._replace(state="half_open", opened=times, leases=(breaker.Lease("p", NOW + 1_000),))
    opened = record(half_open, settings, NOW, ("p", 0), FAILURE, 0, chance)
    assert opened.state == "open"
    assert 1 <= opened.retry_at_ms - NOW <= 30 * 86_400_000


def test_buckets_are_no_more_than_a_window_has() -> None:
    """A circuit that is busy for months is as small as a new one."""
    circuit = FRESH
    for at in range(1_000):
        circuit = record(circuit, BreakerSettings(), NOW + at * 1_700, ("r", 0), SUCCESS, 0, 0.5)
        assert len(circuit.buckets) <= 10


def test_looking_changes_nothing() -> None:
    """The circuit that is looked at is the circuit that was there."""
    opened = FRESH._replace(state="open", generation=1, retry_at_ms=NOW, since_ms=NOW - 1)
    assert peek(opened, BreakerSettings(), NOW).state == "half_open"
    assert opened.state == "open"


@pytest.mark.parametrize("told", [None, float("nan"), float("inf"), -1.0])
def test_a_retry_after_that_is_no_time_is_none(told: float | None) -> None:
    """The usual wait counts then."""
    assert rate_limited(told) == Outcome("rate_limited")


def test_a_failure_rate_needs_a_call() -> None:
    """Nothing of nothing is no share."""
    assert peek(FRESH, BreakerSettings(), NOW).failure_rate is None
    failed = record(FRESH, BreakerSettings(), NOW, ("r", 0), FAILURE, 0, 0.5)
    assert peek(failed, BreakerSettings(), NOW).failure_rate == 1.0
