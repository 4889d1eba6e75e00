"""What is wrong with a history that arrives broken: providers refuse it, and no step of the run would get past it.

Answers must follow the message that asked for them, each call once. What a person wrote is never at fault.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langgraph_guard.policies.compaction.items import Item


@dataclass(frozen=True)
class Faults:
    """`strays`: places of tool messages that answer nothing that was just asked. `unanswered`: by the place of an AI
    message, its calls that no answer follows, each with the place of the stray that answered it too late, if one did.
    """

    strays: frozenset[int] = frozenset()
    unanswered: Mapping[int, Mapping[int, int | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.strays or self.unanswered)


def faults(items: Sequence[Item]) -> Faults:
    """The faults of a history. The calls of its last AI message may still be answered, unless something else follows
    it: those are none."""
    check = _Check()
    for at, item in enumerate(items):
        if item.kind == "tool":
            check.answer(at, item)
        else:
            check.close()
            check.asked_at = at
            for place, id in enumerate(item.asks):
                check.waiting[id].append(place)
    return Faults(frozenset(check.strays), check.unanswered)


@dataclass
class _Check:
    """One walk: the calls of the message before, and what went wrong so far."""

    asked_at: int = -1
    waiting: defaultdict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    missed: dict[str, tuple[int, int]] = field(default_factory=dict)
    strays: set[int] = field(default_factory=set)
    unanswered: dict[int, dict[int, int | None]] = field(default_factory=dict)

    def answer(self, at: int, item: Item) -> None:
        if self.waiting.get(item.answers):
            self.waiting[item.answers].popleft()
            return
        self.strays.add(at)
        if item.answers in self.missed:
            message, place = self.missed.pop(item.answers)
            self.unanswered[message][place] = at

    def close(self) -> None:
        """Nothing more can answer the message before."""
        for id, places in self.waiting.items():
            for place in places:
                self.unanswered.setdefault(self.asked_at, {})[place] = None
                self.missed[id] = (self.asked_at, place)
        self.waiting.clear()
