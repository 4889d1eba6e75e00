"""Exact prompts, tool definitions, raw answers and reasoning, for whoever asks for them. They stay on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langgraph_guard.observability.redaction import Redactor

MOST_CHARS: Final = 1_000_000
"""Characters of a prompt or an answer that are kept, and no more of them are read: the run waits."""
MOST_VALUES: Final = 20_000


class Prompts:
    """What a model was sent and what it gave back, whole, with secrets taken out."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def sent(self, prompt: Any, said: Mapping[str, Any]) -> dict[str, Any]:
        """`prompt`: messages, or texts of a model without messages."""
        return {"prompt": self._whole(_messages(prompt)), "tools": self._whole(said.get("tools"))}

    def received(self, message: Any) -> dict[str, Any]:
        if not isinstance(message, BaseMessage):
            return {"answer": self._whole(message)}
        thoughts = [block for block in _blocks(message) if "reasoning" in str(block.get("type", ""))]
        answer: dict[str, Any] = {"answer": self._whole(_messages([message]))}
        return {**answer, "reasoning": self._whole(thoughts)} if thoughts else answer

    def _whole(self, value: Any) -> str | None:
        """As JSON; cut with a mark when it is longer than anybody reads."""
        if value is None:
            return None
        try:
            shown = self._redactor.value(value, chars=MOST_CHARS, total=MOST_CHARS, most=MOST_VALUES)
            text = json.dumps(shown, ensure_ascii=False, default=lambda each: f"<{_kind(each)}>")
        except Exception:
            return f"<{_kind(value)} that cannot be written down>"
        text = text.encode(errors="replace").decode()
        return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text)} characters)"


def _messages(prompt: Any) -> Any:
    if isinstance(prompt, Iterable) and not isinstance(prompt, str | Mapping):
        parts = list(prompt)
        if all(isinstance(each, BaseMessage) for each in parts):
            return [{"type": each.type, "data": dict(each)} for each in parts]  # as LangChain writes them down
        return parts
    return prompt


def _blocks(message: BaseMessage) -> list[Any]:
    try:
        return list(message.content_blocks)
    except Exception:
        return []


def _kind(value: object) -> str:
    return type(value).__name__
