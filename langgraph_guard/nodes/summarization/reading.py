"""Messages as the policies see them: what they are, and what they said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
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

from langgraph_guard.policies.compaction.extract import Said, arguments
from langgraph_guard.policies.compaction.items import Item, Kind
from langgraph_guard.policies.compaction.transcript import CALL
from langgraph_guard.state.views import OURS, messages_of, read
from langgraph_guard.tokens.history import as_messages
from langgraph_guard.tools.content.cleaning import clean

Pin = Callable[[BaseMessage], bool]

LEGACY: Final = "function:"
"""Before the name of a function in the place of a call's id: calls of that time had none."""

COMPUTER: Final = "computer_call"
"""A call of a provider's own that a message says in its content alone, and that the graph answers."""

_ROLES: Final[Mapping[str, Kind]] = {
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
    "system": "system",
    "developer": "system",
}
_SPEAKERS: Final[Mapping[Kind, str]] = {"human": "user", "ai": "assistant", "tool": "tool"}


def history_of(state: Any, key: str) -> list[BaseMessage]:
    """The messages of a host. What stands among them as a pair, a dictionary or a text is a message to a model, so it
    is one here: rewritten as a whole, the history would lose it."""
    found = read(state, key)
    if not isinstance(found, list | tuple):
        return []
    try:
        return as_messages(found)
    except Exception:  # a host may keep among its messages what no model reads
        return messages_of(state, key)


def ids_are_unique(messages: Sequence[BaseMessage]) -> bool:
    """Where two messages have one id, what is said of one by its id is done to the other as well."""
    ids = [message.id for message in messages if message.id]
    return len(set(ids)) == len(ids)


def items_of(messages: Sequence[BaseMessage], pin: Pin | None = None) -> list[Item]:
    return [_item(message, after, pin) for message, after in zip_longest(messages, messages[1:])]


def _item(message: BaseMessage, after: BaseMessage | None, pin: Pin | None) -> Item:
    ours = bool(message.additional_kwargs.get(OURS))
    asks, answers = asks_of(message, after), answers_of(message)
    return Item(kind_of(message), asks, answers, ours, pin is not None and bool(pin(message)))


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
    """The calls of a message, then those that stand in its content alone: providers are sent the content."""
    calls = _said_calls(message)
    return [*calls, *_written_calls(message.content, also_said=bool(calls))] if isinstance(message, AIMessage) else []


def _said_calls(message: BaseMessage) -> list[Any]:
    """One whose arguments are no JSON is among them: providers want it answered, too."""
    return [*message.tool_calls, *message.invalid_tool_calls] if isinstance(message, AIMessage) else []


def call_id(block: Any) -> str | None:
    """The id of the call that a block of content says; `None` for any other block."""
    if not isinstance(block, Mapping):
        return None
    if isinstance(inner := block.get("toolUse"), Mapping):
        return str(inner.get("toolUseId") or "")
    if block.get("type") not in _SAID_AGAIN and block.get("type") != COMPUTER:
        return None
    id = block.get("call_id")
    return str((block.get("id") if id is None else id) or "")


def _written_calls(content: Any, *, also_said: bool) -> list[Any]:
    """Calls of the content that the message does not say beside it: of a provider's own tools, or of a message that
    was not made by LangChain."""
    if not isinstance(content, list):
        return []
    return [
        {"id": id, **_said(block)}
        for block in content
        if (id := call_id(block)) is not None and (not also_said or block.get("type") == COMPUTER)
    ]


def _said(block: Mapping[str, Any]) -> dict[str, Any]:
    """Name and arguments, whatever a provider calls them."""
    block = block.get("toolUse") or block
    args = (block[name] for name in ("input", "args", "arguments", "action") if name in block)
    return {"name": block.get("name") or block.get("type"), "args": next(args, {})}


def asks_of(message: BaseMessage, after: BaseMessage | None) -> tuple[str, ...]:
    """The ids that must be answered. What the content alone asks for is no business of the graph's unless a tool
    message comes `after` it: providers answer some of it themselves, and people some in a provider's own form."""
    answered = type(message.content) is list and isinstance(after, ToolMessage)
    calls = calls_of(message) if answered else _said_calls(message)
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
    for at, message in enumerate(messages):
        fields = message.__dict__
        if "tool_calls" in fields:
            if waiting:
                return False
            if _may_ask(fields):
                waiting = [*asks_of(message, messages[at + 1] if at + 1 < len(messages) else None)]
        elif "tool_call_id" in fields or _is_function(type(message)):
            answers = answers_of(message)
            if answers not in waiting:
                return False
            waiting.remove(answers)
        elif waiting:
            return False
    return True


def _may_ask(fields: Mapping[str, Any]) -> bool:
    return bool(
        fields["tool_calls"]
        or fields["invalid_tool_calls"]
        or "function_call" in fields["additional_kwargs"]
        or type(fields["content"]) is list
    )


@cache
def _is_function(kind: type[BaseMessage]) -> bool:
    """By class, since Pydantic's `isinstance` is slow where it says no."""
    return issubclass(kind, FunctionMessage)


def said_by(message: BaseMessage, ref: str) -> Said:
    """What a message said, cleaned of what hides from people and of what looks like a chat template's marks."""
    kind = kind_of(message)
    calls = tuple(
        (clean(str(call.get("name"))).text, clean(arguments(call.get("args"), CALL)).text) for call in calls_of(message)
    )
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
_SAID_AGAIN: Final = frozenset({"tool_use", "tool_call", "function_call", "custom_tool_call"})
_CALLS: Final = _SAID_AGAIN | {COMPUTER, "tool_call_chunk", "input_json_delta"}
