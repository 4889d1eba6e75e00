"""A graph of one guarded tools node, and the ways to run it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard.state import GuardState
from langgraph_guard.tools.guard.guard import ToolGuard
from langgraph_guard.tools.results.result import ToolResult

MODES = ("sync", "async")


class HostState(MessagesState, GuardState):
    """A host that shows the guard's keys."""


def wanted(*calls: tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], str], id: str = "asked") -> AIMessage:
    """A message that asks for `calls`: (tool, arguments) or (tool, arguments, id)."""
    ids = [each[2] if len(each) == 3 else f"call-{number}" for number, each in enumerate(calls, 1)]
    listed = [
        {"name": each[0], "args": each[1], "id": id, "type": "tool_call"} for each, id in zip(calls, ids, strict=True)
    ]
    return AIMessage("", tool_calls=listed, id=id)


class Agent:
    """A graph whose one node is `guard.node(tools)`."""

    def __init__(
        self,
        guard: ToolGuard,
        tools: Sequence[Any],
        mode: str = "sync",
        state: type = HostState,
        *,
        saver: Any = True,
        **node: Any,
    ) -> None:
        graph: Any = StateGraph(state)
        graph.add_node("tools", guard.node(tools), **node)
        graph.add_edge(START, "tools")
        graph.add_edge("tools", END)
        self.app = graph.compile(checkpointer=InMemorySaver() if saver else None)
        self.mode = mode

    def ask(self, message: AIMessage | None, thread: str = "t", config: Any = None, **state: Any) -> dict[str, Any]:
        """The state after the tools have answered. `None` goes on with what is there."""
        config = at(thread) if config is None else config
        start = {"messages": [HumanMessage("do it", id=f"human-{message.id}"), message], **state} if message else None
        return self.run(start, config)

    def run(self, start: Any, config: Any) -> dict[str, Any]:
        if self.mode == "sync":
            found: dict[str, Any] = self.app.invoke(start, config)
        else:
            found = asyncio.run(self.app.ainvoke(start, config))
        return found


def at(thread: str = "t", **configurable: Any) -> Any:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread, **configurable}}


def answers(state: dict[str, Any]) -> list[ToolMessage]:
    """The answers to the newest message that asked for tools."""
    messages = state["messages"]
    last = max(at for at, each in enumerate(messages) if isinstance(each, AIMessage))
    return [each for each in messages[last + 1 :] if isinstance(each, ToolMessage)]


def results(state: dict[str, Any]) -> list[ToolResult | None]:
    """The answers as the guard's results; `None` where a tool answered in its own words."""
    return [ToolResult.parse(each.artifact) for each in answers(state)]


def kinds(state: dict[str, Any]) -> list[str | None]:
    """What went wrong, answer by answer; `None` where nothing did."""
    return [result.error_type if result else None for result in results(state)]
