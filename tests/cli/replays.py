"""Agents of every shape that people build, each with a thread of production, for the tests of `replay`."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from langgraph_guard import (
    ApprovalRule,
    Budget,
    BudgetCheckNode,
    CircuitBreaker,
    CircuitBreakerNode,
    HumanApprovalNode,
    Limit,
    ToolGuard,
    fuse,
)
from langgraph_guard.policies.approval.commands import Decide, Pending
from langgraph_guard.state import GuardState
from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says

THREAD = "t-1"
AT: Any = {"configurable": {"thread_id": THREAD, "user_id": "ada"}}
QUESTION: Any = {"messages": [("user", "I want my money back for 4711.")]}
APPROVE = Command(resume={"decisions": [{"type": "approve"}]})
WRITES: Any = {"refund": {"side_effects": "write", "timeout": 5}}


@dataclass
class World:
    """What the tools did, and where the guards keep theirs."""

    backend: Any
    done: list[str] = field(default_factory=list)

    def refund(self) -> Any:
        @tool
        def refund(order: str) -> str:
            """Pays back."""
            self.done.append(order)
            return f"refunded {order}"

        return refund

    def budget(self) -> BudgetCheckNode:
        people = [Limit("usd", 5, per="user", window="day"), Limit("usd", 9, per="global")]
        return BudgetCheckNode(Budget([Limit("usd", 1, per="session"), *people]), self.backend)

    def model(self, *orders: str) -> Any:
        """Refunds the orders, in one message, and says so."""

        def reply(messages: list[BaseMessage]) -> Reply:
            if isinstance(messages[-1], ToolMessage):
                return says("Done.")
            asked = [calls("refund", {"order": order}) for order in orders or ("4711",)]
            return AIMessage("", tool_calls=[call for each in asked for call in each.tool_calls])

        return ScriptedChatModel(reply, model_name="gpt-4o")


Shape = Callable[[World, Any], Any]
"""Makes the graph on a saver, and lets its thread come to its end."""


def desk(world: World, saver: Any, rule: ApprovalRule | None = None) -> Any:
    """A model, a fused guard that asks people, tools with an outbox: as the pages show it."""
    budget = world.budget()
    approval = HumanApprovalNode({"refund": rule or ApprovalRule()}, world.backend)
    guard = ToolGuard(
        WRITES, budget=budget, approvals=approval.policy, breaker=CircuitBreaker(world.backend, name="tools")
    )
    before = fuse(CircuitBreakerNode(CircuitBreaker(world.backend, name="gate")), approval)
    model = budget.model(world.model())
    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(lambda state: {"messages": [model.invoke(state["messages"])]}))
    graph.add_node("before", before)
    graph.add_node("tools", guard.node([world.refund()]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="before", end=END, exceeded=END))
    graph.add_conditional_edges("before", before.route, before.paths(ok="tools", open=END, revise="model", expired=END))
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


def answered(world: World, saver: Any) -> Any:
    """A person answered the question that the run put."""
    graph = desk(world, saver)
    graph.invoke(QUESTION, AT, durability="sync")
    graph.invoke(APPROVE, AT, durability="sync")
    return graph


def decided(world: World, saver: Any) -> Any:
    """Two people decided at the desk, and the run went on without an answer."""
    graph = desk(world, saver, ApprovalRule(quorum=2))
    graph.invoke(QUESTION, AT, durability="sync")
    ((waiting,),) = world.backend.desk.execute([Pending("")])
    for by in ("ann", "bob"):
        world.backend.desk.execute([Decide("", waiting.id, by, "approve", waiting.digest)])
    graph.invoke(None, AT, durability="sync")
    return graph


def rejected(world: World, saver: Any) -> Any:
    """A person said no, and the model reads why."""
    graph = desk(world, saver)
    graph.invoke(QUESTION, AT, durability="sync")
    graph.invoke(Command(resume={"decisions": [{"type": "reject", "message": "too late"}]}), AT, durability="sync")
    return graph


def loop(world: World, saver: Any, tools: Any, *orders: str, send: bool = False) -> Any:
    """Model and tools, with or without a task for each call."""
    budget = world.budget()
    model = budget.model(world.model(*orders))

    def after(state: Any) -> Any:
        last = state["messages"][-1]
        if not last.tool_calls:
            return END
        return [Send("tools", [{**call, "type": "tool_call"}]) for call in last.tool_calls] if send else "tools"

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(lambda state: {"messages": [model.invoke(state["messages"])]}))
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", after, ["tools", END])
    graph.add_edge("tools", "model")
    app = graph.compile(checkpointer=saver)
    app.invoke(QUESTION, AT, durability="sync")
    return app


def guarded(world: World, **settings: Any) -> Any:
    """A guarded tools node."""
    return ToolGuard(WRITES, **settings).node([world.refund()])


def outbox(world: World, saver: Any) -> Any:
    """Nobody is asked; what is done is written down."""
    return loop(world, saver, guarded(world, outbox=world.backend, breaker=CircuitBreaker(world.backend)))


def parallel(world: World, saver: Any) -> Any:
    """Three calls in one message, two of them alike."""
    return loop(world, saver, guarded(world, outbox=world.backend), "1", "2", "2")


def sent(world: World, saver: Any) -> Any:
    """The same, each call in a task of its own."""
    return loop(world, saver, guarded(world, outbox=world.backend), "1", "2", "3", send=True)


class Case(TypedDict):
    """What an outer graph keeps, where its inner one keeps messages."""

    order: str
    notes: Annotated[list[str], operator.add]


def inner(world: World, saver: Any) -> Any:
    """An agent within a node, with messages of its own: the outer state has none of them."""
    budget = world.budget()
    model = budget.model(world.model())
    below = StateGraph(MessagesState)
    below.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    below.add_node("tools", guarded(world, outbox=world.backend))
    below.add_edge(START, "model")
    below.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    below.add_edge("tools", "model")
    agent = below.compile()

    def ask(state: Case) -> Any:
        found = agent.invoke({"messages": [("user", f"Refund {state['order']}.")]})
        return {"notes": [found["messages"][-1].text]}

    graph = StateGraph(Case)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    app = graph.compile(checkpointer=saver)
    app.invoke({"order": "4711", "notes": []}, AT, durability="sync")
    return app


def nested(world: World, saver: Any) -> Any:
    """An agent that is a node itself, asks people, and shares the messages."""
    agent = desk(world, None)
    graph = StateGraph(MessagesState)
    graph.add_node("agent", agent)
    graph.add_edge(START, "agent")
    app = graph.compile(checkpointer=saver)
    app.invoke(QUESTION, AT, durability="sync")
    app.invoke(APPROVE, AT, durability="sync")
    return app


class Guarding(AgentMiddleware[Any, Any, Any]):
    """A `ToolGuard` in an agent of `create_agent`."""

    state_schema = GuardState  # type: ignore[assignment]

    def __init__(self, guard: ToolGuard) -> None:
        super().__init__()
        self._hooks = guard.hooks()

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self._hooks["wrap_tool_call"](request, handler)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await self._hooks["awrap_tool_call"](request, handler)


def made(world: World, saver: Any) -> Any:
    """`create_agent` with LangChain's own question to people, and our guard around its tools."""
    guard = ToolGuard(WRITES, outbox=world.backend)
    asks = HumanInTheLoopMiddleware({"refund": True})
    model = world.budget().model(world.model())
    app: Any = create_agent(model, [world.refund()], middleware=[asks, Guarding(guard)], checkpointer=saver)
    app.invoke(QUESTION, AT, durability="sync")
    app.invoke(APPROVE, AT, durability="sync")
    return app


