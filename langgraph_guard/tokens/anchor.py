"""What the provider last reported, as the base of the next count, and when to believe it.

The usage of an AI message says how long the prompt before it was: system prompt and tool schemas included, which no
local count can see. It stands for as long as that prompt is still the beginning of this one. System messages at the
front are left out of the comparison, because nodes add them on the way to the model; what they and the tools have
grown since is added.

A report is believed when the prompt before it is one that was counted here before the answer came. One that is seen
for the first time (after a restart, or from a model that nobody counts for) is believed unless it says more than the
visible prompt can be plus `HIDDEN`: that is what an answer looks like that was kept while the history before it was
summarised away. From then on it stands only behind the same messages.

Not believed is a report of another model, and one of less than a quarter of what is counted here: gateways leave cached
tokens out. Who looks at a state may see more than the model that read of it, so a look compares with what was read for
certain: all of it if just that prompt was sent, and otherwise the message that was answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_guard.tokens.fingerprint import fingerprint
from langgraph_guard.tokens.history import History
from langgraph_guard.tokens.models import differ, family_of
from langgraph_guard.tokens.recent import Recent
from langgraph_guard.tokens.tally import NOTHING, Tally

HIDDEN: Final = 32_000
"""Tokens of system prompt and tools that a first report may contain without our having seen them."""

TOO_FEW: Final = 4
"""A report that is so many times smaller than the count is not of this prompt."""

CANDIDATES: Final = 8
"""How many reports to look at, newest first."""

REMEMBERED: Final = 8_192


@dataclass(frozen=True, slots=True)
class Report:
    """What one answer says about its prompt. `context` is what the next prompt contains of both."""

    read: int
    context: int
    most: int
    model: str | None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a count is of. `fixed` is what stands around the messages: system messages and tools. `sent_to` is the model
    that is about to read exactly this, "" when it has no name, `None` for a look at a state."""

    messages: Sequence[Any]
    history: History
    fixed: Tally
    model: str | None
    sent_to: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt that was counted: for which model, and what stood around it."""

    sent_to: str | None
    fixed: int

    def and_again(self, other: Asked) -> Asked:
        """Looks say less than a call. Of two calls with the same messages, nobody knows whose answer it will be."""
        if self.sent_to is not None and other.sent_to is not None:
            return Asked(other.sent_to, min(self.fixed, other.fixed))
        if self.sent_to is not None or other.sent_to is not None:
            return other if self.sent_to is None else self
        return Asked(None, max(self.fixed, other.fixed))


@dataclass(frozen=True, slots=True)
class Anchor:
    """The report of the message at `at`. `fixed` is what stood around the messages then, if that is known."""

    at: int
    report: Report
    fixed: int | None


class Anchors:
    """Which prompts were counted, and behind what each report was first seen."""

    def __init__(self) -> None:
        self._asked: Recent[bytes, Asked] = Recent(REMEMBERED)
        self._first: Recent[Any, bytes] = Recent(REMEMBERED)

    def counted(self, prompt: Prompt) -> None:
        """Note a prompt, so that the report of its answer will be known. What has no messages is nobody's prompt."""
        if not len(prompt.history):
            return
        key, asked = prompt.history.chain[-1], Asked(prompt.sent_to, prompt.fixed.tokens)
        before = self._asked.get(key)
        self._asked.put(key, asked if before is None else before.and_again(asked))

    def newest(self, prompt: Prompt) -> Anchor | None:
        """The newest report that stands for the beginning of `prompt`."""
        history = prompt.history
        for at in reversed(history.reports[-CANDIDATES:]):
            message = prompt.messages[at]
            report = report_of(message, prompt.model) if isinstance(message, AIMessage) else None
            asked = self._asked.get(history.chain[at])
            if report is None or not _of_the_model(report, asked, prompt):
                continue
            visible = history.sums[at].plus(prompt.fixed)
            if report.read * TOO_FEW < _surely_read(prompt, at, visible, asked).tokens:
                continue
            if self._stands(message, report, history.chain[at], visible, known=asked is not None):
                return Anchor(at, report, asked.fixed if asked else None)
        return None

    def _stands(self, message: BaseMessage, report: Report, before: bytes, visible: Tally, *, known: bool) -> bool:
        """Whether the report is about the messages before it, and from now on about no others."""
        key = message.id or (fingerprint(message), report.read)
        first = self._first.get(key)
        if known or (first is None and report.read <= visible.most + HIDDEN):
            self._first.put(key, before)
            return True
        return first == before


def _surely_read(prompt: Prompt, at: int, visible: Tally, asked: Asked | None) -> Tally:
    """What the answer at `at` was to, at the least."""
    if prompt.sent_to is not None or (asked is not None and asked.sent_to is not None):
        return visible
    sums = prompt.history.sums
    return sums[at].minus(sums[at - 1]) if at else NOTHING


def _of_the_model(report: Report, asked: Asked | None, prompt: Prompt) -> bool:
    if asked is not None and asked.sent_to and prompt.model:
        return asked.sent_to == prompt.model  # Gateways answer in others' names; which model was asked is certain.
    return not differ(prompt.model, report.model)


def report_of(message: AIMessage, model: str | None) -> Report | None:
    """The usage of an answer, or `None` when there is none that can be."""
    usage: dict[str, Any] = dict(message.usage_metadata or {})
    read, written = _figure(usage.get("input_tokens")), _figure(usage.get("output_tokens"))
    if not read or written is None:
        return None
    forgotten = min(written, _reasoning(usage)) if _drops_reasoning(message, model) else 0
    name = message.response_metadata.get("model_name") or message.response_metadata.get("model")
    return Report(read, read + written - forgotten, read + written, name if isinstance(name, str) else None)


def _figure(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _reasoning(usage: dict[str, Any]) -> int:
    """Reasoning tokens; with a service tier the name has the tier before it."""
    details = usage.get("output_token_details")
    found = details.items() if isinstance(details, dict) else ()
    return sum(_figure(value) or 0 for name, value in found if str(name).endswith("reasoning"))


def _drops_reasoning(message: AIMessage, model: str | None) -> bool:
    """Whether the next prompt goes without this answer's reasoning: with OpenAI, unless the message carries it."""
    blocks = message.content if isinstance(message.content, list) else ()
    carried = any(isinstance(block, dict) and block.get("type") == "reasoning" for block in blocks)
    return family_of(model).exact and not carried
