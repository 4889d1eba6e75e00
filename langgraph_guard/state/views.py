"""How nodes and tools see the state of a host: whatever its kind, and wherever it keeps its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from inspect import ismethod
from types import MethodType
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyChannelError
from typing_extensions import TypedDict, get_type_hints

from langgraph_guard.state.keys import GuardState

# How a task reads channels that its input schema does not name. LangGraph's own ToolNode reads state by it.
READ: Final = "__pregel_read"

OURS: Final = "lc_source"
"""The `additional_kwargs` key of messages that no person wrote: summaries, nudges. LangChain's own word."""


class MessagesView(GuardState):
    """The state that a guard reads: its own keys, and the host's messages with whatever reducer they have."""

    messages: list[BaseMessage]


def declare(node: Any, schema: type) -> None:
    """Make `add_node` read `schema` as the input of `node`, although its class was written for another."""

    def call(self: Any, state: Any) -> Any:
        return self.invoke(state)

    call.__annotations__ = {"state": schema}
    node.__call__ = MethodType(call, node)


def input_schema_of(node: Any) -> type | None:
    """The schema that a node's `__call__` declares, as `add_node` would read it."""
    call = getattr(node, "__call__", None)  # noqa: B004 - its annotations are wanted, not whether it can be called
    hints = get_type_hints(call) if ismethod(call) else {}
    return next((hint for name, hint in hints.items() if name != "return" and isinstance(hint, type)), None)


def read(state: Any, key: str) -> Any:
    """A key of a state that is a dict, a dataclass or a Pydantic model; `None` when it is not there."""
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def messages_of(state: Any, key: str = "messages") -> list[BaseMessage]:
    found = read(state, key)
    return [each for each in found if isinstance(each, BaseMessage)] if isinstance(found, list | tuple) else []


def opener(messages: Sequence[BaseMessage], fallback: str | None = None) -> str | None:
    """The id of the newest message that a person wrote. For one without an id, `fallback`, or else its place."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, HumanMessage) and not message.additional_kwargs.get(OURS):
            return message.id or fallback or f"human-{at}"
    return None


def open_calls(messages: Sequence[BaseMessage]) -> list[Any]:
    """The tool calls of the last AI message that have no answer yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            return [call for call in message.tool_calls if call["id"] not in answered]
        answered.add(getattr(message, "tool_call_id", ""))
    return []


def peek(config: RunnableConfig, *keys: str) -> dict[str, Any]:
    """State as the channels of the running graph show it, for code that is not given it."""
    look = (config.get("configurable") or {}).get(READ)
    found: dict[str, Any] = {}
    if look is None:
        return {}
    for key in keys:
        with suppress(KeyError, EmptyChannelError):  # The graph keeps no such key, or nothing was written to it yet.
            found[key] = look(key)
    return found


def keeps(config: RunnableConfig, key: str) -> bool:
    """Whether the running graph keeps `key`: an update of it is dropped otherwise."""
    look = (config.get("configurable") or {}).get(READ)
    try:
        return look is not None and (look(key), True)[1]
    except EmptyChannelError:
        return True
    except KeyError:
        return False


def renamed(schema: type, key: str) -> type:
    """`schema` for a host that keeps its messages under `key`."""
    hints = get_type_hints(schema, include_extras=True)
    hints[key] = hints.pop("messages")
    return as_schema(schema.__name__, hints)


def as_schema(name: str, hints: dict[str, Any]) -> type:
    return cast(type, TypedDict(name, hints, total=False))  # type: ignore[operator]  # its functional form, at run time
