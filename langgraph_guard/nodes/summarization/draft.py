"""A history that is being rewritten, slot by slot: what a message becomes stays in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_guard.nodes.summarization.memo import memo_in, record_in
from langgraph_guard.nodes.summarization.reading import Pin, ids_are_unique, items_of, text_of
from langgraph_guard.nodes.summarization.shrinking import taken_back, without_calls
from langgraph_guard.nodes.summarization.sizes import Sizes
from langgraph_guard.policies.compaction import Segment, faults, segments
from langgraph_guard.tools.content.cleaning import clean

LATE: Final = 500
"""Characters of an answer that came too late which stay: who calls again because nobody answered pays twice."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment: its slots, and its tokens."""

    slots: tuple[int, ...]
    segment: Segment
    tokens: int


class Draft:
    """`messages` by slot, `None` where one is removed. `given`: as they came."""

    def __init__(self, given: Sequence[BaseMessage], sizes: Sizes, pin: Pin | None = None) -> None:
        self.given: Final = list(given)
        self.messages: list[BaseMessage | None] = [*given]
        self._sizes = sizes
        self._pin = pin
        self.tokens = [sizes.one(message) for message in given]

    # What it is

    def alive(self) -> list[int]:
        return [at for at, message in enumerate(self.messages) if message is not None]

    def result(self) -> list[BaseMessage]:
        return [message for message in self.messages if message is not None]

    def changed(self) -> list[int]:
        return [at for at, message in enumerate(self.messages) if message is not self.given[at]]

    def at(self, slot: int) -> BaseMessage:
        message = self.messages[slot]
        assert message is not None
        return message

    def total(self) -> int:
        """What can be seen of it as a prompt."""
        return self._sizes.total(self.result())

    def summary_slot(self) -> int | None:
        """Where the summary of earlier compactions stands."""
        return next((at for at in self.alive() if record_in(self.at(at)) is not None), None)

    def parts(self) -> list[Part]:
        """Its segments; the summary is none of them."""
        summary = self.summary_slot()
        slots = [at for at in self.alive() if at != summary]
        found = segments(items_of([self.at(at) for at in slots], self._pin))
        return [self._part(slots[each.start : each.end], each) for each in found]

    def is_kept(self, slot: int) -> bool:
        """Whether its owner wants the message kept as it is."""
        return self._pin is not None and bool(self._pin(self.at(slot)))

    def results(self, parts: Iterable[Part]) -> list[int]:
        """Slots of what tools said."""
        return [at for part in parts for at in part.slots if isinstance(self.at(at), ToolMessage)]

    def _part(self, slots: Sequence[int], segment: Segment) -> Part:
        return Part(tuple(slots), segment, sum(self.tokens[at] for at in slots))

    # What becomes of it

    def put(self, slot: int, message: BaseMessage | None) -> None:
        self.messages[slot] = message
        self.tokens[slot] = 0 if message is None else self._sizes.one(message)

    def drop(self, parts: Iterable[Part]) -> None:
        for part in parts:
            for at in part.slots:
                self.put(at, None)

    def shrink(self, slot: int, change: Callable[[BaseMessage], BaseMessage]) -> bool:
        """Put what `change` makes of a message in its place, if that is smaller."""
        before = self.at(slot)
        after = change(before)
        if after is before or self._sizes.one(after) >= self.tokens[slot]:
            return False
        self.put(slot, after)
        return True

    def repair(self) -> tuple[int, int]:
        """Make a history that providers refuse one that they take. How many answers and calls were at fault."""
        found = faults(items_of(self.given))
        for at, late in found.unanswered.items():
            message = self.given[at]
            assert isinstance(message, AIMessage)
            notes = {place: taken_back(message, place, self._late(by)) for place, by in late.items()}
            self.put(at, without_calls(message, notes))
        for at in found.strays:
            self.put(at, None)
        return len(found.strays), sum(map(len, found.unanswered.values()))

    def forget(self) -> None:
        """Drop what the summary stands for already, and what somebody handed in again all the same."""
        summary = self.summary_slot()
        memo = memo_in(self.messages[summary] if summary is not None else None)
        upto = next((at for at in self.alive() if memo.upto and self.at(at).id == memo.upto), -1)
        if summary is None or upto < summary or not ids_are_unique(self.given):
            return
        known = {at for at in range(summary, upto + 1) if self.given[at].id and self.given[at].id not in memo.kept}
        self.drop(part for part in self.parts() if not part.segment.pinned and known.issuperset(part.slots))

    def _late(self, by: int | None) -> str | None:
        """Cleaned: what a tool said is going to stand in the words of the assistant."""
        return None if by is None else clean(text_of(self.given[by])).text[:LATE]
