"""What a process remembers of closed circuits, so that it need not ask for each call."""

from __future__ import annotations

from typing import Final, NamedTuple

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.redis.breakers.wire import Standing
from langgraph_guard.policies.breaker import CircuitKey

MOST: Final = 4_096
"""Circuits that are remembered. For one more, all are forgotten, and asked for once more."""


class Seen(NamedTuple):
    """The generation of a circuit that was closed, and when that was asked."""

    generation: int
    asked: float


class Closed:
    """Closed circuits that were asked for within the last `seconds`.

    They count from when the question was sent, not from when its answer came, so that a circuit which opens is trusted
    for no longer than `seconds`. Threads share it: every step is one operation on a dict.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[CircuitKey, Seen] = {}

    def now(self) -> float:
        return self._clock.now() if self._seconds else 0.0

    def generation(self, key: CircuitKey) -> int | None:
        """Of a circuit that is taken for closed; `None` when it must be asked for."""
        seen = self._seen.get(key)
        # A clock that was set back says nothing about how long ago it was.
        if seen is None or not 0 <= self._clock.now() - seen.asked < self._seconds:
            return None
        return seen.generation

    def seen(self, key: CircuitKey, generation: int, asked: float) -> None:
        """It was closed when it answered what was asked then."""
        if not self._seconds:
            return
        if len(self._seen) >= MOST and key not in self._seen:
            self._seen.clear()
        self._seen[key] = Seen(generation, asked)

    def told(self, key: CircuitKey, standing: Standing, asked: float) -> None:
        """How it stands, as a result of a call said that was sent then."""
        if standing.state == "closed":
            self.seen(key, standing.generation, asked)
        else:
            self._seen.pop(key, None)
