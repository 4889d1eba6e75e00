"""Where a history may be cut: between segments, and never inside one.

A segment is a message of a person, or an AI message with all that its tools answered, or any other message. A tool
message whose call is gone cannot come about, because no cut comes between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langgraph_guard.policies.compaction.items import Item


class Segment(NamedTuple):
    """The items from `start` up to `end`. `open`: a tool call in it waits for its answer."""

    start: int
    end: int
    pinned: bool
    open: bool


def segments(items: Sequence[Item]) -> list[Segment]:
    """The segments of a history without faults, in order.

    Pinned: system messages at the front, the first and the last message of a person, a call that waits for its answer
    (also for an approval), and whatever its owner pinned.
    """
    kept = _pinned(items)
    found: list[Segment] = []
    start = 0
    while start < len(items):
        end = _end(items, start)
        waits = len(items[start].asks) >= end - start  # `end` counts the answers, and the message itself
        pinned = any(at in kept or items[at].pinned for at in range(start, end))
        found.append(Segment(start, end, pinned or waits, waits))
        start = end
    return found


def _end(items: Sequence[Item], start: int) -> int:
    end = start + 1
    while items[start].asks and end < len(items) and items[end].kind == "tool":
        end += 1
    return end


def _pinned(items: Sequence[Item]) -> set[int]:
    """Places that are pinned for what they are."""
    front = next((at for at, item in enumerate(items) if item.kind != "system"), len(items))
    people = [at for at, item in enumerate(items) if item.by_a_person]
    return {*range(front), *people[:1], *people[-1:]}
