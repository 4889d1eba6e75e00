"""What an event costs while nobody listens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Row, interleaved, show, times
from langgraph_guard.events import SCHEMA, emit

GOAL = 1e-6


def rows(rounds: int = 100) -> Iterator[Row]:
    values: dict[str, Any] = dict.fromkeys(SCHEMA["budget.settled"], 1)
    timing = interleaved(
        times(lambda: emit("budget.settled", **values)),
        times(lambda: nothing("budget.settled", **values)),
        rounds=rounds,
        calls=10_000,
    )
    holds = timing.ours < GOAL
    claim = "events: emit without listeners against a function that does nothing"
    yield Row(claim, show(timing.ours), show(timing.peer), timing.ratio, f"< {show(GOAL)}", holds)


def nothing(name: str, **attributes: Any) -> None:
    pass
