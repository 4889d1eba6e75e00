"""What is done to a history that is too long, from what costs least to what costs most.

    offload or clip big results of tools → clear the arguments of old calls → leave messages to the summary
    → clip what must stay → excerpt the first request → give up

Old is what is not among the newest segments. Down to low water only what is old pays, and only if it is worth it; what
does not fit the room pays in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_guard.nodes.summarization.draft import Draft, Part
from langgraph_guard.nodes.summarization.reading import kind_of, text_of
from langgraph_guard.nodes.summarization.shrinking import cleared, shorter, without_bound_thoughts
from langgraph_guard.policies.compaction import Waters, oldest, waterline
from langgraph_guard.state.views import OURS

OLD_RESULT: Final = 800
"""Tokens of an old result that are left alone."""

SHOWN: Final = 400
"""Tokens that stay of a longer one, or a part of the room if that is less."""

GIANT: Final = 4
"""The part of the room that one result may have which was not read yet."""

LEAST_RESULT: Final = 24
TOMBSTONE: Final = 48
"""Tokens of a summary that says only that something was left out."""

Offload = Callable[[ToolMessage, int], tuple[BaseMessage, Any] | None]
"""A result put aside, with the characters that stay in sight: the message and the record, or `None`."""


@dataclass
class Plan:
    """What was done to the draft. `evicted`: messages that left for the summary, by slot; `summary`: tokens that it
    may have; `fits`: whether all of it has room."""

    evicted: dict[int, BaseMessage] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    results: int = 0
    arguments: int = 0
    clipped: int = 0
    summary: int = 0
    fits: bool = True
    needed: int = 0


class Ladder:
    """One climb. `base`: tokens of the prompt that are none of the messages'; `cap`: of the summary, at most."""

    def __init__(
        self, draft: Draft, waters: Waters, *, overhead: int, keep: int, cap: int, offload: Offload | None
    ) -> None:
        self.draft = draft
        self.waters = waters
        self.keep = keep
        self.cap = max(cap, TOMBSTONE)
        self.plan = Plan()
        self._offload = offload
        self._slot = draft.summary_slot()
        self._own = draft.tokens[self._slot] if self._slot is not None else 0
        self._planned = self._own
        self._base = overhead + draft.total() - sum(draft.tokens)

    def total(self) -> int:
        """What the draft will be as a prompt, with the summary that is planned."""
        return self._base + sum(self.draft.tokens) - self._own + self._planned

    def climb(self, *, due: bool = False) -> Plan:
        """Down to low water if that is worth it, or whatever is `due`; down to the room in any case."""
        if due:
            self._evict(0, self.keep)
        if self._is_worth_it():
            self._down_to(self.waters.low)
        if self.total() > self.waters.room:
            self._into_the_room()
        if self.plan.evicted:
            self._drop_bound_thoughts()
        self.plan.summary = self._planned
        self.plan.needed = self.total()
        self.plan.fits = self.plan.needed <= self.waters.room
        return self.plan

    def old_steps(self) -> int:
        """Answers of the model that are old, and not in the summary yet."""
        return sum(isinstance(self.draft.at(part.slots[0]), AIMessage) for part in self._old())

    # Down to low water

    def _old(self) -> list[Part]:
        parts = self.draft.parts()
        return [part for part in parts[: max(len(parts) - self.keep, 0)] if not part.segment.pinned]

    def _is_worth_it(self) -> bool:
        total = self.total()
        if total <= self.waters.high:
            return False
        reclaimable = sum(part.tokens for part in self._old()) - max(self.cap - self._planned, 0)
        return reclaimable + self._giants_excess() >= self.waters.least_gain

    def _down_to(self, goal: int) -> None:
        old = self._old()
        self._shorten(self.draft.results(old), OLD_RESULT, min(SHOWN, self.waters.room // 16))
        if self._offload is not None:
            self._shorten_giants()
        self._clear(old)
        if self.total() > goal:
            self._evict(goal, self.keep)

    def _results(self) -> list[int]:
        """Slots of results that may be shortened: also those beside a call that still waits."""
        return self.draft.results(part for part in self.draft.parts() if self._may_shorten(part))

    def _may_shorten(self, part: Part) -> bool:
        if not part.segment.pinned:
            return True
        return part.segment.open and not any(self.draft.is_kept(at) for at in part.slots)

    def _giants(self) -> list[int]:
        return [at for at in self._results() if self.draft.tokens[at] > self.waters.room // GIANT]

    def _giants_excess(self) -> int:
        """What offloading gains of results that are kept. Without it they are cut only where they must be."""
        if self._offload is None:
            return 0
        old = {at for part in self._old() for at in part.slots}
        return sum(self.draft.tokens[at] * 3 // 4 for at in self._giants() if at not in old)

    def _shorten_giants(self) -> None:
        self._shorten(self._giants(), 0, self.waters.room // (2 * GIANT))

    def _shorten(self, slots: Sequence[int], above: int, to: int) -> None:
        for at in slots:
            if self.draft.tokens[at] > max(above, to):
                self.plan.results += self._cut(at, to)

    def _clear(self, parts: Sequence[Part]) -> None:
        for part in parts:
            for at in part.slots:
                if isinstance(self.draft.at(at), AIMessage) and not part.segment.pinned:
                    self.plan.arguments += self.draft.shrink(at, _cleared)

    def _evict(self, goal: int, keep: int) -> None:
        """Leave the oldest to the summary until `goal` is reached; all that is old for 0, which never is."""
        parts = self.draft.parts()
        sizes = [part.tokens for part in parts]
        excess = self.total() + max(self.cap - self._planned, 0) - goal
        gone = [parts[at] for at in oldest([part.segment for part in parts], sizes, excess, keep)]
        if not gone:
            return
        self._planned = max(self._planned, self.cap)
        for part in gone:
            for at in part.slots:
                self.plan.evicted[at] = self.draft.at(at)
        self.draft.drop(gone)

    # Into the room

    def _into_the_room(self) -> None:
        """Each rung is climbed only while there is too much. The newest segment is the last to go, since without it the
        model asks again; what a person said first is shortened last."""
        room, high = self.waters.room, self.waters.high
        self._shorten_giants()
        rungs: tuple[Callable[[], None], ...] = (
            lambda: self._clear(self.draft.parts()),
            lambda: self._evict(high, 1),
            lambda: self._tighten(room),
            self._clip_results,
            lambda: self._evict(room, 0),
            lambda: self._tighten(room),
            self._excerpt,
        )
        for rung in rungs:
            if self.total() <= room:
                return
            rung()

    def _tighten(self, room: int) -> None:
        """The summary gets what is left to it."""
        if self._planned:
            self._planned = max(min(self._planned, self._planned - (self.total() - room)), TOMBSTONE)

    def _clip_results(self) -> None:
        results = self._results()
        sizes = [self.draft.tokens[at] for at in results]
        room = self.waters.room - (self.total() - sum(sizes))
        line = max(waterline(sizes, room), LEAST_RESULT)
        for at in results:
            if self.draft.tokens[at] > line:
                self.plan.clipped += self._cut(at, line)

    def _excerpt(self) -> None:
        """The first request in part, when there is a later one: it is why the run began, and is not what it is at."""
        people = [at for at in self.draft.alive() if _by_a_person(self.draft.at(at))]
        if len(people) > 1 and not self.draft.is_kept(people[0]):
            left = self.draft.tokens[people[0]] - (self.total() - self.waters.room)
            self.plan.clipped += self._cut(people[0], max(left, LEAST_RESULT), "message")

    # Parts

    def _cut(self, at: int, tokens: int, what: str = "result") -> bool:
        """Bring a message down to about so many tokens."""
        message = self.draft.at(at)
        if self._offload is not None and isinstance(message, ToolMessage):
            put_aside = self._offload(message, self._chars(at, tokens))
            if put_aside is not None and self.draft.shrink(at, lambda _: put_aside[0]):
                self.plan.artifacts.append(put_aside[1])
        cut = self.draft.messages[at] is not message
        for _ in range(4):  # characters at the ends may be worth more tokens than those in the middle
            if self.draft.tokens[at] <= tokens:
                break
            cut = self.draft.shrink(at, partial(shorter, most=self._chars(at, tokens), what=what)) or cut
        return cut

    def _chars(self, at: int, tokens: int) -> int:
        """Characters that are about so many tokens of the message at `at`."""
        return max(len(text_of(self.draft.at(at))) * tokens * 9 // (self.draft.tokens[at] * 10), 1)

    def _drop_bound_thoughts(self) -> None:
        """Of turns that are over. In the turn that runs, providers want the thoughts before a call to stand."""
        people = [at for at in self.draft.alive() if _by_a_person(self.draft.at(at))]
        for at in range(people[-1] if people else 0):
            if isinstance(self.draft.messages[at], AIMessage) and not self.draft.is_kept(at):
                self.draft.shrink(at, _thoughtless)


def _cleared(message: BaseMessage) -> BaseMessage:
    return cleared(message) if isinstance(message, AIMessage) else message


def _thoughtless(message: BaseMessage) -> BaseMessage:
    return without_bound_thoughts(message) if isinstance(message, AIMessage) else message


def _by_a_person(message: BaseMessage) -> bool:
    return kind_of(message) == "human" and not message.additional_kwargs.get(OURS)
