"""The registry that processes share, and the local one that decides while it is out of reach."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar

from langgraph_guard.backends.memory.breakers import MemoryBreakers
from langgraph_guard.backends.memory.tally import SHUT, Tally
from langgraph_guard.backends.protocols import Backend
from langgraph_guard.errors import GuardRuntimeError
from langgraph_guard.events import emit
from langgraph_guard.policies.breaker.commands import CircuitKey, Command, Reply
from langgraph_guard.policies.breaker.settings import Figures

Result = TypeVar("Result")
BreakerFlow = Generator[Sequence[Command], list[Reply], Result]

REJOIN: Final = 5.0
"""Seconds for which a registry that did not answer is not asked again: each question costs the run its time-out."""

_log = logging.getLogger(__name__)


class SharedCircuits:
    """Asks the backend's registry. While that does not answer, a local one with the same settings decides: a breaker
    is there to keep runs going, so it must not be what ends them."""

    def __init__(self, breaker: str, backend: Backend) -> None:
        self.registry = backend.breakers
        self._instant = backend.breakers.instant
        self._breaker = breaker
        self._clock = backend.clock
        self._local = MemoryBreakers(backend.clock)
        self._away_since: float | None = None

    def ask(self, command: Command, *, local: bool = False) -> BreakerFlow[tuple[Any, bool]]:
        """The reply, and whether the local registry gave it. `local`: it is to be that one in any case."""
        if self._instant:  # Nothing to wait for, nothing to lose: no need to go through whoever drives the flow.
            return self.registry.execute([command])[0], False
        if local or self._is_away():
            return self._local.execute([command])[0], True
        try:
            (reply,) = yield [command]
        except (GuardRuntimeError, OSError) as error:
            self._lost(error)
            return self._local.execute([command])[0], True
        if self._away_since is not None:
            self._found()
        return reply, False

    def tally(self, key: CircuitKey, figures: Figures) -> Tally:
        """Where successes of a closed circuit are counted without asking. Not open with another kind of registry: also
        one that is derived from ours wants to hear of each call."""
        registry = self.registry
        return registry.tally(key, figures) if type(registry) is MemoryBreakers else SHUT

    def _is_away(self) -> bool:
        return self._away_since is not None and 0 <= self._clock.now() - self._away_since < REJOIN

    def _lost(self, error: BaseException) -> None:
        news = self._away_since is None
        self._away_since = self._clock.now()
        if news:
            kind = type(error).__name__
            _log.warning("breaker %s: its registry does not answer (%s); a local one decides", self._breaker, kind)
            emit("breaker.registry", breaker=self._breaker, reachable=False, error=kind)

    def _found(self) -> None:
        self._away_since = None
        _log.info("breaker %s: its registry answers again", self._breaker)
        emit("breaker.registry", breaker=self._breaker, reachable=True, error=None)
