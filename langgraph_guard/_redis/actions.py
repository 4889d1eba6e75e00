"""What a delivery asks its world to do: talk to a server, drop connections, wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

from langgraph_guard._redis.clients import Place
from langgraph_guard.flow import Flow


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `data` to `place`; `expected` replies come back within `patience` seconds, error replies among them."""

    place: Place
    data: bytes
    expected: int
    patience: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the idle connections to `place`: what one of them met, the others would meet."""

    place: Place


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


Action: TypeAlias = Ask | Drop | Pause
Delivery: TypeAlias = Flow[Action, Any, list[Any]]
"""A flow of actions. What comes back are the replies of the `Ask` among them."""

SHORTEST = 0.05
"""Of the deadline: less is no time for another attempt."""

SURE = 1.0
"""An exchange may take this long even when that leaves no time for another one."""


FIRST = 0.1
"""Of the deadline: for so long a server is looked for that was never there. That is a wrong setting rather than an
outage, and nobody should wait for ten seconds to read which."""

AT_FIRST = 0.5
"""Seconds, at least: a name service may hiccup."""


class Known:
    """Whether anybody was ever there. Threads and event loops share it."""

    met = False


class Deadline:
    """How long a batch may take, all attempts together. `known`: what earlier batches met."""

    def __init__(self, seconds: float, patience: float | None = None, known: Known | None = None) -> None:
        self._started = time.monotonic()
        self._seconds = seconds
        self._patience = patience or seconds
        self.known = known or Known()

    def waited(self) -> float:
        return time.monotonic() - self._started

    def left(self) -> float:
        return self._seconds - self.waited()

    def leaves_room(self, pause: float, absent: bool = False) -> bool:
        """Whether another attempt makes sense after `pause`. A tiny one would only hide why the last failed.

        `absent`: the last one found nothing there.
        """
        never = absent and not self.known.met
        seconds = min(self._seconds, max(self._seconds * FIRST, AT_FIRST)) if never else self._seconds
        return seconds - self.waited() - pause > seconds * SHORTEST

    def patience(self) -> float:
        """For one exchange: half of what is left, so that a server which went silent leaves time for its successor."""
        left = self.left()
        return max(min(left, max(left / 2, SURE), self._patience), 0.001)
