"""Two ways to do a thing, timed in turns, and the row of the table that comes of it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

Batch = Callable[[int], object]
"""Does the thing so many times."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `holds` is `None` where there is no goal, and `ratio` where nothing was measured."""

    claim: str
    ours: str
    peer: str
    ratio: float | None
    goal: str = "–"
    holds: bool | None = None

    @classmethod
    def skipped(cls, name: str, why: str) -> Row:
        """What a benchmark has to say that cannot be measured on this machine."""
        return cls(f"{name}: skipped, {why}", "–", "–", None)


@dataclass(frozen=True)
class Timing:
    """Median CPU seconds of one of ours and of one of the peer's."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def added(self) -> float:
        return self.ours - self.peer

    def adds_less_than(self, goal: float, claim: str) -> Row:
        """The row of a claim about what ours costs on top of its peer."""
        ours = f"{show(self.ours)} (+{show(self.added)})"
        return Row(claim, ours, show(self.peer), self.ratio, f"+{show(goal)}", self.added < goal)


def interleaved(
    ours: Batch, peer: Batch, *, rounds: int, calls: int, clock: Callable[[], float] = time.process_time
) -> Timing:
    """Time `calls` of each, `rounds` times, with the first turn changing sides.

    CPU time of the whole process where nothing waits, because others may use the machine meanwhile; another `clock` for
    what waits for a server or a disk.
    """
    seconds: dict[Batch, list[float]] = {ours: [], peer: []}
    for batch in seconds:
        batch(calls)
    with no_garbage_collection():
        for at in range(rounds):
            for batch in (ours, peer) if at % 2 else (peer, ours):
                gc.collect()
                began = clock()
                batch(calls)
                seconds[batch].append((clock() - began) / calls)
    return Timing(median(seconds[ours]), median(seconds[peer]))


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Only when asked, and then only of what is new. What the caller froze stays frozen."""
    gc.collect()
    freezes = gc.get_freeze_count() == 0
    if freezes:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if freezes:
            gc.unfreeze()


def times(call: Callable[[], object]) -> Batch:
    def batch(calls: int) -> None:
        for _ in range(calls):
            call()

    return batch


def show(seconds: float) -> str:
    if seconds < 1e-6:
        return f"{seconds * 1e9:.0f} ns"
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-4 else f"{seconds * 1e6:.0f} µs"
