"""What the provider last reported, as the base of the next count, and when to believe it.

The usage of an AI message says how long the prompt before it was: system prompt and tool schemas included, which no
local count can see. It stands for as long as that prompt is still the beginning of this one. System messages at the
front are left out of the comparison, because nodes add them on the way to the model.

A report is believed when the prompt before it is one that was counted here before the answer came. One that is seen for
the first time (after a restart, or from a model that nobody counts for) is believed unless it says more than the visible
prompt can be plus `HIDDEN`: that is what an answer looks like that was kept while the history before it was
summarised away. From then on it stands only behind the same messages. A report of less than a quarter of what is
counted here is of something else (gateways leave cached tokens out), and so is that of another model.
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
from langgraph_guard.tokens.tally import Tally

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
class Asked:
    """A prompt that was counted: for which model, and what its system messages and tools came to."""

    model: str | None
    fixed: int


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

    def counted(self, prompt: bytes, model: str | None, fixed: int) -> None:
        """Note a prompt, so that the report of its answer will be known."""
        before = self._asked.get(prompt)
        if before is not None:
            model, fixed = model or before.model, max(fixed, before.fixed)
        self._asked.put(prompt, Asked(model, fixed))

    def newest(
        self, history: History, messages: Sequence[BaseMessage], fixed: Tally, model: str | None
    ) -> Anchor | None:
        """The newest report that stands for the beginning of `messages`."""
        for at in reversed(history.reports[-CANDIDATES:]):
            message = messages[at]
            report = report_of(message, model) if isinstance(message, AIMessage) else None
            if report is None:
                continue
            asked = self._asked.get(history.chain[at])
            visible = history.sums[at].plus(fixed)
            if not _fits(report, asked, history.sums[at], model):
                continue
            if asked is not None or self._stands(message, history.chain[at], report, visible):
                return Anchor(at, report, asked.fixed if asked else None)
        return None

    def _stands(self, message: BaseMessage, prompt: bytes, report: Report, visible: Tally) -> bool:
        key = message.id or (fingerprint(message), report.read)
        first = self._first.get(key)
        if first is None and report.read <= visible.most + HIDDEN:
            self._first.put(key, prompt)
            return True
        return first == prompt


def _fits(report: Report, asked: Asked | None, visible: Tally, model: str | None) -> bool:
    if report.read * TOO_FEW < visible.tokens:
        return False
    if asked is not None and asked.model is not None and model is not None:
        return asked.model == model  # Gateways answer in others' names; which model was asked is certain.
    return not differ(model, report.model)


def report_of(message: AIMessage, model: str | None) -> Report | None:
    """The usage of an answer, or `None` when there is none that can be."""
    usage: dict[str, Any] = dict(message.usage_metadata or {})
    read, written = _figure(usage.get("input_tokens")), _figure(usage.get("output_tokens"))
    if not read:
        return None
    forgotten = min(written, _reasoning(usage)) if _drops_reasoning(message, model) else 0
    name = message.response_metadata.get("model_name") or message.response_metadata.get("model")
    return Report(read, read + written - forgotten, read + written, name if isinstance(name, str) else None)


def _figure(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _reasoning(usage: dict[str, Any]) -> int:
    """Reasoning tokens; with a service tier the name has the tier before it."""
    details = usage.get("output_token_details")
    found = details.items() if isinstance(details, dict) else ()
    return sum(_figure(value) for name, value in found if str(name).endswith("reasoning"))


def _drops_reasoning(message: AIMessage, model: str | None) -> bool:
    """Whether the next prompt goes without this answer's reasoning: OpenAI's chat models, when it is not in the message."""
    blocks = message.content if isinstance(message.content, list) else ()
    carried = any(isinstance(block, dict) and block.get("type") == "reasoning" for block in blocks)
    return family_of(model).exact and not carried
