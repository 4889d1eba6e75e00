"""Somebody goes on talking while an approval waits: the history is one that providers take, and nothing runs late."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from langgraph.types import Command
from typing_extensions import TypedDict

from langgraph_guard import MemoryBackend, SummarizationNode, ToolGuard, fuse
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.nodes.summarization.reading import items_of
from langgraph_guard.policies.approval.commands import Approval, Decide, Look, Pending, Withdraw
from langgraph_guard.policies.compaction import faults
from langgraph_guard.policies.outbox import Claim, Done, EffectKey, Failed
from langgraph_guard.testing import FakeClock
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.answer import Answer
from tests.nodes.approving import AT, PAY, RULES, Bank

Calls = list[tuple[str, dict[str, Any]]]
HELLO = "hello"


class Chat:
    """An agent that asks for its calls when it is told `go`, and else answers; `seen` has its prompts."""

    def __init__(
        self, calls: Calls, *, entry: bool = True, summary: bool = False, repeats: bool = False, **options: Any
    ) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(tenant="acme", clock=self.clock)
        self.node = HumanApprovalNode(RULES, self.backend, **options)
        self.bank = Bank()
        self.calls, self.asked, self.repeats = calls, 0, repeats
        self.seen: list[list[AnyMessage]] = []
        guards = [*([self.node.entry] if entry else []), *([SummarizationNode(max_tokens=9_000)] if summary else [])]
        self.saver = InMemorySaver()
        self.app = self._compiled(guards)

    def _compiled(self, guards: list[Any]) -> Any:
        guard = ToolGuard(approvals=self.node.policy, clock=self.clock)
        graph = StateGraph(MessagesState)
        graph.add_node("model", self._model)
        graph.add_node("approve", self.node)
        graph.add_node("tools", guard.node(self.bank.tools()))
        if guards:
            graph.add_node("before", fuse(*guards) if len(guards) > 1 else guards[0])
            graph.add_edge("before", "model")
        graph.add_edge(START, "before" if guards else "model")
        graph.add_conditional_edges("model", asks, ["approve", END])
        paths = self.node.paths(execute="tools", revise="model", expired="model")
        graph.add_conditional_edges("approve", self.node.route, paths)
        graph.add_edge("tools", "before" if guards else "model")
        return graph.compile(checkpointer=self.saver)

    def _model(self, state: MessagesState) -> dict[str, Any]:
        self.seen.append(list(state["messages"]))
        if state["messages"][-1].text != "go":
            return {"messages": [AIMessage("fine")]}
        self.asked = 1 if self.repeats else self.asked + 1
        calls = [
            {"name": name, "args": args, "id": f"c{self.asked}.{number}", "type": "tool_call"}
            for number, (name, args) in enumerate(self.calls)
        ]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    def say(self, text: str) -> Any:
        """A message of the user's, as a chat sends it."""
        return self.app.invoke({"messages": [HumanMessage(text)]}, AT, durability="sync")

    async def asay(self, text: str) -> Any:
        """The same on an event loop."""
        return await self.app.ainvoke({"messages": [HumanMessage(text)]}, AT, durability="sync")

    @property
    def history(self) -> list[BaseMessage]:
        """What the thread has."""
        return list(self.app.get_state(AT).values["messages"])

    @property
    def waiting(self) -> tuple[Approval, ...]:
        """What is open at the desk."""
        return self.backend.desk.execute([Pending("acme")])[0]  # type: ignore[return-value]

    def state_of(self, id: str) -> str:
        """How a request stands."""
        ((found,),) = self.backend.desk.execute([Look("acme", (id,))])  # type: ignore[misc]
        return found.state  # type: ignore[union-attr]

    def approve(self, approval: Approval) -> Any:
        """Somebody's late word."""
        return self.backend.desk.execute([Decide("acme", approval.id, "ann", "approve", approval.digest)])[0]


def asks(state: MessagesState) -> str:
    """Where to go from the model."""
    said = next(message for message in reversed(state["messages"]) if isinstance(message, AIMessage))
    return "approve" if said.tool_calls else END


def kinds(messages: list[Any]) -> list[str]:
    """What a history is made of."""
    return [message.type for message in messages]


def test_calls_that_waited_are_answered_where_providers_want_it() -> None:
    """An AI message with calls and no answers is refused with a 400, in this turn and each later one."""
    chat = Chat([PAY])
    chat.say("go")
    chat.say(HELLO)
    assert kinds(chat.seen[-1]) == ["human", "ai", "tool", "human"]
    assert not faults(items_of(chat.seen[-1]))
    answer = chat.history[2]
    assert isinstance(answer, ToolMessage)
    assert (answer.tool_call_id, answer.name, answer.status) == ("c1.0", "pay", "error")
    assert "pay was not run: the user went on" in answer.text


