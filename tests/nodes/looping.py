"""Agents that go in circles: DESIGN's graph with a loop check, and a model that does as its script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import FinishNode
from langgraph_guard.nodes.loops import LoopCheckNode
from langgraph_guard.state.views import MessagesView, open_calls, read, renamed
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, calls, says

Answer = Callable[[str, Mapping[str, Any]], Any]


def same(tool: str, args: Mapping[str, Any]) -> str:
    """Every tool, always."""
    return "the request timed out"


def get(id: str | int = 1) -> Reply:
    """The model asks for an order."""
    return calls("get_order", {"id": id})


def stuck(**settings: Any) -> ScriptedChatModel:
    """A model that asks for the same thing for ever."""
    return ScriptedChatModel([get()], repeat_last=True, **settings)


def scripted(*replies: Any, **settings: Any) -> ScriptedChatModel:
    """A model that does these things, and then answers."""
    return ScriptedChatModel([*replies, says("Done.")], **settings)


def agent(
    model: ScriptedChatModel,
    loop: LoopCheckNode | None = None,
    *,
    answer: Answer = same,
    checkpointer: Any = None,
    state: type = MessagesState,
    key: str = "messages",
    guards: Any = None,
    tools: Any = None,
    **compiled: Any,
) -> Any:
    """Model, loop check, tools, finish. The tools refuse what `guard_calls` refuses, as `ToolGuard` does."""
    loop = loop or LoopCheckNode(messages_key=key, clock=FakeClock())
    guard = guards or loop
    graph: Any = StateGraph(state)
    graph.add_node("model", _model(model, key))
    graph.add_node("loop", guard)
    graph.add_node("tools", tools or _tools(answer, key))
    graph.add_node("finish", FinishNode(messages_key=key))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "loop" if open_calls(read(state, key)) else END, ["loop", END])
    graph.add_conditional_edges("loop", guard.route, guard.paths(ok="tools", revise="model", halt="finish"))
    graph.add_edge("tools", "model")
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer, **compiled)


def _model(model: ScriptedChatModel, key: str) -> Any:
    async def ask(state: Any) -> dict[str, Any]:
        return {key: [await model.ainvoke(read(state, key))]}

    return RunnableLambda(lambda state: {key: [model.invoke(read(state, key))]}, ask)


def _tools(answer: Answer, key: str) -> Any:
    def run(state: Any) -> dict[str, Any]:
        asked = open_calls(read(state, key))
        return {key: [answered(call, read(state, "guard_calls") or {}, answer) for call in asked]}

    run.__annotations__["state"] = MessagesView if key == "messages" else renamed(MessagesView, key)
    return run


def answered(call: Any, verdicts: Mapping[str, Any], answer: Answer) -> ToolMessage:
    """One call's answer: a refusal that stands in the state, or what the tool says."""
    said = verdicts.get(call["id"] or "", {}).values()
    if any(each["verdict"] == "refuse" for each in said):
        return ToolMessage("refused", tool_call_id=call["id"] or "", name=call["name"], status="error")
    return ToolMessage(str(answer(call["name"], call["args"])), tool_call_id=call["id"] or "", name=call["name"])


def thread(id: str = "t") -> Any:
    """The config of a thread."""
    return {"configurable": {"thread_id": id}, "recursion_limit": 500}


def asks(text: str = "Where is my order?", key: str = "messages") -> dict[str, Any]:
    """What a person sends."""
    return {key: [("user", text)]}


def ran(messages: Sequence[BaseMessage]) -> int:
    """How many calls were made, and not refused."""
    return sum(isinstance(each, ToolMessage) and each.status != "error" for each in messages)


def ending(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """How the run ended, as `FinishNode` says; {} when the model answered."""
    return dict(messages[-1].response_metadata.get("guard") or {})


def wants(*asked: tuple[str, Mapping[str, Any]] | Mapping[str, Any], id: str = "m") -> AIMessage:
    """A message with several calls at once."""
    message = Reply(tool_calls=list(asked))  # type: ignore[arg-type]  # both spellings
    made = [
        {"name": each[0], "args": dict(each[1]), "id": f"{id}-{at}"} if isinstance(each, tuple) else dict(each)
        for at, each in enumerate(message.tool_calls)
    ]
    return AIMessage("", tool_calls=made, id=id)
