"""How fast one may ask: a token bucket that the server's own headers fill. Pure but for its lock.

Cloudflare allows 1,200 requests in five minutes to each token, everything counted, and answers nothing for up to five
minutes to who asks more often. What is left is shared with other processes, so the last tenth is spread over the time
until the bucket is full again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from langgraph_guard.checkpoint.cloudflare.dates import ServerClock
from langgraph_guard.forks import renew_in_children

_REMAINING: Final = re.compile(r"\br=(\d+)")
_RESET: Final = re.compile(r"\bt=(\d+)")
_QUOTA: Final = re.compile(r"\bq=(\d+)")

KEPT: Final = 0.1
"""The share of the quota that is not spent in a burst."""

FEW: Final = 10
"""The same where the quota is not told."""


class Left(NamedTuple):
    """Requests that one may still make, in so many seconds; `few`: they are spread over that time."""

    requests: int
    seconds: float
    few: bool


class Pace:
    """Requests that are left, as far as is known. Without a word from the server there is no limit.

    `clock`: the server's, which its answers tell, too.
    """

    def __init__(self) -> None:
        self.clock = ServerClock()
        self._left = float("inf")
        self._full_at = 0.0
        self._reserve: float = FEW
        self._next = 0.0
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def hear(self, headers: Mapping[str, str], now: float, sent: float | None = None) -> None:
        """Note what a response says: `Ratelimit: "default";r=50;t=30`, `Ratelimit-Policy: "default";q=1200;w=300`.

        `sent`: when its request left, if it was not just now.
        """
        self.clock.hear(headers, now if sent is None else sent, now)
        said = headers.get("ratelimit", "")
        remaining, reset = _REMAINING.search(said), _RESET.search(said)
        quota = _QUOTA.search(headers.get("ratelimit-policy", ""))
        with self._lock:
            if quota:
                self._reserve = KEPT * int(quota[1])
            if remaining and reset:
                self._left, self._full_at = int(remaining[1]), now + int(reset[1])

    def left(self, now: float) -> Left | None:
        """What the server said last; `None` when it did not, or when that was some time ago."""
        with self._lock:
            known = self._left != float("inf") and now < self._full_at
            return Left(int(self._left), self._full_at - now, self._left < self._reserve) if known else None

    def stop(self, seconds: float, now: float) -> None:
        """Nobody asks for as long: the server said so to one of us."""
        with self._lock:
            self._next = max(self._next, now + seconds)

    def take(self, now: float) -> float:
        """Ask for one request: seconds to wait first. Each answer is a place of its own, so nobody asks twice."""
        with self._lock:
            if now >= self._full_at:
                self._left = float("inf")
            step = self._step(now)
            start = max(now, self._next, self._full_at if self._left < 1 else now)
            self._left = max(self._left - 1, 0)
            if step or start > now:
                self._next = start + step
            return start - now

    def _step(self, now: float) -> float:
        """Seconds between requests while few are left."""
        return (self._full_at - now) / (self._left + 1) if self._left < self._reserve else 0.0
