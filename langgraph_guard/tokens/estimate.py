"""Tokens of a prompt, from what the provider last reported and an estimate of what came after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

CHARS_PER_TOKEN: Final = 3.0
"""English has about four; three leaves room for code and figures, because an estimate that is low overspends."""


class TokenCounter(Protocol):
    """How many tokens a model will read."""

    def __call__(self, messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int: ...


def estimate_tokens(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    """Tokens of `messages` and the schemas of `tools`.

    The newest AI message with usage is the anchor: what it read and wrote, system prompt and tools included, is what
    the next call reads again. Only messages after it are estimated.
    """
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, AIMessage) and message.usage_metadata:
            return message.usage_metadata.get("total_tokens", 0) + _approximate(messages[at + 1 :])
    return _approximate(messages, tools)


def _approximate(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    if not messages and not tools:
        return 0
    return count_tokens_approximately(messages, chars_per_token=CHARS_PER_TOKEN, tools=list(tools) or None)
