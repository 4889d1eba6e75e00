"""High and low water: when to begin, how far to go, and what is worth doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_guard.policies.compaction.segments import Segment

MIN_GAIN: Final = 0.1
"""Of the limit. To rewrite a history costs a call, and the provider's cache of the prompt: less is not worth it."""


@dataclass(frozen=True, slots=True)
class Waters:
    """`limit`: what the model reads at most, `reserve`: how much of that is left to its answer. Tokens."""

    limit: int
    reserve: int
    trigger: float = 0.8
    target: float = 0.5

    @property
    def room(self) -> int:
        """What a prompt may have: the promise."""
        return self.limit - self.reserve

    @property
    def high(self) -> int:
        """Above this there is work to do."""
        return min(self.room, int(self.limit * self.trigger))

    @property
    def low(self) -> int:
        """Where the work ends."""
        return min(self.high, int(self.limit * self.target))

    @property
    def least_gain(self) -> int:
        return max(1, int(self.limit * MIN_GAIN))


def oldest(segments: Sequence[Segment], sizes: Sequence[int], excess: int, keep: int) -> list[int]:
    """The oldest segments that have `excess` tokens together, or all that may go: none that is pinned, and none of the
    newest `keep`. `sizes`: tokens of each segment. Places in `segments`."""
    gone: list[int] = []
    for at in range(max(len(segments) - keep, 0)):
        if excess <= 0:
            break
        if not segments[at].pinned:
            gone.append(at)
            excess -= sizes[at]
    return gone


def waterline(sizes: Sequence[int], room: int) -> int:
    """The height to which each of `sizes` is cut so that together they fit `room`: large ones pay, small ones stay."""
    left, others = room, len(sizes)
    for size in sorted(sizes):
        if size * others > left:
            return max(left // others, 0)
        left -= size
        others -= 1
    return max(sizes, default=0)
