"""What LangGraph sends to a saver: recorded from a real graph, replayed on any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.calling import Call
from langgraph_guard.flow import Flow

LAST = 10
"""Supersteps of a thread that are replayed; what was before them comes in one piece, as input."""

LISTED = 10

OPERATIONS = ("put", "put_writes", "get_tuple", "list")


def message(at: int, size: int = 1_000) -> AnyMessage:
    """One with so many characters; no two are alike."""
    text = f"{at}: " + "The parcel left the warehouse at noon and is on its way. " * (size // 50 + 1)
    return (AIMessage if at % 2 else HumanMessage)(text[:size], id=f"message-{at:06}")


def talk(length: int, size: int = 1_000) -> list[AnyMessage]:
    return [message(at, size) for at in range(length)]


def loop(size: int = 1_000) -> StateGraph[Any]:
    """A graph that adds one message per superstep until there are `until` of them."""

    def step(state: Long) -> dict[str, Any]:
        return {"messages": [message(len(state["messages"]), size)]}

    def on(state: Long) -> str:
        return "step" if len(state["messages"]) < state["until"] else END

    graph = StateGraph(Long)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", on, ["step", END])
    return graph


class Long(MessagesState):
    """A conversation, and how long it shall be."""

    until: int


class Recorder(BaseCheckpointSaver[Any]):
    """Notes what a graph asks of its saver. The versions are those of the saver that it stands for."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._saver = saver

    def get_next_version(self, current: Any, channel: None = None) -> Any:
        return self._saver.get_next_version(current, channel)

    def get_tuple(self, config: Any) -> None:
        return None

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        self.calls.append(Call("put", (config, checkpoint, metadata, new_versions)))
        there = {**config["configurable"], "checkpoint_id": checkpoint["id"]}
        return {"configurable": {name: there[name] for name in ("thread_id", "checkpoint_ns", "checkpoint_id")}}

    def put_writes(self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        self.calls.append(Call("put_writes", (config, list(writes), task_id, task_path)))


@dataclass(frozen=True)
class Recorded:
    """The calls that make a thread of `messages` messages, and how many of each kind at the end are measured."""

    messages: int
    calls: tuple[Call, ...]
    measured: int

    def visit(self, thread: str, reads: int, lists: int) -> Flow[Call, Any, dict[str, list[Any]]]:
        """Make the thread, read it, list it, delete it. Of each operation what the gauge said."""
        found: dict[str, list[Any]] = {name: [] for name in OPERATIONS}
        for call in self.calls:
            found[call.name] += yield [on(thread, call)]
        found = {name: values[-self.measured :] for name, values in found.items()}
        here = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        for _ in range(reads):
            found["get_tuple"] += yield [Call("get_tuple", (here,))]
        for _ in range(lists):
            found["list"] += yield [Call("list", (here, LISTED))]
        yield [Call("delete_thread", (thread,))]
        return found


def record(saver: BaseCheckpointSaver[Any], messages: int) -> Recorded:
    """Of a loop whose last supersteps add a message each."""
    steps = min(LAST, messages - 1)
    recorder = Recorder(saver)
    app = loop().compile(checkpointer=recorder)
    config: Any = {"configurable": {"thread_id": "recorded"}, "recursion_limit": 1_000}
    app.invoke({"messages": talk(messages - steps), "until": messages}, config, durability="sync")
    return Recorded(messages, tuple(recorder.calls), max(1, min(steps, messages // 5)))


def on(thread: str, call: Call) -> Call:
    """`call` for another thread than the recorded one."""
    config, *others = call.arguments
    there = {**config, "configurable": {**config["configurable"], "thread_id": thread}}
    return Call(call.name, (there, *others))
