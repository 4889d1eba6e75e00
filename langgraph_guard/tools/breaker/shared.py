"""The registry that processes share, and the local one that decides while it is out of reach."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar, cast

from langgraph_guard.backends.memory.breakers import MemoryBreakers
from langgraph_guard.backends.memory.tally import SHUT, Tally
from langgraph_guard.backends.protocols import Backend
from langgraph_guard.errors import GuardRuntimeError
from langgraph_guard.events import emit
from langgraph_guard.policies.breaker.commands import (
    Admit,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Refused,
    Reply,
    Reset,
    Status,
)
from langgraph_guard.policies.breaker.settings import Figures

Result = TypeVar("Result")
BreakerFlow = Generator[Sequence[Command], list[Reply], Result]

REJOIN: Final = 5.0
"""Seconds for which a registry that did not answer is not asked again: each question costs the run its time-out."""

MOST_HELD: Final = 1_024
"""Circuits of which it is remembered that a person holds them open. For one more, the oldest is forgotten."""

HELD: Final = Refused("forced_open", None, None)
_HELD_STATUS: Final = Status("forced_open", admits=False, reason="forced_open")

_log = logging.getLogger(__name__)


class SharedCircuits:
    """Asks the backend's registry. While that does not answer, a local one with the same settings decides: a breaker
    is there to keep runs going, so it must not be what ends them. What a person was last seen to hold open it goes on
    refusing: that switch is no guess of ours."""

    def __init__(self, breaker: str, backend: Backend) -> None:
        self.registry = backend.breakers
        self._instant = backend.breakers.instant
        self._breaker = breaker
        self._clock = backend.clock
        self._local = MemoryBreakers(backend.clock)
        self._held: dict[CircuitKey, None] = {}
        self._away_since: float | None = None

    def ask(self, command: Command, *, local: bool = False) -> BreakerFlow[tuple[Any, bool]]:
        """The reply, and whether the local registry gave it. `local`: it is to be that one in any case."""
        if self._instant:  # Nothing to wait for, nothing to lose: no need to go through whoever drives the flow.
            return self.registry.execute([command])[0], False
        if local or self._is_away():
            return self._decide(command), True
        if self._away_since is not None:
            self._away_since = self._clock.now()  # whoever else comes now goes on by itself: one wait is enough
        try:
            (reply,) = yield [command]
        except (GuardRuntimeError, OSError) as error:
            self._lost(error)
            return self._decide(command), True
        if self._away_since is not None:
            self._found()
        self.learn(command, reply)
        return reply, False

    def learn(self, command: Command, reply: Any) -> None:
        """Remember what the registry said of circuits that people hold open."""
        if isinstance(command, (Admit, ForceOpen, Reset)):
            self._remember(command.key, isinstance(command, ForceOpen) or reply == HELD)
        elif isinstance(command, Peek):
            for key, status in zip(command.keys, reply, strict=True):
                self._remember(key, status.state == "forced_open")

    def tally(self, key: CircuitKey, figures: Figures) -> Tally:
        """Where successes of a closed circuit are counted without asking. Not open with another kind of registry: also
        one that is derived from ours wants to hear of each call."""
        registry = self.registry
        return registry.tally(key, figures) if type(registry) is MemoryBreakers else SHUT

    def _remember(self, key: CircuitKey, held: bool) -> None:
        if not held:
            self._held.pop(key, None)
            return
        if key not in self._held and len(self._held) >= MOST_HELD:
            self._held.pop(next(iter(list(self._held))), None)
        self._held[key] = None

    def _decide(self, command: Command) -> Any:
        """The local registry's reply, but for what people hold open."""
        if isinstance(command, Admit) and command.key in self._held:
            return HELD
        reply = self._local.execute([command])[0]
        if isinstance(command, Peek):
            told = zip(command.keys, cast("tuple[Status, ...]", reply), strict=True)
            return tuple(_HELD_STATUS if key in self._held else status for key, status in told)
        return reply

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
