"""The thread that the tests of `replay` go back to: a guarded agent that looks up an order and reports it."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, ToolGuard
from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says


class Told(MessagesState):
    """What the agent keeps beside its messages."""

    style: Annotated[str, lambda old, new: new]


class Shop:
    """A graph, what its tool did, and what its model will say: `wanted` is the order that it looks up."""

    def __init__(self, saver: BaseCheckpointSaver[Any] | None = None, *, guarded: bool = True) -> None:
        self.looked_up: list[str] = []
        self.wanted = "4711"
        self.breaks = False
        self.backend = MemoryBackend()
        self.budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), self.backend)
        self.graph = self._graph(saver or InMemorySaver(), guarded)

    def ask(self, thread: str = "t-1") -> None:
        """One turn of a thread."""
        self.graph.invoke({"messages": [("user", "Where is it?")], "style": "long"}, self.at(thread))

    def at(self, thread: str) -> Any:
        return {"configurable": {"thread_id": thread}}

    def said(self, thread: str = "t-1") -> list[str]:
        messages: list[BaseMessage] = self.graph.get_state(self.at(thread)).values["messages"]
        return [each.text for each in messages]

    def _graph(self, saver: BaseCheckpointSaver[Any], guarded: bool) -> CompiledStateGraph[Any, Any, Any, Any]:
        @tool
        def look_up(order: str) -> str:
            """Where an order is."""
            self.looked_up.append(order)
            if self.breaks:
                raise ConnectionError("no route")
            return f"order {order} has shipped"

        model = self.budget.model(ScriptedChatModel(self._reply, model_name="gpt-4o"))

        def call_model(state: Told) -> dict[str, Any]:
            return {"messages": [model.invoke([("system", state["style"]), *state["messages"]])]}

        graph = StateGraph(Told)
        graph.add_node("model", self.budget.track(RunnableLambda(call_model)))
        graph.add_node("tools", ToolGuard(budget=self.budget).node([look_up]) if guarded else ToolNode([look_up]))
        graph.add_edge(START, "model")
        graph.add_conditional_edges(
            "model", self.budget.after_model, self.budget.paths(tools="tools", end=END, exceeded=END)
        )
        graph.add_edge("tools", "model")
        return graph.compile(checkpointer=saver)

    def _reply(self, messages: list[BaseMessage]) -> Reply:
        last = messages[-1]
        if not isinstance(last, ToolMessage):
            return calls("look_up", {"order": self.wanted})
        return says("Shipped." if messages[0].text == "short" else f"I looked it up: {last.text}")


shop = Shop()
"""For the command line, which finds it by name."""

graph = shop.graph
