"""`guard.node(TOOLS)`: LangGraph's own `ToolNode`, with the guard around each call and its keys in the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode

from langgraph_guard.state import ToolState, Turn, latest_turn
from langgraph_guard.state.views import READ, declare, renamed
from langgraph_guard.tools.guard.call import Whole


class ToolsView(ToolState):
    """What the guard reads and writes of a state: no more, because each key costs each superstep."""

    messages: list[BaseMessage]
    guard_turn: Annotated[Turn, latest_turn]


class GuardedTools(Runnable[Any, Any]):
    """A node that runs the tool calls of the last message, in parallel, and answers each exactly once."""

    def __init__(self, tools: Sequence[Any], hooks: Mapping[str, Any], *, name: str, messages_key: str) -> None:
        self.name = name
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
        return self._node.invoke(whole(input, config), config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = ensure_config(config)
        return await self._node.ainvoke(whole(input, config), config, **kwargs)


def whole(state: Any, config: RunnableConfig) -> Any:
    """All that the graph keeps, for tools that have state injected: the node's own schema names the guard's keys only.

    Channels are read as `ToolNode` does when it is sent a single call.
    """
    look = (config.get("configurable") or {}).get(READ)
    if look is None or not isinstance(state, Mapping) or "__type" in state:
        return state
    kept = look(list(look.args[1]), False)
    return Whole({**kept, **state}) if isinstance(kept, Mapping) else state
