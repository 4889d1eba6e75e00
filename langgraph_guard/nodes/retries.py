"""The attempts of one call: what its client would have tried again by itself, each with its own reservation."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from langgraph_guard.nodes.held import Held
from langgraph_guard.policies.ledger import Command, Reply, Wait
from langgraph_guard.policies.retries import pause_before

if TYPE_CHECKING:
    from langgraph_guard.nodes.model import MeteredModel


class Retries:
    """`over`: nothing follows, because the call is answered, or a part of its answer is with the reader."""

    def __init__(self, model: MeteredModel) -> None:
        self.over = False
        self._most = model.retries
        self._made = 0
        self._until = math.inf
        self._clock = model.meter.backend.clock

    def after(self, error: Exception) -> Generator[Sequence[Command], list[Reply], bool]:
        """Wait until the next attempt; `False` when there is none, and `error` stands."""
        if self.over or self._made == self._most:
            return False
        self._made += 1
        now = self._clock.now()
        pause = pause_before(self._made, error, now, random.random())
        if pause is None or now + pause >= self._until:
            return False
        yield [Wait(pause)]
        return True

    def within(self, held: Held) -> None:
        """Lower the seconds of an attempt to what the attempts before it left."""
        if held.timeout is not None:
            self._until = min(self._until, held.asked_at + held.timeout)
            held.timeout = self._until - held.asked_at
