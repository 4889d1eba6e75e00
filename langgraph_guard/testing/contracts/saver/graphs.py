"""Graphs that the contract runs: small ones, each for one way in which a graph uses its saver."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_guard.testing.contracts.saver.harness import Saver

SEARCHES: Final = 3


def react(saver: Saver, **terms: Any) -> Any:
    """A model that calls a tool a few times and then answers; both from a script."""

    def model(state: MessagesState) -> dict[str, Any]:
        done = 0
        for message in reversed(state["messages"]):
            if isinstance(message, HumanMessage):
                break
            done += isinstance(message, ToolMessage)
        turn = len(state["messages"])
        if done == SEARCHES:
            return {"messages": [AIMessage("found", id=f"a{turn}")]}
        call = {"name": "search", "args": {"q": [done]}, "id": f"c{turn}"}
        return {"messages": [AIMessage("", id=f"a{turn}", tool_calls=[call])]}

    def tools(state: MessagesState) -> dict[str, Any]:
        (call,) = state["messages"][-1].tool_calls  # type: ignore[union-attr] # the edge below sees to it
        return {"messages": [ToolMessage(f"result of {call['args']}", tool_call_id=call["id"], id=f"t{call['id']}")]}

    def route(state: MessagesState) -> str:
        return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver, **terms)


class Items(TypedDict, total=False):
    """A state of every plain kind: a reducer, a last value, and something that may be missing."""

    items: Annotated[list[Any], operator.add]
    last: Any
    note: str


def fan_out(saver: Saver, width: int) -> Any:
    """`width` tasks of one node at once, and a join."""

    def start(state: Items) -> dict[str, Any]:
        return {"last": "started"}

    def work(state: Any) -> dict[str, Any]:
        return {"items": [state["number"]]}

    def join(state: Items) -> dict[str, Any]:
        return {"last": len(state["items"])}

    builder = StateGraph(Items)
    builder.add_node("start", start)
    builder.add_node("work", work)
    builder.add_node("join", join)
    builder.add_edge(START, "start")
    builder.add_conditional_edges(
        "start", lambda _: [Send("work", {"number": number}) for number in range(width)], ["work"]
    )
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder.compile(checkpointer=saver)


def steps(saver: Saver, names: str = "abc", **terms: Any) -> Any:
    """Nodes in a row; each adds its name and says what it saw."""

    def node(name: str) -> Any:
        return lambda state: {"items": [name], "last": f"{name} saw {len(state.get('items', []))}"}

    builder = StateGraph(Items)
    for name in names:
        builder.add_node(name, node(name))
    for one, two in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(one, two)
    return builder.compile(checkpointer=saver, **terms)


def asking(saver: Saver) -> Any:
    """Two questions in one task, beside a task that asks one, beside one that asks nothing."""

    def twice(state: Items) -> dict[str, Any]:
        first = interrupt({"first": state.get("note")})
        return {"items": [["twice", first, interrupt({"second": first})]]}

    def once(state: Items) -> dict[str, Any]:
        return {"items": [["once", interrupt("only")]]}

    def never(state: Items) -> dict[str, Any]:
        return {"items": ["never"]}

    builder = StateGraph(Items)
    for node in (twice, once, never):
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
        builder.add_edge(node.__name__, "end")
    builder.add_node("end", lambda state: {"last": len(state["items"])})
    builder.add_edge("end", END)
    return builder.compile(checkpointer=saver)


def nested(saver: Saver, *, remembers: bool) -> Any:
    """A graph in a graph in a graph; the inner ones ask. With `remembers`, they keep their state between calls."""

    def ask(state: Items) -> dict[str, Any]:
        return {"items": [interrupt(f"{len(state['items'])} so far")]}

    innermost = StateGraph(Items)
    innermost.add_node("note", lambda state: {"items": ["innermost"], "note": "was here"})
    innermost.add_node("ask", ask)
    innermost.add_edge(START, "note")
    innermost.add_edge("note", "ask")
    innermost.add_edge("ask", END)
    keep = True if remembers else None
    inner = StateGraph(Items)
    inner.add_node("deepest", innermost.compile(checkpointer=keep))
    inner.add_edge(START, "deepest")
    inner.add_edge("deepest", END)
    outer = StateGraph(Items)
    outer.add_node("before", lambda state: {"items": ["before"]})
    outer.add_node("inner", inner.compile(checkpointer=keep))
    outer.add_edge(START, "before")
    outer.add_edge("before", "inner")
    outer.add_edge("inner", END)
    return outer.compile(checkpointer=saver)


class Flaky(TypedDict, total=False):
    """A state for tasks that fail."""

    items: Annotated[list[Any], operator.add]


def flaky(saver: Saver, failures: list[str], ran: list[str]) -> Any:
    """Three tasks at once; those whose name is in `failures` raise, and whoever runs is noted in `ran`."""

    def node(name: str) -> Any:
        def work(state: Flaky) -> dict[str, Any]:
            ran.append(name)
            if name in failures:
                raise RuntimeError(f"{name} failed")
            return {"items": [name]}

        return work

    builder = StateGraph(Flaky)
    for name in "abc":
        builder.add_node(name, node(name))
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile(checkpointer=saver)


def routed(saver: Saver) -> Any:
    """A node that says where to go, with `Command`."""

    def choose(state: Items) -> Command[Any]:
        return Command(update={"items": ["chose"], "last": None}, goto="right" if state.get("note") else "left")

    builder = StateGraph(Items)
    builder.add_node("choose", choose, destinations=("left", "right"))
    for name in ("left", "right"):
        builder.add_node(name, lambda state, name=name: {"items": [name]})
    builder.add_edge(START, "choose")
    return builder.compile(checkpointer=saver)


class Chat(TypedDict, total=False):
    """Messages beside plain lists and a last value, for whatever is edited, replaced and removed."""

    messages: Annotated[list[AnyMessage], add_messages]
    items: Annotated[list[Any], operator.add]
    last: Any


def acting(saver: Saver, act: Any) -> Any:
    """A graph of one node, which is `act`."""
    builder = StateGraph(Chat)
    builder.add_node("act", act)
    builder.add_edge(START, "act")
    builder.add_edge("act", END)
    return builder.compile(checkpointer=saver)
