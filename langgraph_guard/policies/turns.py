"""When a turn begins, and how much of it has passed.

A turn runs from one human message of the input to the next. It is fixed when a run enters: a run that resumes carries
on the turn it left, and messages that appear within a run, whoever wrote them, open nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SEEN_TURNS: Final = 8
"""Ids of messages that are remembered for opening no turn: of earlier turns, which a compaction may uncover, and of
messages that other agents wrote as people."""


def enter(stored: Mapping[str, Any], opener: str | None, *, resuming: bool, fresh: str, now_ms: int) -> dict[str, Any]:
    """The turn that a run is in: the `stored` one, or a new one opened by the message `opener`.

    `fresh` is the id of a turn that no message opened.
    """
    if stored and (resuming or opener is None or opener == stored["id"] or opener in stored.get("seen", ())):
        return dict(stored)
    seen = [*stored.get("seen", ()), stored["id"]] if stored else []
    return {
        "id": opener or fresh,
        "seq": stored.get("seq", 0) + 1,
        "opened_at": now_ms,
        "active_ms": 0,
        "steps": 0,
        "last_step": 0,
        "cycle": 0,
        "seen": seen[-SEEN_TURNS:],
    }


def passed(turn: Mapping[str, Any], *, active_ms: int, steps: int, newest: str | None = None) -> dict[str, Any]:
    """The turn with its time and steps brought up to now, and the longest way that it took between two visits.

    `newest` is the newest message that looks like a person's. Within a turn it opens nothing, now or later.
    """
    gap = steps - turn.get("steps", 0)
    known = turn.get("seen", [])
    heard = [] if newest is None or newest == turn["id"] or newest in known else [newest]
    return {
        **turn,
        "seen": [*known, *heard][-SEEN_TURNS:],
        "active_ms": max(active_ms, turn.get("active_ms", 0)),
        "steps": max(steps, turn.get("steps", 0)),
        "cycle": max(gap, turn.get("cycle", 0)),
    }


def must_land(turn: Mapping[str, Any], remaining: int | None) -> bool:
    """Whether another round could run into LangGraph's recursion limit, `remaining` supersteps away.

    A round is as long as the longest so far, and one step is left for the landing. The first visit never lands: the
    way ahead may be short.
    """
    cycle = turn.get("cycle", 0)
    return remaining is not None and cycle > 0 and remaining <= cycle + 1
