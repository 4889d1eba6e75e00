"""How one request is delivered: how often, for how long, and what it is called when nothing helped. A pure flow.

Everything that is sent may be sent twice: keys are written once, and always with the same value. A key that was just
written may be written again a second later at the earliest.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from langgraph_guard.checkpoint.cloudflare.commands import DeleteMany, Delivery, PutMany, Request, Wait
from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.checkpoint.cloudflare.transport import Lost, Refused, Throttled
from langgraph_guard.errors import StoreRateLimited, StoreRefused, StoreUnavailable

STORE: Final = "cloudflare kv"

A_SECOND: Final = 1.0
"""Between two writes of one key."""

LONGEST_PAUSE: Final = 30.0

PARTIAL: Final = 3
"""How often the part of a bulk request that failed is sent."""

REQUESTS: Final = (
    "1,200 API requests in 5 minutes for each token, and one write per second for each key;"
    " a gateway Worker has no limit of requests (examples/cloudflare_gateway)"
)
DAILY: Final = "the plan's limit for today is used up; a paid plan, or a gateway Worker over Durable Objects, has more"


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a request is tried, in seconds: without an answer, and while the server says "later"."""

    deadline: float = 10.0
    throttled: float = 330.0


def deliver(request: Request, terms: Terms, pace: Pace, now: Callable[[], float]) -> Delivery[Any]:
    """The reply. Of bulk writes and deletions: the keys that could not be done."""
    errand = Errand(request, terms, pace, now)
    while not errand.done:
        if wait := pace.take(now()):
            yield errand.queue(wait)
        try:
            (reply,) = yield [errand.request]
            pause = errand.answered(reply)
        except Exception as error:
            pause = errand.learn(error)
        if pause:
            yield [Wait(pause)]
    return errand.reply


class Errand:
    """A request on its way."""

    def __init__(self, request: Request, terms: Terms, pace: Pace, now: Callable[[], float]) -> None:
        self.request: Request = request
        self.reply: Any = None
        self.done = False
        self._terms, self._pace, self._now = terms, pace, now
        self._started = now()
        self._failures = 0
        self._partial = 0
        self._throttled = 0.0

    def queue(self, wait: float) -> list[Wait]:
        """Wait for one's turn."""
        self._hold_back(wait, None)
        return [Wait(wait)]

    def answered(self, reply: Any) -> float:
        """Note the reply; seconds to wait before what failed of it is sent again."""
        self.reply = reply
        if isinstance(self.request, PutMany | DeleteMany) and reply:
            self._partial += 1
            self.request = self.request.only(reply)
            if self._partial < PARTIAL:
                return self._pause(A_SECOND)
        self.done = True
        return 0.0

    def learn(self, error: Exception) -> float:
        """Seconds to wait before the next attempt. Raises when there is none."""
        self._failures += 1
        if isinstance(error, Throttled):
            return self._later(error)
        if isinstance(error, Lost):
            pause = self._pause(A_SECOND if isinstance(self.request, PutMany) else 0.1)
            if self._waited() - self._throttled + pause > self._terms.deadline:
                raise StoreUnavailable(STORE, self.request.name, self._waited(), str(error)) from error
            return pause
        if isinstance(error, Refused):
            raise StoreRefused(STORE, self.request.name, str(error)) from error
        raise error

    def _later(self, error: Throttled) -> float:
        if error.daily:
            self._give_up(DAILY, None, error)
        wait = self._pause(A_SECOND) if error.retry_after is None else max(error.retry_after, A_SECOND)
        self._hold_back(wait, error)
        if error.retry_after is not None:
            self._pace.stop(error.retry_after, self._now())
            return 0.0  # the pace makes this one wait, too
        return wait

    def _hold_back(self, wait: float, error: Throttled | None) -> None:
        if self._throttled + wait > self._terms.throttled:
            self._give_up(REQUESTS, wait, error)
        self._throttled += 0.0 if error and error.retry_after is not None else wait

    def _give_up(self, limit: str, retry_after: float | None, error: Throttled | None) -> NoReturn:
        raise StoreRateLimited(STORE, self.request.name, limit, self._waited(), retry_after) from error

    def _pause(self, least: float) -> float:
        """Twice as long each time, and never the same for all."""
        growing: float = least * 2 ** min(self._failures, 10) * random.uniform(0.5, 1.0)
        return least + min(growing, LONGEST_PAUSE)

    def _waited(self) -> float:
        return max(self._now() - self._started, 0.0)
