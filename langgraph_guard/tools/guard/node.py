"""`guard.node(TOOLS)`: LangGraph's own `ToolNode`, with the guard around each call and its keys in the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode

from langgraph_guard.state import ToolState, Turn, latest_turn
from langgraph_guard.state.views import READ, declare, open_calls, renamed
from langgraph_guard.tools.guard.call import Whole


class ToolsView(ToolState):
    """What the guard reads and writes of a state: no more, because each key costs each superstep."""

    messages: list[BaseMessage]
    guard_turn: Annotated[Turn, latest_turn]


class GuardedTools(Runnable[Any, Any]):
    """A node that runs the tool calls of the last message, in parallel, and answers each exactly once."""

    def __init__(self, tools: Sequence[Any], hooks: Mapping[str, Any], *, name: str, messages_key: str) -> None:
        self.name = name
        self._messages_key = messages_key
        # What a tool raises is for the hooks; what the hooks raise is for LangGraph.
        self._node = ToolNode(tools, name=name, handle_tool_errors=False, messages_key=messages_key, **hooks)
        declare(self, ToolsView if messages_key == "messages" else renamed(ToolsView, messages_key))

    @property
    def tools_by_name(self) -> dict[str, BaseTool]:
        return self._node.tools_by_name

    def __call__(self, state: Any) -> Any:
        return self.invoke(state)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = ensure_config(config)
        return self._node.invoke(to_run(whole(input, config), self._messages_key), config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = ensure_config(config)
        return await self._node.ainvoke(to_run(whole(input, config), self._messages_key), config, **kwargs)


def whole(state: Any, config: RunnableConfig) -> Any:
    """All that the graph keeps, for tools that have state injected: the node's own schema names the guard's keys only.

    Channels are read as `ToolNode` does when it is sent a single call.
    """
    look = (config.get("configurable") or {}).get(READ)
    if look is None or not isinstance(state, Mapping) or "__type" in state:
        return state
    kept = look(list(look.args[1]), False)
    return Whole({**kept, **state}) if isinstance(kept, Mapping) else state


def to_run(state: Any, messages_key: str) -> Any:
    """`state` with the calls taken out of the last message that have their answer already, or wait for a person.

    `ToolNode` runs all calls of the message, and a batch that runs in parts comes here more than once.
    """
    messages = state.get(messages_key) if isinstance(state, Mapping) and "__type" not in state else None
    at = _last_asked(messages)
    if messages is None or at is None:
        return state
    asked, said = messages[at], state.get("guard_calls") or {}
    calls = [call for call in open_calls(messages) if not _is_held(said.get(call["id"]) or {})]
    if len(calls) == len(asked.tool_calls):
        return state
    fewer = [*messages[:at], asked.model_copy(update={"tool_calls": calls}), *messages[at + 1 :]]
    return type(state)({**state, messages_key: fewer}) if isinstance(state, dict) else {**state, messages_key: fewer}


def _last_asked(messages: Any) -> int | None:
    """Where the last message of a model is."""
    if not isinstance(messages, list):
        return None
    return next((at for at in range(len(messages) - 1, -1, -1) if isinstance(messages[at], AIMessage)), None)


def _is_held(by_guard: Mapping[str, Any]) -> bool:
    return any(verdict.get("verdict") == "hold" for verdict in by_guard.values())
