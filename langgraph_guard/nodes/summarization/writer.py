"""From messages that leave to a summary: by a model, piece by piece, and without one where it fails."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel

from langgraph_guard.errors import CircuitOpen, GuardRuntimeError
from langgraph_guard.nodes.summarization.reading import said_by
from langgraph_guard.nodes.summarization.sizes import Sizes
from langgraph_guard.policies.compaction.extract import Said, extracts
from langgraph_guard.policies.compaction.patches import MOST_CHARS, Patch, applied, read_patches
from langgraph_guard.policies.compaction.scripts import differ
from langgraph_guard.policies.compaction.summary import Summary
from langgraph_guard.policies.compaction.transcript import chunks
from langgraph_guard.policies.compaction.wording import INSTRUCTIONS, TIGHT, memory
from langgraph_guard.tools.content.cleaning import NonceInText, clean, fence

MOST_CALLS: Final = 16
"""Calls of one compaction. What is left after them is extracted."""

ANSWER: Final = 2_000
"""Tokens of the summarizer's window that are left to its answer, or a quarter of it if that is less."""

MARKS: Final = 160
"""Tokens around what is fenced."""

MARGIN: Final = 0.8
"""Of what is left: counts are of the agent's model, and the summarizer may count otherwise."""

LEAST: Final = 200
"""Tokens of messages with which a call is worth making."""

FULL: Final = 0.7
NONCE_BYTES: Final = 8

_log = logging.getLogger(__name__)


class Unusable(RuntimeError):
    """An answer that is no summary. `reason`: empty, too_long, tool_call, malformed, language."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the summarizer's answer is of no use: {reason}")
        self.reason = reason


class Ask(NamedTuple):
    """The command of the flow: ask the model, and give back what `read` makes of the answer."""

    messages: list[BaseMessage]
    read: Callable[[Any], list[Patch]]


class Written(NamedTuple):
    """A summary, and how it came about: `by` model, extract or both; `reason`: why not by the model alone."""

    summary: Summary
    by: str
    reason: str
    calls: int


WriteFlow = Generator[Sequence[Ask], list[Any], Written]


@dataclass(frozen=True)
class Writer:
    """`window`: what the model can read; `None` without a model."""

    sizes: Sizes
    cap: int
    window: int | None

    def write(self, summary: Summary, gone: Mapping[int, BaseMessage]) -> WriteFlow:
        """`summary` with what the messages that are gone leave behind. A model that fails never fails this."""
        said = [said_by(message, f"m{number}") for number, message in enumerate(gone.values(), 1)]
        refs = {each.ref: message.id or "" for each, message in zip(said, gone.values(), strict=True)}
        by_model = _ByModel(self, summary, said, refs)
        reason = yield from by_model.write()
        summary, rest = by_model.summary, said[by_model.read :]
        if rest:
            summary = by_model.changed(extracts(rest))
        by = "model" if not rest else "both" if by_model.read else "extract"
        done = replace(summary, covers=summary.covers + len(said), compactions=summary.compactions + 1)
        return Written(done, by, reason if rest else "", by_model.calls)

    def chunk(self, summary: Summary) -> int:
        """Tokens of messages that fit one call."""
        if self.window is None:
            return 0
        told = self.sizes.text(INSTRUCTIONS) + self.sizes.text(TIGHT) + self.sizes.text(memory(summary)) + MARKS
        return int((self.window - min(ANSWER, self.window // 4) - told) * MARGIN)


class _ByModel:
    """The part of the work that the model does: all of it, or what it did before it failed."""

    def __init__(self, writer: Writer, summary: Summary, said: Sequence[Said], refs: Mapping[str, str]) -> None:
        self.writer = writer
        self.summary = summary
        self.said = said
        self.refs = refs
        self.read = 0
        """Messages that are in the summary."""
        self.calls = 0

    def write(self) -> Generator[Sequence[Ask], list[Any], str]:
        """Why it ended early; "" when it did not."""
        most = self.writer.chunk(self.summary)
        if most < LEAST:
            return "no_model" if self.writer.window is None else "window"
        for group in chunks(self.said, most, self.writer.sizes.text):
            if self.calls == MOST_CALLS:
                return "too_much"
            try:
                self.calls += 1
                (patches,) = yield [Ask(self._prompt([text for _, text in group]), self._checked)]
            except GraphBubbleUp:
                raise
            except Exception as error:
                _log.warning("a summary is written without its model: %s (%s)", type(error).__name__, reason_of(error))
                return reason_of(error)
            self.summary = self.changed(patches)
            self.read = self.said.index(group[-1][0]) + 1
        return ""

    def changed(self, patches: Sequence[Patch]) -> Summary:
        changed = applied(self.summary, patches, self.refs, self.summary.compactions + 1)
        return changed.fitted(self.writer.cap, self.writer.sizes.text)

    def _prompt(self, texts: Sequence[str]) -> list[BaseMessage]:
        known = memory(self.summary)
        tight = self.writer.sizes.text(known) > FULL * self.writer.cap
        told = f"{INSTRUCTIONS}\n{TIGHT}" if tight else INSTRUCTIONS
        parts = fenced(known, "memory"), fenced("\n\n".join(texts), "conversation")
        return [SystemMessage(told), HumanMessage("\n\n".join((*parts, "Answer with the JSON of the patches now.")))]

    def _checked(self, answer: Any) -> list[Patch]:
        """The patches in an answer, or `Unusable`."""
        patches = [replace(patch, text=clean(patch.text).text) for patch in patches_in(answer)]
        words = " ".join(patch.text for patch in patches)
        people = " ".join(each.text for each in self.said if each.by == "user")
        if differ(words, people) and differ(words, " ".join(each.text for each in self.said)):
            raise Unusable("language")
        return patches


def patches_in(answer: Any) -> list[Patch]:
    """What an answer says, whatever kind of value it is. Removals alone are no summary of anything."""
    if isinstance(answer, AIMessage):
        said: Any = answer.text
        if answer.tool_calls and not said.strip():
            raise Unusable("tool_call")
    else:
        said = answer.model_dump() if isinstance(answer, BaseModel) else answer
    if isinstance(said, str) and not said.strip():
        raise Unusable("empty")
    if isinstance(said, str) and len(said) > MOST_CHARS:
        raise Unusable("too_long")
    patches = read_patches(said)
    if not any(patch.op != "remove" for patch in patches):
        raise Unusable("malformed")
    return patches


def reason_of(error: Exception) -> str:
    """Why a model did not write a summary, in a word."""
    match error:
        case Unusable():
            return error.reason
        case CircuitOpen():
            return "circuit_open"
        case GuardRuntimeError():
            return "budget"
        case TimeoutError():
            return "timeout"
        case _:
            return "timeout" if "Timeout" in type(error).__name__ else "error"


def fenced(text: str, source: str) -> str:
    """`text` between marks that nobody could foresee."""
    while True:
        try:
            return fence(text, source=source, nonce=secrets.token_hex(NONCE_BYTES))
        except NonceInText:
            continue
