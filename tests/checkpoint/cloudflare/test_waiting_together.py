"""How long runs wait for each other, and how many requests they share: counted on a clock that nobody waits for.

`Crowd` plays runs under `durability="sync"` against the queue alone: each waits for its checkpoint before it goes on.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from langgraph_guard.checkpoint.cloudflare.commands import PutMany
from langgraph_guard.checkpoint.cloudflare.commits import Queue, Ticket
from langgraph_guard.checkpoint.cloudflare.saver import GROUP_WINDOW
from langgraph_guard.checkpoint.cloudflare.transport import Pair

REQUEST = 0.05
"""Seconds that a request is on its way."""


@dataclass
class Crowd:
    """So many runs of so many steps; a node takes a time between the two of `node`, at random but always the same."""

    runs: int
    steps: int
    node: tuple[float, float]
    now: float = 0.0
    requests: int = 0
    waited: float = 0.0
    longest: float = 0.0
    _queue: Queue = field(default_factory=lambda: Queue(GROUP_WINDOW))
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    _sending: bool = False
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def share(self) -> float:
        """Requests per superstep."""
        return self.requests / (self.runs * self.steps)

    @property
    def wait(self) -> float:
        """Seconds of a superstep that its run waited for others, in the mean."""
        return self.waited / (self.runs * self.steps)

    def play(self) -> Crowd:
        for run in range(self.runs):
            self._begin(f"t{run}", self.steps)
        while self._events:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        return self

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, happen))

    def _begin(self, thread: str, steps: int) -> None:
        if steps:
            self._at(self.now + self._random.uniform(*self.node), lambda: self._finish(thread, steps))

    def _finish(self, thread: str, steps: int) -> None:
        """What the task wrote, and the checkpoint that the run waits for."""
        asked = self.now

        def stored() -> None:
            waited = self.now - asked - REQUEST
            self.waited, self.longest = self.waited + waited, max(self.longest, waited)
            self._begin(thread, steps - 1)

        for hurry, told in ((False, lambda: None), (True, stored)):
            self._queue.add(Ticket(PutMany([Pair(f"{thread}{steps}{hurry}", "v")], thread, hurry), told), self.now)
        self._look()

    def _look(self) -> None:
        if self._queue and not self._sending:
            if wait := self._queue.wait(self.now):
                self._at(self.now + wait, self._look)
            else:
                self._send()

    def _send(self) -> None:
        self._sending, self.requests = True, self.requests + 1
        sent = self._queue.take()
        self._at(self.now + REQUEST, lambda: self._land(sent))

    def _land(self, sent: list[Ticket]) -> None:
        self._sending = False
        for ticket in sent:
            ticket.settle()
        self._queue.landed(sent, self.now)
        self._look()


@pytest.mark.parametrize("runs", [2, 5, 50])
def test_runs_that_are_all_here_wait_for_nobody(runs: int) -> None:
    """Who else could come? Each step would be as much longer as the window is, for nothing."""
    crowd = Crowd(runs, steps=40, node=(0.0, 0.01)).play()
    assert crowd.wait <= 0.01
    assert crowd.share <= 1.1 / runs  # and they share as much as can be shared


def test_fifty_runs_that_are_out_of_step_share_their_requests() -> None:
    """One request for five supersteps, as the page says of agents."""
    crowd = Crowd(50, steps=40, node=(0.5, 1.5)).play()
    assert crowd.share <= 0.2
    assert crowd.wait <= GROUP_WINDOW


@pytest.mark.parametrize("node", [(0.0, 0.01), (0.2, 0.4), (2.0, 4.0)], ids=["fast", "slow", "slower"])
def test_a_run_that_is_alone_never_waits(node: tuple[float, float]) -> None:
    """However long its nodes take."""
    assert Crowd(1, steps=40, node=node).play().longest == pytest.approx(0)


def test_two_runs_that_seldom_meet_seldom_wait() -> None:
    """What they could share is not worth a tenth of a second in each step."""
    assert Crowd(2, steps=200, node=(0.5, 1.5)).play().wait <= GROUP_WINDOW / 5