def asked(world: World, saver: Any) -> Any:
    """A node of the user's own that asks, after the tools."""
    budget = world.budget()
    model = budget.model(world.model())
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", guarded(world, outbox=world.backend))
    graph.add_node("rate", lambda state: {"messages": [("user", interrupt({"how was it": "1 to 5"}))]})
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else "rate")
    graph.add_edge("tools", "model")
    app = graph.compile(checkpointer=saver)
    app.invoke(QUESTION, AT, durability="sync")
    app.invoke(Command(resume="5"), AT, durability="sync")
    return app


def on_a_loop(world: World, saver: Any) -> Any:
    """Nodes and tools that are coroutines."""

    @tool
    async def refund(order: str) -> str:
        """Pays back."""
        world.done.append(order)
        return f"refunded {order}"

    model = world.budget().model(world.model())

    async def call_model(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call_model)
    graph.add_node("tools", ToolGuard(WRITES, outbox=world.backend).node([refund]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    app = graph.compile(checkpointer=saver)
    asyncio.run(app.ainvoke(QUESTION, AT, durability="sync"))
    return app


SHAPES: Mapping[str, Shape] = {
    "answered": answered,
    "decided": decided,
    "rejected": rejected,
    "outbox": outbox,
    "parallel": parallel,
    "sent": sent,
    "inner": inner,
    "nested": nested,
    "made": made,
    "asked": asked,
}
"""Those that every saver can keep. Not every saver works on a loop: `on_a_loop` is apart."""