def test_the_request_is_withdrawn() -> None:
    """Whoever approves then is told that nothing runs by it, and nothing does."""
    chat = Chat([PAY])
    chat.say("go")
    (asked,) = chat.waiting
    chat.say(HELLO)
    late = chat.approve(asked)
    chat.app.invoke(None, AT)
    assert chat.waiting == ()
    assert (late.won, late.problem) == (False, "it was withdrawn: its run went on without it")
    assert chat.bank.paid == []


def test_it_is_the_same_on_an_event_loop() -> None:
    """Under `ainvoke` as well."""
    chat = Chat([PAY])

    async def both() -> None:
        await chat.asay("go")
        await chat.asay(HELLO)

    asyncio.run(both())
    assert (kinds(chat.seen[-1]), chat.waiting) == (["human", "ai", "tool", "human"], ())


def test_what_was_approved_and_not_begun_is_withdrawn_too() -> None:
    """The model is told that it was not run: a resume that is still on its way must not run it after that."""
    chat = Chat([PAY])
    chat.say("go")
    (asked,) = chat.waiting
    chat.approve(asked)
    chat.say(HELLO)
    assert chat.state_of(asked.id) == "withdrawn"
    key = EffectKey("acme", "t", "c1.0", asked.digest)
    assert type(chat.backend.outbox.execute([Claim(key, "late", 60.0, asked.id, True)])[0]).__name__ == "Unapproved"


def done(chat: Chat, asked: Approval, end: str) -> None:
    """The call was begun by somebody who died then, and this is what the outbox knows."""
    key = EffectKey("acme", "t", "c1.0", asked.digest)
    chat.backend.outbox.execute([Claim(key, "w", 60.0, asked.id, True)])
    text = kept.dump(Answer(ToolMessage("paid 5.0", tool_call_id="c1.0", name="pay")))
    if end != "started":
        chat.backend.outbox.execute([Done(key, 1, text) if end == "done" else Failed(key, 1, end == "in_doubt")])


@pytest.mark.parametrize(
    ("end", "told", "state"),
    [
        ("done", "paid 5.0", "approved"),
        ("started", "has not ended", "approved"),
        ("in_doubt", "in doubt", "approved"),
        ("failed", "was not run", "withdrawn"),
    ],
)
def test_what_ran_is_not_said_not_to_have_run(end: str, told: str, state: str) -> None:
    """A process died between the payment and the checkpoint: a model that is told "not run" would pay again."""
    chat = Chat([PAY])
    chat.say("go")
    (asked,) = chat.waiting
    chat.approve(asked)
    done(chat, asked, end)
    chat.say(HELLO)
    assert told in chat.history[2].text
    assert (chat.state_of(asked.id), chat.history[2].tool_call_id) == (state, "c1.0")  # type: ignore[attr-defined]


@dataclass
class Interleaved:
    """A backend at whose desk something happens just before a request is withdrawn."""

    backend: MemoryBackend
    before: Callable[[], Any]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    @property
    def desk(self) -> Any:
        """The desk: this."""
        return self

    instant = True

    def execute(self, commands: Any) -> Any:
        """What it answers."""
        if any(isinstance(each, Withdraw) for each in commands):
            self.before()
        return self.backend.desk.execute(commands)


def test_what_begins_in_the_last_moment_is_not_said_not_to_have_run() -> None:
    """A resume that is on its way claims the call between our look and our withdrawal."""
    chat = Chat([PAY])
    chat.say("go")
    (asked,) = chat.waiting
    chat.approve(asked)
    chat.node.policy._backend = Interleaved(chat.backend, lambda: done(chat, asked, "done"))
    chat.say(HELLO)
    assert chat.history[2].text == "paid 5.0"


def test_calls_that_nobody_was_asked_about_are_answered_too() -> None:
    """They waited for the question of their message."""
    chat = Chat([PAY, ("look", {"id": "7"})])
    chat.say("go")
    chat.say(HELLO)
    answers = [message for message in chat.history if isinstance(message, ToolMessage)]
    assert [(each.tool_call_id, each.name) for each in answers] == [("c1.0", "pay"), ("c1.1", "look")]
    assert "look has no result" in answers[1].text
    assert not faults(items_of(chat.history))


def test_answers_that_are_there_stay() -> None:
    """An independent call ran before anybody was asked about the other one."""
    messages = [
        HumanMessage("go", id="h1"),
        AIMessage("", id="a1", tool_calls=[call("c1", "look"), call("c2", "pay")]),
        ToolMessage("saw 7", tool_call_id="c1", id="t1"),
        HumanMessage("and?", id="h2"),
    ]
    after = Chat([PAY]).node.entry.invoke({"messages": messages})["messages"].value
    assert [getattr(each, "tool_call_id", "") for each in after] == ["", "", "c1", "c2", ""]
    assert [after[0], after[1], after[2], after[4]] == messages


