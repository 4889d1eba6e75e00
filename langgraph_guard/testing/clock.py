"""Time that moves only when a test moves it."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

from langgraph_guard.errors import ConfigError


class FakeClock:
    """A clock for tests: `sleep` returns at once, and afterwards it is that much later.

    `slept` lists every sleep in seconds. Threads and event loops may share one clock; a sleep in one of them moves
    the time of all. It starts at 2026-01-01T00:00:00Z.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._now = _finite("start", start)
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        step = _duration(seconds)
        with self._lock:
            self._now += step

    def set(self, epoch: float) -> None:
        """Make it `epoch`; earlier than now too, as when a server's clock is corrected."""
        moment = _finite("epoch", epoch)
        with self._lock:
            self._now = moment

    def sleep(self, seconds: float) -> None:
        """Pass `seconds` without waiting."""
        step = _duration(seconds)
        with self._lock:
            self._now += step
            self.slept.append(step)

    async def asleep(self, seconds: float) -> None:
        """Pass `seconds` without waiting; other tasks get their turn once, and cancellation its chance."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def __deepcopy__(self, memo: dict[int, Any]) -> FakeClock:
        # A copied model must go on living in the same time.
        return self

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"


def _finite(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(field, f"a finite number of seconds is needed, not {value!r}")
    return float(value)


def _duration(value: object) -> float:
    if (seconds := _finite("seconds", value)) < 0:
        raise ConfigError("seconds", f"time passes forwards, and {value!r} is negative; set() goes back")
    return seconds
