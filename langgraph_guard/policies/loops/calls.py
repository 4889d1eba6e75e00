"""The calls of a turn as the detectors see them: digests in rounds, and how many of them are too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

KEPT_CALLS: Final = 128
"""Calls of a turn that are remembered, the newest."""

MOST: Final = 32
"""The highest threshold: what repeats so often, in a cycle of four, is still within what is remembered."""

POLLS: Final = 30
"""How often a tool that is meant to poll may give the same answer to the same arguments in one turn."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: in which round it was asked for, and digests of its arguments and result.

    A round is one message of the model with all its calls: what is asked for in parallel has no order.
    """

    round: int
    tool: str
    exact: str
    near: str
    shape: str
    result: str = ""  # "" when nobody saw one


Round = tuple[Call, ...]


@dataclass(frozen=True)
class Limits:
    """From which count on the detectors speak."""

    repeats: int = 3
    no_progress: int | None = 5
    longest_cycle: int = 4
    per_tool: Mapping[str, int] = field(default_factory=dict)
    polls: Callable[[str], bool] = lambda tool: False

    def of(self, tool: str) -> int:
        return self.per_tool.get(tool) or (max(POLLS, self.repeats) if self.polls(tool) else self.repeats)

    def together(self, tools: Iterable[str]) -> int:
        """For calls of several tools: the most that any of them may."""
        return max(map(self.of, tools), default=self.repeats)


def rounds(calls: Iterable[Call]) -> Iterator[Round]:
    """Calls in order, by the message that asked for them."""
    return (tuple(each) for _, each in groupby(calls, key=lambda call: call.round))
