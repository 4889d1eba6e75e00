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
        if reported := _reported(messages[at]):
            return reported + _approximate(messages[at + 1 :])
    return _approximate(messages, tools)


def _reported(message: BaseMessage) -> int:
    """What a message's call read and wrote; 0 when nothing is reported that can be true."""
    told: Any = (message.usage_metadata if isinstance(message, AIMessage) else None) or {}
    read, written = told.get("input_tokens"), told.get("output_tokens")
    if type(read) is not int or type(written) is not int or read <= 0 or written < 0:
        return 0
    return read + written


def _approximate(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    if not messages and not tools:
        return 0
    return count_tokens_approximately(messages, chars_per_token=CHARS_PER_TOKEN, tools=list(tools) or None)
