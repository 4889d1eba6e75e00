"""The two models, scripted: what they say is fixed, what they read grows as it does in production."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says
from langgraph_guard.testing.answers import count_input
from langgraph_guard.tools import ToolResult

ORDER: Final = "4711"
PENDING: Final = f"Order {ORDER} is still pending. I will check again."
OUTPUT: Final = 24
"""Tokens of `PENDING` and the call behind it."""


def confused(tool: BaseTool) -> ScriptedChatModel:
    """gpt-4o on that night: whatever the tool says, the order is pending and the tool is called again."""
    schemas = [convert_to_openai_tool(tool)]

    def ask_again(messages: list[BaseMessage]) -> Reply:
        return calls(tool.name, {"order_id": ORDER}, text=PENDING, usage=usage(messages, schemas))

    return ScriptedChatModel(ask_again, model_name="gpt-4o")


def usage(messages: Sequence[BaseMessage], schemas: Sequence[Any]) -> dict[str, Any]:
    """Tokens as OpenAI reports them: what the call before this one read comes from the prompt cache, at half price,
    once it is 1,024 tokens long, in steps of 128."""
    before = count_input(messages[:-2], schemas)
    cached = before // 128 * 128 if before >= 1024 else 0
    return {
        "input_tokens": count_input(messages, schemas),
        "output_tokens": OUTPUT,
        "input_token_details": {"cache_read": cached},
    }


def count(messages: Sequence[BaseMessage], tools: Sequence[Any] = (), *, model: str | None = None) -> int:
    """The tokenizer of scripted models. With a real one the figures would depend on what the machine has of it."""
    return count_input(messages, tools)


def honest() -> ScriptedChatModel:
    """gpt-4o-mini, which is told to stop and says what is known."""

    def sum_up(messages: list[BaseMessage]) -> Reply:
        return says(
            f"I could not find out where order {ORDER} is. I asked the order service {time_outs(messages)} times, and"
            " each time it gave no answer. That does not mean that the order is pending: its status is unknown. Please"
            " try again later, or ask a person to look."
        )

    return ScriptedChatModel(sum_up, model_name="gpt-4o-mini")


def time_outs(messages: Sequence[BaseMessage]) -> int:
    """Calls that were made and not answered; one that was refused is none."""
    results = [ToolResult.parse(message) for message in messages if isinstance(message, ToolMessage)]
    return sum(result is not None and result.error_type == "timeout" for result in results)
