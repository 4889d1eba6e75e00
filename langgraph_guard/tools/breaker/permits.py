"""What a caller is given: a permit for one call, or why there is none."""

from __future__ import annotations

import os
import uuid
from itertools import count
from typing import NamedTuple

from langgraph_guard.errors import CircuitOpen
from langgraph_guard.policies.breaker.circuit import State


class Ids:
    """Ids for permits: unique among all processes, a forked one too."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._process, self._made = uuid.uuid4().hex[:16], count()

    def next(self) -> str:
        return f"{self._process}-{next(self._made)}"


class Permit(NamedTuple):
    """A call that was let through. Give it back with how the call ended. `probe`: others wait for its result."""

    key: str
    id: str
    generation: int
    probe: bool = False
    local: bool = False


class Refused(NamedTuple):
    """A call that may not be made. `retry_after`: seconds until another try; `None` while a person holds it open."""

    key: str
    state: State
    retry_at_ms: int | None = None
    retry_after: float | None = None

    def error(self) -> CircuitOpen:
        """The same as an exception."""
        return CircuitOpen(self.key, self.state, self.retry_after)
