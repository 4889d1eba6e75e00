"""What the savers of one namespace share: names, options, and what was written a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, TypeAlias

from langgraph_guard.checkpoint.cloudflare.layout import Keyspace, Space
from langgraph_guard.checkpoint.cloudflare.names import Stamps
from langgraph_guard.checkpoint.cloudflare.recent import Recent

Consistency: TypeAlias = Literal["session", "eventual"]

INDEXED_ANEW: Final = 600.0
"""Seconds after which a run that is still active is indexed again: another process may have deleted it meanwhile."""

A_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Options:
    """How a saver behaves. Times are seconds.

    `visibility`: after that a write is taken to be seen everywhere; 0 says that the store is strongly consistent.
    `patience`: for how long something that is known to exist is waited for.
    """

    ttl: int | None = None
    consistency: Consistency = "session"
    visibility: float = 120.0
    patience: float = 10.0


@dataclass(frozen=True, slots=True)
class Store:
    """One tenant's threads in one namespace."""

    keys: Keyspace
    options: Options
    now: Callable[[], float]
    recent: Recent
    stamps: Stamps
    _indexed: dict[tuple[str, Space], float] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Keyspace, options: Options, now: Callable[[], float]) -> Store:
        return cls(keys, options, now, Recent(now, options.visibility), Stamps(now))

    @property
    def waits(self) -> bool:
        """Whether signs that something newer exists are waited out."""
        return self.options.consistency == "session" and self.options.visibility > 0

    def is_young(self, moment: float) -> bool:
        """Whether what was written then may not be visible yet. A clock that is further ahead tells nothing."""
        return abs(self.now() - moment) < self.options.visibility

    def index_due(self, run: str, space: Space) -> bool:
        """Whether it is to be noted that a run writes here."""
        return self.now() - self._indexed.get((run, space), -INDEXED_ANEW) >= self._anew

    def indexed(self, run: str, space: Space) -> None:
        now = self.now()
        self._indexed.pop((run, space), None)
        self._indexed[run, space] = now
        for each, at in list(islice(self._indexed.items(), A_FEW)):  # the oldest
            if now - at >= self._anew:
                self._indexed.pop(each, None)

    def forget(self, *, run: str | None = None, thread: str | None = None) -> None:
        """What is indexed of a run, or of a thread, is deleted."""
        for each in [each for each in list(self._indexed) if each[0] == run or each[1].thread == thread]:
            self._indexed.pop(each, None)

    @property
    def index_ttl(self) -> int | None:
        """An index outlives what it names."""
        return None if self.options.ttl is None else 2 * self.options.ttl + int(INDEXED_ANEW)

    @property
    def _anew(self) -> float:
        return INDEXED_ANEW if self.options.ttl is None else min(INDEXED_ANEW, self.options.ttl)
