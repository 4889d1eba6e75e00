"""One scripted summarizer for all: it notes what is planted in what it is shown, and what each message is about.

It answers in the form that it is asked for, prose or patches, in at most `capacity` tokens. Prose is written anew each
time: when there is no room for all, notes go first and what is planted after them, the oldest first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import get_buffer_string

from benchmarks.recall_talks import GOAL, NOTE, SENTENCE
from langgraph_guard.testing import ScriptedChatModel

PATCHES: Final = '"patches"'
CONVERSATION: Final = "from conversation:"
SECTIONS: Final = {
    "The goal": "intent",
    "We decided": "decisions",
    "The list": "artifacts",
    "Still open": "open",
    "Look-up": "next",
}
"""Where a sentence belongs, by its beginning; any other is a fact."""

Measure = Callable[[str], int]


@dataclass
class Summarizer:
    """`sent`: tokens that it was sent, call by call."""

    capacity: int
    count: Callable[[Sequence[BaseMessage]], int]
    measure: Measure
    sent: list[int] = field(default_factory=list)

    def model(self) -> ScriptedChatModel:
        return ScriptedChatModel(self.answer)

    def answer(self, messages: list[BaseMessage]) -> str:
        self.sent.append(self.count(messages))
        text = get_buffer_string(messages)
        if PATCHES in text:
            return self._patches(text.partition(CONVERSATION)[2])
        return self._prose(text)

    def _prose(self, text: str) -> str:
        planted, notes = noticed(text)
        said = [*planted, *notes]
        while said and self.measure("\n".join(said)) > self.capacity:
            said = _without_one(said)
        return "\n".join(said) or "Nothing of note."

    def _patches(self, text: str) -> str:
        planted, notes = noticed(text)
        said = [*map(_patch, planted), *map(_patch, notes)]
        while len(said) > 1 and self.measure(json.dumps({"patches": said})) > self.capacity:
            said.pop()
        return json.dumps({"patches": said})


def noticed(text: str) -> tuple[list[str], list[str]]:
    """What is planted in a text, and its notes: each once, in order, the goal first."""
    planted, notes = list(dict.fromkeys(SENTENCE.findall(text))), list(dict.fromkeys(NOTE.findall(text)))
    return sorted(planted, key=lambda each: each != GOAL), notes


def _without_one(said: list[str]) -> list[str]:
    notes = [each for each in said if NOTE.fullmatch(each)]
    gone = notes[0] if notes else next(each for each in said if each != GOAL)
    return [each for each in said if each != gone]


def _patch(sentence: str) -> dict[str, Any]:
    section = next((name for start, name in SECTIONS.items() if sentence.startswith(start)), "facts")
    status = "ASSUMED" if NOTE.match(sentence) else "ESTABLISHED"
    return {"op": "add", "section": section, "status": status, "text": sentence}
