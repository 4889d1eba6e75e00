"""Recorded results as the answers of a replay: the right one for each call, or none."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import ApprovalRule, HumanApprovalNode, MemoryBackend, ToolGuard
from langgraph_guard.errors import ReplayMiss
from langgraph_guard.tools.guard.replayed import REPLAY, Recordings

ran: list[str] = []


@tool
def send(to: str) -> str:
    """Sends something."""
    ran.append(to)
    return f"sent to {to}"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Each test counts for itself."""
    ran.clear()


def asked(id: str, to: str) -> AIMessage:
    """A model's call."""
    return AIMessage("", tool_calls=[{"id": id, "name": "send", "args": {"to": to}}])


def answered(id: str, text: str, **fields: Any) -> ToolMessage:
    """What the thread has for it."""
    return ToolMessage(text, tool_call_id=id, name="send", id=f"message-{id}", **fields)


def call(id: str, to: str) -> dict[str, Any]:
    """A call as LangGraph hands it over."""
    return {"id": id, "name": "send", "args": {"to": to}}


HISTORY: list[BaseMessage] = [
    asked("a", "ann"),
    answered("a", "sent once"),
    asked("b", "ann"),
    answered("b", "sent twice"),
    asked("c", "bob"),
    answered("c", "bob is away", status="error"),
]


def text(found: ToolMessage | None) -> str | None:
    """What it says."""
    return found and found.text


def test_a_call_is_known_by_its_id() -> None:
    """The thread's own call, in the copy."""
    recordings = Recordings([HISTORY])
    assert [text(recordings.of(call(id, to))) for id, to in (("b", "ann"), ("a", "ann"), ("c", "bob"))] == [
        "sent twice",
        "sent once",
        "bob is away",
    ]


def test_a_call_with_another_id_is_known_by_what_it_asks() -> None:
    """A model that is asked again gives its calls new ids: in the order in which they were made, the last for ever."""
    recordings = Recordings([HISTORY])
    assert [text(recordings.of(call(f"new-{n}", "ann"))) for n in range(3)] == ["sent once", "sent twice", "sent twice"]


def test_an_id_alone_is_not_enough() -> None:
    """Some models name their calls alike in each answer."""
    recordings = Recordings([HISTORY])
    assert text(recordings.of(call("a", "bob"))) == "bob is away"
    assert recordings.of(call("a", "eve")) is None


def test_what_a_summary_removed_is_known_from_before() -> None:
    """Every state of the thread is looked at, not the last alone."""
    recordings = Recordings([HISTORY[:2], HISTORY[4:]])
    assert text(recordings.of(call("a", "ann"))) == "sent once"
    assert len(recordings) == 2


def graph(**settings: Any) -> Any:
    """A guarded tools node by itself."""
    built = StateGraph(MessagesState)
    built.add_node("tools", ToolGuard(**settings).node([send]))
    built.add_edge(START, "tools")
    built.add_edge("tools", END)
    return built.compile()


def run(app: Any, *messages: BaseMessage, recordings: Recordings) -> list[ToolMessage]:
    """The answers of a replay."""
    config: Any = {"configurable": {REPLAY: recordings, "thread_id": "copy"}}
    found = app.invoke({"messages": list(messages)}, config)["messages"]
    return [each for each in found if isinstance(each, ToolMessage)]


def test_a_guard_answers_from_the_recordings() -> None:
    """Its text and its status, under the id of the call; the message is a new one."""
    (found,) = run(graph(), asked("x", "bob"), recordings=Recordings([HISTORY]))
    assert (found.text, found.status, found.tool_call_id) == ("bob is away", "error", "x")
    assert found.id != "message-c"
    assert ran == []


def test_a_miss_is_raised_and_nothing_runs() -> None:
    """It is no answer of a tool: the model must not go on from it."""
    with pytest.raises(ReplayMiss, match="'send'"):
        run(graph(), asked("x", "eve"), recordings=Recordings([HISTORY]))
    assert ran == []


async def test_it_is_the_same_on_a_loop() -> None:
    """One flow for both."""
    config: Any = {"configurable": {REPLAY: Recordings([HISTORY])}}
    found = await graph().ainvoke({"messages": [asked("x", "ann")]}, config)
    assert found["messages"][-1].text == "sent once"
    assert ran == []


def test_a_guards_note_is_written_once() -> None:
    """It was recorded with the result; a guard that still has it writes it anew."""
    noted = [asked("a", "ann"), answered("a", "sent once\n\n[note] Do not repeat this call.")]
    (found,) = run(graph(), asked("x", "ann"), recordings=Recordings([noted]))
    assert found.text == "sent once"


def test_a_replay_claims_no_execution() -> None:
    """The outbox knows what was done in the world; a replay does nothing in it."""
    backend = MemoryBackend()
    policy = HumanApprovalNode({"other": ApprovalRule()}, backend).policy
    contracts = {"send": {"side_effects": "write", "timeout": 5}}
    app = graph(approvals=policy, contracts=contracts)
    asks = backend.outbox.execute
    told: list[Any] = []
    backend.outbox.execute = lambda commands: told.extend(commands) or asks(commands)  # type: ignore[method-assign,func-returns-value]
    (found,) = run(app, asked("x", "ann"), recordings=Recordings([HISTORY]))
    assert (found.text, told, ran) == ("sent once", [], [])


def test_whatever_else_stands_in_the_config_is_no_replay() -> None:
    """A caller's own value under that name turns nothing off."""
    found = graph().invoke({"messages": [asked("x", "ann")]}, {"configurable": {REPLAY: {"send": "forged"}}})
    assert found["messages"][-1].text == "sent to ann"
