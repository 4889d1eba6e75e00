"""A scripted model in the graph that everybody builds: model, tools, model."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says

STORY = [
    calls("order_status", {"order": 7}),
    Reply("Two more.", [("order_status", {"order": 8}), ("order_status", {"order": 9})]),
    says("All three orders are on their way."),
]
TEXTS = ["", "order 7: sent", "Two more.", "order 8: sent", "order 9: sent", "All three orders are on their way."]


@tool
def order_status(order: int) -> str:
    """Where an order is."""
    return f"order {order}: sent"


def agent(model: ScriptedChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A ReAct graph with a sync and an async model node."""
    bound = model.bind_tools([order_status])

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(call, acall))
    graph.add_node("tools", ToolNode([order_status]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    return graph.compile()


START_STATE: Any = {"messages": [HumanMessage("Where are my orders?")]}


def texts(result: dict[str, Any]) -> list[str]:
    """What was said behind the question."""
    return [message.text for message in result["messages"][1:]]


def test_an_agent_plays_the_story() -> None:
    """Tool calls are run, their results come back under their ids, and the last reply ends the run."""
    model = ScriptedChatModel(STORY)
    result = agent(model).invoke(START_STATE)
    assert texts(result) == TEXTS
    assert isinstance(model.calls[2].messages[-1], ToolMessage)


async def test_an_agent_plays_the_story_in_async() -> None:
    """The same graph in a server."""
    assert texts(await agent(ScriptedChatModel(STORY)).ainvoke(START_STATE)) == TEXTS


def streamed(parts: list[Any]) -> str:
    """The text of all chunks from the model, in order."""
    return "".join(message.text for message, _ in parts if isinstance(message, AIMessageChunk))


def test_an_agent_streams_tokens() -> None:
    """stream_mode="messages" turns invoke into a stream inside the node; the graph must not notice."""
    model = ScriptedChatModel(STORY)
    parts = list(agent(model).stream(START_STATE, stream_mode="messages"))
    assert streamed(parts) == "Two more.All three orders are on their way."
    assert model.call_count == 3


async def test_an_agent_streams_tokens_in_async() -> None:
    """Chat front ends use this path."""
    model = ScriptedChatModel(STORY)
    parts = [part async for part in agent(model).astream(START_STATE, stream_mode="messages")]
    assert streamed(parts) == "Two more.All three orders are on their way."


def test_streaming_leaves_the_same_history_as_a_plain_run() -> None:
    """Usage, ids and metadata in state are what budgets are computed from."""
    plain, watched = (agent(ScriptedChatModel(STORY, id_prefix="s")) for _ in range(2))
    last: Any = None
    for mode, part in watched.stream(START_STATE, stream_mode=["messages", "values"]):
        last = part if mode == "values" else last
    expected = plain.invoke(START_STATE)["messages"]
    assert [_bare(message) for message in last["messages"][1:]] == [_bare(message) for message in expected[1:]]


def _bare(message: Any) -> dict[str, Any]:
    # Tool messages get a random id from LangGraph; everything else must agree.
    return message.model_dump(exclude={"id"} if isinstance(message, ToolMessage) else None)  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_typed_event_streams_carry_the_answer() -> None:
    """LangChain's third streaming protocol is built on the same chunks."""
    model = ScriptedChatModel([says("one two three", usage=(5, 3))])
    stream = model.stream_events("x", version="v3")
    assert stream.output.text == "one two three"
    assert stream.output.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
