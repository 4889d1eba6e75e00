"""Histories: any sequence of commands, repeated, late and out of order, is answered as the plain model answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from langgraph_guard.backends.protocols import BreakerRegistry
from langgraph_guard.policies.breaker import (
    CANCELLED,
    FAILURE,
    IGNORED,
    SLOW,
    SUCCESS,
    Admit,
    BreakerSettings,
    CircuitKey,
    Command,
    ForceOpen,
    Outcome,
    Peek,
    Record,
    Reset,
    rate_limited,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAYS, Harness, Way, driven
from langgraph_guard.testing.contracts.breakers.model import Model, Told, told

MakeRegistry: TypeAlias = Callable[[FakeClock], BreakerRegistry]

KEYS: Final = (KEY, KEY._replace(key="other"))
# Shares that a double has exactly, and spans whose parts are whole milliseconds.
SETTINGS: Final = (
    BreakerSettings(),
    BreakerSettings(permitted_number_of_calls_in_half_open_state=3, half_open_lease=5.0, jitter=0.5),
    BreakerSettings(
        failure_rate_threshold=0.25,
        slow_call_rate_threshold=0.75,
        slow_call_duration_threshold=1.5,
        minimum_number_of_calls=2,
        sliding_window_size=10.0,
        wait_duration_in_open_state=1.0,
        backoff_multiplier=4.0,
        max_wait_duration_in_open_state=20.0,
        permitted_number_of_calls_in_half_open_state=2,
    ),
)

ids = st.sampled_from("abcdef")
keys = st.sampled_from(KEYS)
outcomes = st.sampled_from(
    [SUCCESS, FAILURE, FAILURE, SLOW, IGNORED, CANCELLED, rate_limited(), rate_limited(3), rate_limited(10_000)]
)


class BreakerMachine(RuleBasedStateMachine):
    """Each step goes to the registry and to the model; both must say and hold the same."""

    def __init__(self, make_registry: MakeRegistry, way: Way) -> None:
        super().__init__()
        self.clock = FakeClock()
        self._driven = driven(make_registry(self.clock), way)
        self.circuits = self._driven.__enter__()
        self.model = Model()
        self.sent: list[Command] = []
        self.settings = SETTINGS[0]
        self.permits: list[tuple[CircuitKey, str, int]] = []

    @initialize(settings=st.sampled_from(SETTINGS))
    def begin(self, settings: BreakerSettings) -> None:
        self.settings = settings

    def teardown(self) -> None:
        self._driven.__exit__(None, None, None)

    @rule(key=keys, id=ids)
    def admit(self, key: CircuitKey, id: str) -> None:
        answer = self._send(Admit(key, self.settings, id))
        if answer[0] == "admitted":
            self.permits.append((key, id, answer[1]))

    @rule(
        at=st.integers(0, 100),
        outcome=outcomes,
        duration=st.sampled_from([0, 1_499, 1_500, 60_000]),
        chance=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def a_call_ends(self, at: int, outcome: Outcome, duration: int, chance: float) -> None:
        """The newest are the likeliest; an old one may end late, or again."""
        assume(self.permits)
        key, id, generation = self.permits[-1 - at % min(len(self.permits), 1 + at % 7)]
        self._send(Record(key, self.settings, id, generation, outcome, duration, chance))

    @rule(key=keys, failures=st.integers(1, 4))
    def calls_fail(self, key: CircuitKey, failures: int) -> None:
        """Otherwise few circuits would ever open."""
        for at in range(failures):
            answer = self._send(Admit(key, self.settings, f"f{at}"))
            if answer[0] == "admitted":
                self._send(Record(key, self.settings, f"f{at}", answer[1], FAILURE))

    @rule(key=keys, id=ids, generation=st.integers(0, 6), outcome=outcomes)
    def somebody_claims_that_a_call_ended(self, key: CircuitKey, id: str, generation: int, outcome: Outcome) -> None:
        self._send(Record(key, self.settings, id, generation, outcome))

    @rule(key=keys, forced=st.sampled_from([True, False, False]))
    def a_person_switches(self, key: CircuitKey, forced: bool) -> None:
        self._send(ForceOpen(key, "ada") if forced else Reset(key, "ada"))

    @rule(seconds=st.sampled_from([0.001, 0.5, 1.0, 3.0, 5.0, 20.0, 30.0, 60.0, 120.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(at=st.integers(0, 1_000))
    def an_earlier_command_arrives_again(self, at: int) -> None:
        assume(self.sent)
        self._send(self.sent[at % len(self.sent)])

    @invariant()
    def they_stand_alike(self) -> None:
        command = Peek(KEYS, self.settings)
        (reply,) = self.circuits.send([command])
        assert told(reply) == self.model.tell(command, self._now_ms())

    def _send(self, command: Command) -> Told:
        expected = self.model.tell(command, self._now_ms())
        (reply,) = self.circuits.send([command])
        answer = told(reply)
        assert answer == expected
        self.sent.append(command)
        return answer

    def _now_ms(self) -> int:
        return int(self.clock.now() * 1_000)


class Histories(Harness):
    """The rules, checked against themselves told in another way."""

    @pytest.mark.parametrize("way", WAYS)
    def test_every_history_is_answered_as_the_model_answers_it(self, way: Way) -> None:
        """Calls, probes, results in and out of time, switches by hand and replays, in any order and at any time."""
        make_registry: Any = self.make_registry

        class Machine(BreakerMachine):
            def __init__(self) -> None:
                super().__init__(make_registry, way)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
