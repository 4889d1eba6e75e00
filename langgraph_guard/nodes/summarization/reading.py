"""Messages as the policies see them: what they are, and what they said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langgraph_guard.policies.compaction.extract import Said
from langgraph_guard.policies.compaction.items import Item, Kind
from langgraph_guard.state.views import OURS
from langgraph_guard.tools.content.cleaning import clean

Pin = Callable[[BaseMessage], bool]

LEGACY: Final = "function:"
"""Before the name of a function in the place of a call's id: calls of that time had none."""

_ROLES: Final[Mapping[str, Kind]] = {
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
    "system": "system",
    "developer": "system",
}
_SPEAKERS: Final[Mapping[Kind, str]] = {"human": "user", "ai": "assistant", "tool": "tool"}


def item_of(message: BaseMessage, pin: Pin | None = None) -> Item:
    kind = kind_of(message)
    ours = bool(message.additional_kwargs.get(OURS))
    return Item(kind, asks_of(message), answers_of(message), ours, pin is not None and bool(pin(message)))


def kind_of(message: BaseMessage) -> Kind:
    match message:
        case HumanMessage():
            return "human"
        case AIMessage():
            return "ai"
        case ToolMessage() | FunctionMessage():
            return "tool"
        case SystemMessage():
            return "system"
        case ChatMessage():
            return _ROLES.get(message.role.lower(), "other")
        case _:
            return "other"


def calls_of(message: BaseMessage) -> list[Any]:
    """The calls that a provider wants answered. One whose arguments are no JSON is among them."""
    return [*message.tool_calls, *message.invalid_tool_calls] if isinstance(message, AIMessage) else []


def asks_of(message: BaseMessage) -> tuple[str, ...]:
    calls = calls_of(message)
    if calls:
        return tuple([call.get("id") or "" for call in calls])
    legacy = message.additional_kwargs.get("function_call")
    if not isinstance(legacy, Mapping) or not isinstance(message, AIMessage):
        return ()
    return (f"{LEGACY}{legacy.get('name')}",)


def answers_of(message: BaseMessage) -> str:
    if isinstance(message, ToolMessage):
        return message.tool_call_id or ""
    return f"{LEGACY}{message.name}" if isinstance(message, FunctionMessage) else ""


def is_sound(messages: Sequence[BaseMessage]) -> bool:
    """Whether each call that must be answered is, at once: the look that each step takes, before any other.

    A thousand messages in a fraction of a millisecond: their fields are read where Pydantic keeps them.
    """
    waiting: list[str] = []
    for message in messages:
        fields = message.__dict__
        if "tool_call_id" in fields or isinstance(message, FunctionMessage):
            answers = answers_of(message)
            if answers not in waiting:
                return False
            waiting.remove(answers)
        elif waiting:
            return False
        elif "tool_calls" in fields:
            asks = fields["tool_calls"] or fields["invalid_tool_calls"] or "function_call" in message.additional_kwargs
            waiting = [*asks_of(message)] if asks else waiting
    return True


def said_by(message: BaseMessage, ref: str) -> Said:
    """What a message said, cleaned of what hides from people and of what looks like a chat template's marks."""
    kind = kind_of(message)
    calls = tuple((clean(str(call.get("name"))).text, call.get("args")) for call in calls_of(message))
    failed = isinstance(message, ToolMessage) and message.status == "error"
    ours = message.additional_kwargs.get(OURS)
    by = "system" if ours else _SPEAKERS.get(kind, "system")
    name = clean(str(message.name or "")).text if kind == "tool" else ""
    return Said(by, clean(text_of(message)).text, ref, calls, name, failed)


def text_of(message: BaseMessage) -> str:
    """The words of a message, and notes in the place of what is no text."""
    content = message.content
    if isinstance(content, str):
        return content
    return "\n".join(part for part in map(_block, content) if part)


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    kind = str(block.get("type") or "content")
    if kind in _THOUGHTS or kind in _CALLS:
        return ""
    text = block.get("text")
    return text if isinstance(text, str) else f"[{kind[:32]}]"


_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
_CALLS: Final = frozenset({"tool_call", "tool_call_chunk", "tool_use", "function_call", "input_json_delta"})