def test_an_answer_that_came_late_takes_its_place() -> None:
    """Two runs on one thread: the tool answered behind what the user wrote."""
    messages = [
        AIMessage("", id="a1", tool_calls=[call("c1", "look")]),
        HumanMessage("and?", id="h2"),
        ToolMessage("saw 7", tool_call_id="c1", id="t1"),
        AIMessage("fine", id="a2"),
    ]
    after = Chat([PAY]).node.entry.invoke({"messages": messages})["messages"].value
    assert [each.id for each in after] == ["a1", "t1", "h2", "a2"]


def call(id: str, name: str) -> Any:
    """A tool call."""
    return {"id": id, "name": name, "args": {"id": "7"}, "type": "tool_call"}


class DeltaHost(TypedDict):
    """Of LangGraph's channel that keeps differences."""

    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer, snapshot_frequency=7)]


class PlainListHost(TypedDict):
    """Of a reducer that only adds."""

    messages: Annotated[list[AnyMessage], operator.add]


class LastValueHost(TypedDict):
    """Without a reducer."""

    messages: list[AnyMessage]


@pytest.mark.parametrize("host", [MessagesState, DeltaHost, PlainListHost, LastValueHost])
def test_every_kind_of_host_has_it_in_its_place(host: Any) -> None:
    """Whatever its channel does with messages; and after it was loaded again."""
    graph = StateGraph(host)
    graph.add_node("before", Chat([PAY]).node.entry)
    graph.add_node("ends", lambda state: None)
    graph.add_edge(START, "before")
    graph.add_edge("before", "ends")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    asked = [HumanMessage("go", id="h1"), AIMessage("", id="a1", tool_calls=[call("c1", "look")])]
    app.invoke({"messages": [*asked, HumanMessage("and?", id="h2")]}, AT)
    found = app.get_state(AT).values["messages"]
    assert (kinds(found), [found[0].id, found[1].id, found[3].id]) == (
        ["human", "ai", "tool", "human"],
        ["h1", "a1", "h2"],
    )
    assert found[2].id


def test_a_history_in_order_is_left_alone() -> None:
    """Also while the last calls still wait for their tools, and where models use an id in each turn."""
    messages = [
        HumanMessage("go", id="h1"),
        AIMessage("", id="a1", tool_calls=[call("c1", "look")]),
        ToolMessage("saw 7", tool_call_id="c1", id="t1"),
        HumanMessage("go", id="h2"),
        AIMessage("", id="a2", tool_calls=[call("c1", "look")]),
    ]
    assert Chat([PAY]).node.entry.invoke({"messages": messages}) == {}


def test_before_the_summarizer_it_comes_first() -> None:
    """Which else takes the calls out of their message, and nobody withdraws what was asked."""
    chat = Chat([PAY], summary=True)
    chat.say("go")
    chat.say(HELLO)
    assert (kinds(chat.seen[-1]), chat.waiting) == (["human", "ai", "tool", "human"], ())


def test_the_next_question_of_a_thread_withdraws_what_was_left() -> None:
    """Also in a graph whose turns do not begin with `entry`: two open questions would be one too many."""
    chat = Chat([PAY], entry=False)
    chat.say("go")
    (first,) = chat.waiting
    chat.say("go")
    (second,) = chat.waiting
    assert (chat.state_of(first.id), first.id != second.id) == ("withdrawn", True)


def test_a_question_with_the_same_id_is_asked_again() -> None:
    """Of a model that calls its first call "c1" in every turn: it is the same request, and it is wanted."""
    chat = Chat([PAY], entry=False, repeats=True)
    chat.say("go")
    (first,) = chat.waiting
    chat.say("go")
    assert [each.id for each in chat.waiting] == [first.id]


def test_the_question_of_now_is_not_withdrawn() -> None:
    """Whatever else a guard wrote behind the message that asks."""
    chat = Chat([PAY])
    chat.say("go")
    (asked,) = chat.waiting
    chat.app.update_state(AT, {"messages": [HumanMessage("a note", id="n")]}, as_node="model")
    chat.app.invoke(Command(resume=True), AT)
    assert chat.state_of(asked.id) != "withdrawn"


def test_an_older_question_that_is_asked_again_stays_withdrawn() -> None:
    """Time travel to before the user went on: it was taken back, and the model is told so."""
    chat = Chat([PAY])
    chat.say("go")
    asked = next(each for each in chat.app.get_state_history(AT) if each.interrupts)
    chat.say(HELLO)
    state = chat.app.invoke(Command(resume=True), asked.config)
    told = [message.text for message in state["messages"] if isinstance(message, ToolMessage)]
    assert chat.bank.paid == []
    assert "pay was withdrawn, because the user went on" in told[0]
