"""The agents that the tests of the nodes run: DESIGN's ReAct graph, with a model that never stops calling its tool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard import Budget, BudgetCheckNode, FinishNode, Limit, MemoryBackend, fuse
from langgraph_guard.backends import Backend
from langgraph_guard.policies.budget import Identity, meters
from langgraph_guard.policies.ledger import TURN, Account, Balance, Read
from langgraph_guard.state.views import read
from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says


@tool
def get_order_status(order_id: str) -> str:
    """The status of an order."""
    return f"order {order_id}: the request timed out"


TOOLS = [get_order_status]


def loops(usage: tuple[int, int] = (8_000, 1_000), **settings: Any) -> ScriptedChatModel:
    """A model that takes every time-out for "pending" and asks again, for ever."""
    reply = Reply(
        text="Still pending, I look again.", tool_calls=[("get_order_status", {"order_id": "A1"})], usage=usage
    )
    return ScriptedChatModel([reply], repeat_last=True, **settings)


def answers_after(rounds: int, **settings: Any) -> ScriptedChatModel:
    """A model that calls its tool `rounds` times and then answers."""
    asks = [calls("get_order_status", {"order_id": "A1"}, usage=(1_000, 50)) for _ in range(rounds)]
    return ScriptedChatModel([*asks, says("It has shipped.", usage=(1_000, 20))], **settings)


@dataclass
class Agent:
    """A compiled graph, and what it was made of."""

    app: Any
    budget: BudgetCheckNode
    backend: Backend
    model: ScriptedChatModel

    def balance(self, scope: str, id: str, unit: str = "usd", window: str | None = None) -> Balance:
        account = Account(self.backend.tenant, scope, id, unit, window)
        ((balance,),) = self.backend.ledger.execute([Read((account,))])  # type: ignore[misc]
        return balance

    def spent(self, thread: str = "t", unit: str = "usd") -> int:
        return self.balance("session", thread, unit).spent

    def held(self, thread: str = "t") -> int:
        who = Identity(self.backend.tenant, "", {"session": thread})
        accounts = [account for unit in ("usd", "tokens", "model_calls", "tool_calls") for account in meters(who, unit)]
        (balances,) = self.backend.ledger.execute([Read(tuple(accounts))])
        return sum(balance.reserved for balance in balances)  # type: ignore[union-attr]


def react(
    limits: Iterable[Limit],
    model: ScriptedChatModel | None = None,
    *,
    backend: Backend | None = None,
    checkpointer: Any = None,
    landing: ScriptedChatModel | None = None,
    tools: Any = None,
    meter: bool = True,
    track: bool = True,
    state: type = MessagesState,
    **budget_settings: Any,
) -> Agent:
    """The graph of the README: gate, tracked model, tools, finish."""
    backend = backend or MemoryBackend()
    budget = BudgetCheckNode(Budget(limits, **budget_settings), backend)
    llm = model or loops()
    bound = llm.bind_tools(TOOLS)
    metered = budget.model(bound) if meter else bound
    finish = FinishNode(budget.model(landing, landing=True) if landing else None)
    before_model = fuse(budget, name="before_model")

    def call_model(state: Any) -> dict[str, Any]:
        return {"messages": [metered.invoke(read(state, "messages"))]}

    async def acall_model(state: Any) -> dict[str, Any]:
        return {"messages": [await metered.ainvoke(read(state, "messages"))]}

    node: Any = RunnableLambda(call_model, acall_model)
    graph = StateGraph(state)
    graph.add_node("before_model", before_model)
    graph.add_node("model", budget.track(node) if track else node)
    graph.add_node("tools", tools or ToolNode(TOOLS))
    graph.add_node("finish", finish)
    graph.add_edge(START, "before_model")
    graph.add_conditional_edges("before_model", before_model.route, before_model.paths(ok="model", exceeded="finish"))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
    graph.add_edge("tools", "before_model")
    graph.add_edge("finish", END)
    return Agent(graph.compile(checkpointer=checkpointer), budget, backend, llm)


def thread(id: str = "t", **configurable: Any) -> Any:
    """The config of a thread."""
    return {"configurable": {"thread_id": id, **configurable}, "recursion_limit": 1_000}


def asks(text: str = "Where is order A1?") -> dict[str, Any]:
    """What a person sends."""
    return {"messages": [("user", text)]}


def is_valid(messages: list[BaseMessage]) -> bool:
    """Whether each tool call is answered right after its message, and nothing answers what was not asked."""
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
        elif waiting:
            return False
        elif isinstance(message, AIMessage):
            waiting = [str(call["id"]) for call in message.tool_calls]
    return not waiting


__all__ = ["TURN", "Agent", "answers_after", "asks", "is_valid", "loops", "react", "thread"]
