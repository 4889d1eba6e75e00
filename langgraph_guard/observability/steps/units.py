"""What is under way: the runs that LangChain said have begun, each below the one around it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from langgraph_guard.observability.steps.step import Kind, Status

MOST_OPEN: Final = 100_000
"""Units that are remembered: of a run whose end nobody tells, a part is given up."""


@dataclass(slots=True, eq=False)
class Unit:
    """Something that has begun, with what LangChain said of it. `status` and `attrs` are what is known of its end."""

    id: UUID
    kind: Kind
    name: object
    metadata: Mapping[str, Any]
    ts: float
    began: float
    around: Unit | None
    run: Unit | None
    """The run that it is part of; `None` when it is one."""

    model: str | None = None
    provider: str | None = None
    tool_call_id: str | None = None
    args: Any = None
    """The beginning of what a tool was given."""

    status: Status | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    reservations: tuple[str, ...] = ()
    """Of a metered model call: what its meters reserved for it."""

    has_parts: bool = False
    failed: set[str] = field(default_factory=set)
    """Names of the tools below it whose last call failed."""

    _key: str | None = None

    @property
    def key(self) -> str:
        """Its id as text, which each record within it has as well."""
        if self._key is None:
            self._key = str(self.id)
        return self._key

    @property
    def root(self) -> Unit:
        return self.run or self

    def lineage(self) -> Iterator[Unit]:
        """It, what is around it, and so on to the run."""
        unit: Unit | None = self
        while unit is not None:
            yield unit
            unit = unit.around

    def is_within(self, other: Unit) -> bool:
        return any(each is other for each in self.lineage())


class Units:
    """The open units of a recorder, by LangChain's id as a number, which is looked up faster.

    Callbacks come from many threads. Each asks the dict one thing at a time, which needs no lock.
    """

    def __init__(self) -> None:
        self._open: dict[int, Unit] = {}
        self._epoch = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def get(self, id: UUID | None) -> Unit | None:
        return None if id is None else self._open.get(id.int)

    def now(self) -> tuple[float, float]:
        """Epoch seconds, and the clock that durations are measured with.

        The former never go back: steps are drawn in the order in which they began. Where the wall clock goes on while
        the other one stands still, as in a machine that sleeps, they follow it.
        """
        wall, began = time.time(), time.perf_counter()
        self._epoch = max(self._epoch, wall - began)  # Not more than it is, whatever comes between the two.
        return self._epoch + began, began

    def open(self, unit: Unit) -> None:
        if unit.around is not None:
            unit.around.has_parts = True
        if len(self._open) >= MOST_OPEN:
            self._forget_the_oldest()
        self._open[unit.id.int] = unit

    def close(self, id: UUID) -> Unit | None:
        return self._open.pop(id.int, None)

    def left_below(self, root: Unit) -> list[Unit]:
        """Close what is still open below a run that has ended; the innermost first."""
        left = [unit for unit in list(self._open.values()) if unit.run is root] if self._open else []
        return [unit for unit in reversed(left) if self.close(unit.id) is not None]

    def _forget_the_oldest(self) -> None:
        with suppress(RuntimeError, StopIteration):  # Another thread changes the dict: the next one forgets another.
            self._open.pop(next(iter(self._open)), None)


def first(metadata: Mapping[str, Any] | None, *names: str) -> Any:
    """The first of these that the metadata has."""
    for name in names if metadata else ():
        if (found := metadata.get(name)) is not None:  # type: ignore[union-attr]
            return found
    return None
