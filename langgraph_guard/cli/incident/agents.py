"""The same support agent twice: as people build it, and with guards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from langchain_core.messages import SystemMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_guard.backends import MemoryBackend
from langgraph_guard.cli.incident.models import confused, count, honest
from langgraph_guard.nodes import BudgetCheckNode, CircuitBreakerNode, FinishNode, LoopCheckNode, fuse
from langgraph_guard.policies.budget import Budget, Limit
from langgraph_guard.testing import FakeClock
from langgraph_guard.tools import CircuitBreaker, ToolGuard

App = CompiledStateGraph[Any, Any, Any, Any]

LIMIT: Final = 0.05
"""USD that one conversation may cost."""

NIGHT: Final = datetime(2026, 6, 9, 2, tzinfo=UTC).timestamp()
"""2 a.m., and so it stays for the guards: what they tell the model has the same words, and the same price, each time.
"""

CONTRACTS: Final = {"get_order_status": {"timeout": 5, "side_effects": "read"}}

RULES: Final = SystemMessage(
    "You are the support agent of a shop. Be brief, friendly and exact. Look up every order with get_order_status"
    " before you say anything about it; never guess. Statuses are: pending (the warehouse has not packed it yet, check"
    " again), shipped (give the carrier and the day on which it should arrive), delivered (ask whether everything is in"
    " order). Do not promise refunds. Do not talk about other customers' orders. When a customer is angry, apologise"
    " once and go on with the matter. Answer in the customer's language, in at most four sentences."
)


def unguarded(tool: BaseTool) -> App:
    """Model, tools, model: the graph of every tutorial. What the tool raises is told to the model."""
    graph = StateGraph(MessagesState)
    graph.add_node("model", calling(confused(tool).bind_tools([tool])))
    graph.add_node("tools", ToolNode([tool], handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    return graph.compile()


def guarded(tool: BaseTool) -> App:
    """The same. A service that gives no answer is left alone, and nothing can cost more than `LIMIT`."""
    clock = FakeClock(NIGHT)
    backend = MemoryBackend(clock=clock)
    limits = [Limit("usd", LIMIT, per="session"), Limit("model_calls", 100, per="turn")]
    budget = BudgetCheckNode(Budget(limits), backend, count=count)
    breaker = CircuitBreaker(backend, jitter=0.0)
    guard = ToolGuard(CONTRACTS, budget=budget, breaker=breaker)
    before_tools = fuse(CircuitBreakerNode(breaker), LoopCheckNode(clock=clock))
    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_node("model", budget.track(calling(budget.model(confused(tool).bind_tools([tool])))))
    graph.add_node("before_tools", before_tools)
    graph.add_node("tools", guard.node([tool]))
    graph.add_node("finish", FinishNode(budget.model(honest(), landing=True)))
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
    graph.add_conditional_edges(
        "model", budget.after_model, budget.paths(tools="before_tools", end=END, exceeded="finish")
    )
    graph.add_conditional_edges(
        "before_tools",
        before_tools.route,
        before_tools.paths(ok="tools", open="finish", revise="budget", halt="finish"),
    )
    graph.add_edge("tools", "budget")
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=InMemorySaver())


def calling(model: Runnable[Any, Any]) -> Any:
    """The model node of both."""

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke([RULES, *state["messages"]])]}

    return call_model
