"""A small agent whose runs are recorded: a model that calls a tool which fails, a second look, and a person."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.testing import ScriptedChatModel, calls, says

CANARY = "sk-canary-0123456789abcdef0123"
"""A secret: wherever it is put, no sink may have it."""


@tool
def look_up(order: str) -> str:
    """Where an order is."""
    if order == "lost":
        raise TimeoutError(f"upstream timed out with {CANARY}")
    return f"order {order} has shipped"


@tool
def refund(order: str) -> str:
    """Pays back, if somebody agrees."""
    return f"refunded: {interrupt({'refund': order})}"


def model() -> ScriptedChatModel:
    """One order is lost, the other one is not, and then a refund is asked for."""
    return ScriptedChatModel(
        [
            calls("look_up", {"order": "lost"}, usage=(1_000, 50)),
            calls("look_up", {"order": "4711"}, usage=(1_200, 40)),
            calls("refund", {"order": "lost"}, usage=(1_400, 30)),
            says("Done.", usage=(1_500, 10)),
        ],
        model_name="gpt-4o",
    )


def agent(saver: BaseCheckpointSaver[Any] | None = None) -> Any:
    """A graph with a sync and an async way through each of its nodes."""
    llm = model()
    tools = [look_up, refund]

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [llm.invoke(state["messages"])]}

    async def acall_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(call_model, acall_model))
    graph.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver or InMemorySaver())


def ask(app: Any, how: str, recorder: StepRecorder, given: Any = None, **metadata: Any) -> Any:
    """One run of a thread."""
    config: Any = {"configurable": {"thread_id": "t-1"}, "callbacks": [recorder], "metadata": metadata}
    start = given or {"messages": [("user", "Where are my orders?")]}
    if how == "invoke":
        return app.invoke(start, config)
    if how == "stream":
        return list(app.stream(start, config))
    return asyncio.run(app.ainvoke(start, config))


def recorded(how: str = "invoke", **metadata: Any) -> list[Step]:
    """The steps of a run that a person is asked in, and of the one that goes on with their answer."""
    steps: list[Step] = []
    app, recorder = agent(), StepRecorder(steps)
    ask(app, how, recorder, **metadata)
    ask(app, how, recorder, Command(resume="yes"), **metadata)
    recorder.close()
    return sorted(steps, key=lambda step: step.ts)


def of_kind(steps: list[Step], kind: str) -> list[Step]:
    """Those of one kind."""
    return [step for step in steps if step.kind == kind]
