"""What the contract's files share: a registry on a clock that a test moves, driven blocking and on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast

import pytest
from hypothesis import HealthCheck, settings

from langgraph_guard.backends.protocols import BreakerRegistry
from langgraph_guard.policies.breaker import (
    FAILURE,
    SUCCESS,
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    BreakerSettings,
    Change,
    CircuitKey,
    Command,
    ForceOpen,
    Outcome,
    Peek,
    Record,
    Refused,
    Reply,
    Reset,
    Status,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.loop import one_loop

KEY: Final = CircuitKey("acme", "breaker", "search")
SETTINGS: Final = BreakerSettings(jitter=0)
"""The defaults, but for the jitter: open after three calls of which two failed, for 30 s, then for 60 s, …"""

WAIT: Final = 30.0
LEASE: Final = 60.0

Way: TypeAlias = Literal["execute", "aexecute"]
WAYS: Final[tuple[Way, ...]] = ("execute", "aexecute")

# A contract's test runs under each class that inherits it, which is what this check warns of.
examples = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])


class Circuits:
    """A registry driven in one of its two ways; replies have their types."""

    def __init__(self, send: Callable[[Sequence[Command]], list[Reply]], settings: BreakerSettings = SETTINGS) -> None:
        self.send = send
        self.settings = settings
        self._made = count()

    def under(self, **words: Any) -> Circuits:
        """The same circuits for a caller with other settings."""
        return Circuits(self.send, BreakerSettings(**{"jitter": 0, **words}))

    def admit(self, id: str, key: CircuitKey = KEY) -> Admitted | Refused:
        return cast(Admitted | Refused, self._one(Admit(key, self.settings, id)))

    def record(
        self,
        id: str,
        generation: int,
        outcome: Outcome,
        *,
        duration_ms: int = 0,
        chance: float = 0.5,
        key: CircuitKey = KEY,
    ) -> Change | None:
        command = Record(key, self.settings, id, generation, outcome, duration_ms, chance)
        return cast(Change | None, self._one(command))

    def call(self, *outcomes: Outcome, key: CircuitKey = KEY, **how: Any) -> list[Change | None]:
        """Calls that are let through and end like this, one after another."""
        found = []
        for outcome in outcomes:
            id = f"call-{next(self._made)}"
            admitted = self.admit(id, key)
            assert isinstance(admitted, Admitted)
            found.append(self.record(id, admitted.generation, outcome, key=key, **how))
        return found

    def trip(self, key: CircuitKey = KEY) -> None:
        """Three calls fail."""
        self.call(FAILURE, FAILURE, FAILURE, key=key)

    def probe(self, id: str = "probe", key: CircuitKey = KEY) -> int:
        """Take a place in a half-open circuit: the generation."""
        admitted = self.admit(id, key)
        assert isinstance(admitted, Admitted)
        assert admitted.probe
        return admitted.generation

    def status(self, key: CircuitKey = KEY) -> Status:
        return self.statuses(key)[0]

    def statuses(self, *keys: CircuitKey) -> tuple[Status, ...]:
        return cast(tuple[Status, ...], self._one(Peek(keys, self.settings)))

    def force_open(self, key: CircuitKey = KEY, by: str = "ada", reason: str = "") -> Change | None:
        return cast(Change | None, self._one(ForceOpen(key, by, reason)))

    def reset(self, key: CircuitKey = KEY, by: str = "ada", reason: str = "") -> Change | None:
        return cast(Change | None, self._one(Reset(key, by, reason)))

    def audit(self, key: CircuitKey = KEY) -> tuple[AuditRecord, ...]:
        return cast(tuple[AuditRecord, ...], self._one(Audit(key)))

    def _one(self, command: Command) -> Reply:
        (reply,) = self.send([command])
        return reply


@contextmanager
def driven(registry: BreakerRegistry, way: Way) -> Iterator[Circuits]:
    """`registry`, blocking or on an event loop that lives as long as the block."""
    if way == "execute":
        yield Circuits(registry.execute)
        return
    with one_loop() as run:
        yield Circuits(lambda commands: run(_on_a_loop(registry, commands)))


async def _on_a_loop(registry: BreakerRegistry, commands: Sequence[Command]) -> list[Reply]:
    return await registry.aexecute(commands)


class Harness:
    """Fixtures over the one method that a backend's tests override."""

    trials: ClassVar[int] = 20
    """How often the races are run."""

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        """A registry whose time is `clock`'s, on a store that nobody has written to."""
        raise NotImplementedError("override make_registry(self, clock)")

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture(params=WAYS)
    def circuits(self, request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Circuits]:
        with driven(self.make_registry(clock), request.param) as circuits:
            yield circuits


def mixed(calls: int, failures: int) -> list[Outcome]:
    """So many calls, of which the last ones fail."""
    return [SUCCESS] * (calls - failures) + [FAILURE] * failures
