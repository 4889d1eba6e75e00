"""A small guarded agent for the tests of what is seen of it: a gate, a model that is metered, a tool, a person."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, Price
from langgraph_guard.testing import Reply, ScriptedChatModel
from langgraph_guard.testing.replies import AnyReply

PRICE = Price(input=3.0, output=15.0)
SCRIPT: tuple[AnyReply, ...] = (
    Reply(tool_calls=[("search", {"q": "kites"})], usage=(1_000, 37)),
    Reply("Three kites.", usage=(1_234, 89)),
)


class Agent:
    """The graph, and the ledger that its money is counted in. `warn_at` is low: each visit to the gate is news."""

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any] | None = None,
        *,
        script: tuple[AnyReply, ...] = SCRIPT,
        asks: bool = False,
        limit: float = 1.0,
        found: str = "3 kites",
    ) -> None:
        self.backend = MemoryBackend()
        limits = [Limit("usd", limit, per="session"), Limit("tokens", 100_000, per="session")]
        self.budget = BudgetCheckNode(Budget(limits, warn_at=0.0001), self.backend, prices={"gpt-4o-mini": PRICE})
        self.model = self.budget.model(ScriptedChatModel(list(script), cycle=True))
        self.asks = asks
        self.found = found
        self.app = self._build(saver)

    def _build(self, saver: BaseCheckpointSaver[Any] | None) -> CompiledStateGraph[Any, Any, Any, Any]:
        graph = StateGraph(MessagesState)
        graph.add_node("gate", self.budget)
        graph.add_node("model", self.budget.track(_Model(self.model).node))
        graph.add_node("tools", self._tools)
        graph.add_edge(START, "gate")
        graph.add_conditional_edges("gate", self.budget.route, self.budget.paths(ok="model", exceeded=END))
        graph.add_conditional_edges("model", _next, {"tools": "tools", "end": END})
        graph.add_edge("tools", "gate")
        return graph.compile(checkpointer=saver)

    def _tools(self, state: MessagesState) -> dict[str, Any]:
        if self.asks:
            interrupt({"question": "search?"})
        last = state["messages"][-1]
        assert isinstance(last, AIMessage)
        return {"messages": [ToolMessage(self.found, tool_call_id=call["id"]) for call in last.tool_calls]}

    def spent(self, config: RunnableConfig) -> dict[str, int]:
        """What the ledger has settled for the session, by unit."""
        usage: dict[str, int] = self.app.get_state(config).values["guard_usage"]["session"]
        return usage


class _Model:
    """A node that is sync and async by itself, as users write them."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def node(self) -> Any:
        from langchain_core.runnables import RunnableLambda

        def call(state: MessagesState) -> dict[str, Any]:
            return {"messages": [self._model.invoke(state["messages"])]}

        async def acall(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await self._model.ainvoke(state["messages"])]}

        return RunnableLambda(call, acall)


def _next(state: MessagesState) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "end"
