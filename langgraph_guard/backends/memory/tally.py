"""Successes of a closed circuit, counted without a lock: nearly all calls there are end like that."""

from __future__ import annotations

from itertools import repeat
from operator import length_hint
from typing import Final

from langgraph_guard.policies.breaker.circuit import Circuit
from langgraph_guard.policies.breaker.settings import Figures

PLACES: Final = 512
"""Successes that a tally has room for: to close it takes a few microseconds at the most."""


class Tally:
    """Successes of one bucket of a generation, under one caller's settings. While it is `open`, its circuit is closed.

    Each success takes a place, and whoever closes the tally takes all that are left. Both are one call in C, which
    nothing comes between under the GIL: a success has been counted, or is told that it was not. None is lost.
    """

    __slots__ = ("_begins", "_ends", "_left", "_places", "_slow", "figures", "generation", "open")

    def __init__(self, generation: int, figures: Figures, number: int) -> None:
        self.open = True
        self.generation = generation
        self.figures = figures
        # Floats, which compare with floats three times as fast as ints do, and hold such milliseconds exactly.
        self._begins = float(number * figures.bucket_ms)
        self._ends = self._begins + figures.bucket_ms
        self._slow = float("inf") if figures.slow_ms is None else float(figures.slow_ms)
        self._places = repeat(True, PLACES)
        self._left: list[bool] = []

    def count(self, now_ms: float, duration_ms: float) -> bool:
        """Whether a success was counted. If not, it is not of this bucket, was slow, or the tally is full or closed."""
        return self._begins <= now_ms < self._ends and duration_ms < self._slow and next(self._places, False)

    def close(self) -> None:
        """Count no more. Nothing changes when that is done again, so a KeyboardInterrupt may fall anywhere."""
        self.open = False
        self._left.extend(self._places)

    def added_to(self, circuit: Circuit) -> Circuit:
        """`circuit`, which had this tally since its last bucket was written, with what was counted."""
        counted = PLACES - len(self._left) - length_hint(self._places)
        if not counted:
            return circuit
        *others, last = circuit.buckets
        return circuit._replace(buckets=(*others, last._replace(calls=last.calls + counted)))


def _shut() -> Tally:
    tally = Tally(-1, Figures(0, 0, None, 0, 0, 0, 0, 0, 0, 0, 0), 0)
    tally.close()
    return tally


SHUT: Final = _shut()
"""The tally of a circuit that has none."""


def tally_for(circuit: Circuit, figures: Figures) -> Tally:
    """A tally for what follows the call that was just counted in `circuit`; `SHUT` if a success may open it.

    It may while the calls are too few to judge by, once something failed. Later ones only lower the shares.
    """
    if circuit.state != "closed" or not circuit.buckets:
        return SHUT
    _, calls, failures, slow = map(sum, zip(*circuit.buckets, strict=True))
    if calls < figures.minimum and (failures or slow):
        return SHUT
    return Tally(circuit.generation, figures, circuit.buckets[-1].number)
