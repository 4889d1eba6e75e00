"""What the benchmarks of gate and meter share: limits that never run out, and the history of an agent at work."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend

GOAL = 150e-6
"""What a gate, and a meter, may add to a superstep and to a call."""

MODEL = "gpt-4o-mini"
CONFIG: Any = {"configurable": {"thread_id": "t", "user_id": "u"}, "recursion_limit": 1_000}


def guard(name: str = "budget", **settings: Any) -> BudgetCheckNode:
    limits = [
        Limit("usd", 1_000_000, per="session"),
        Limit("model_calls", 10_000_000, per="turn"),
        Limit("usd", 1_000_000, per="user", window="day"),
    ]
    return BudgetCheckNode(Budget(limits), MemoryBackend(), name=name, **settings)


def usage(input: int, output: int) -> dict[str, Any]:
    return {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}


def history(rounds: int = 5) -> list[AnyMessage]:
    """A question, some rounds of tools, and the last answer of a tool, which no model has read yet."""
    messages: list[AnyMessage] = [SystemMessage("You help.", id="s"), HumanMessage("Where is order A1?", id="h")]
    for at in range(rounds):
        asks = [{"name": "get_order_status", "args": {"order_id": "A1"}, "id": f"call-{at}"}]
        told = usage(1_000 + 100 * at, 50)
        messages.append(AIMessage("I look it up.", id=f"a{at}", tool_calls=asks, usage_metadata=told))
        messages.append(ToolMessage('{"status": "pending", "eta": null}', tool_call_id=f"call-{at}", id=f"t{at}"))
    return messages
