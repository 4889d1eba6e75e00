"""The loop check in a graph: the ladder from end to end, and everything that may happen in between."""

from __future__ import annotations

import operator
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_guard import (
    ApprovalRule,
    Budget,
    BudgetCheckNode,
    GuardState,
    HumanApprovalNode,
    Limit,
    MemoryBackend,
    fuse,
    guard_report,
)
from langgraph_guard.events import subscribe
from langgraph_guard.nodes.guard import Guard
from langgraph_guard.nodes.loops import LoopCheckNode
from langgraph_guard.testing import FakeClock, Reply, calls, says
from langgraph_guard.tools.results.result import ToolResult
from tests.nodes.agents import is_valid
from tests.nodes.looping import agent, asks, ending, get, ran, scripted, stuck, thread, wants


class PublicHost(MessagesState, GuardState):
    pass


class PydanticHost(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages] = []


@dataclass
class DataclassHost:
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


class PlainListHost(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]


def node(**settings: Any) -> LoopCheckNode:
    """A loop check on a clock that stands still."""
    return LoopCheckNode(**{"clock": FakeClock(), **settings})


# The ladder


def test_the_incident_ends_after_three_calls() -> None:
    """Nudged at the third call, refused at the fourth, ended at the fifth: not ten thousand."""
    model = stuck()
    messages = agent(model).invoke(asks(), thread())["messages"]
    assert (ran(messages), model.call_count) == (3, 5)
    assert is_valid(messages)
    assert ending(messages)["status"] == "loop"
    assert ending(messages)["reason"].startswith("loop: get_order was called 5 times with the same arguments")
    assert ending(messages)["continue"].startswith("Send another message")


class Where(FakeClock):
    """A clock that knows the threads in which it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def now(self) -> float:
        self.threads.add(threading.get_ident())
        return super().now()


async def test_the_same_happens_on_an_event_loop() -> None:
    """And without a thread in between."""
    model, clock = stuck(), Where()
    messages = (await agent(model, node(clock=clock)).ainvoke(asks(), thread()))["messages"]
    assert (ran(messages), model.call_count, ending(messages)["status"]) == (3, 5, "loop")
    assert clock.threads == {threading.get_ident()}


@pytest.mark.parametrize("state", [MessagesState, PydanticHost, DataclassHost, PublicHost, PlainListHost])
def test_it_works_in_any_host(state: type) -> None:
    """Nobody has to inherit anything; whoever does sees the key."""
    final = agent(stuck(), state=state).invoke(asks(), thread())
    assert (ran(final["messages"]), ending(final["messages"])["status"]) == (3, "loop")
    assert ("guard_loops" in final) == (state is PublicHost)


def test_messages_may_have_another_name() -> None:
    """Not every state calls them `messages`."""

    class Host(TypedDict):
        history: Annotated[list[AnyMessage], add_messages]

    messages = agent(stuck(), state=Host, key="history").invoke(asks(key="history"), thread())["history"]
    assert (ran(messages), ending(messages)["status"]) == (3, "loop")


def test_the_nudge_is_a_note_on_the_call_that_runs() -> None:
    """`ToolGuard` puts it beside the result: never between a message and the answers to its calls."""
    app = agent(scripted(get(), get(), get()), state=PublicHost)
    final = app.invoke(asks(), thread())
    third = final["messages"][5].tool_calls[0]["id"]
    assert set(final["guard_calls"]) == {third}
    assert final["guard_calls"][third]["loop"]["verdict"] == "note"
    assert "get_order with the same arguments 3 times" in final["guard_calls"][third]["loop"]["message"]
    assert ran(final["messages"]) == 3


def test_a_model_that_listens_goes_on() -> None:
    """A nudge is not a stop: with other arguments the tool is there."""
    messages = agent(scripted(get(), get(), get(), get(2))).invoke(asks(), thread())["messages"]
    assert (ran(messages), messages[-1].text) == (4, "Done.")


def test_a_blocked_tool_is_refused_in_words_that_help() -> None:
    """The answer has the shape of every tool's failure, and says what to do."""
    messages = agent(scripted(get(), get(), get(), get())).invoke(asks(), thread())["messages"]
    refusal = messages[-2]
    result = ToolResult.parse(refusal)
    assert isinstance(refusal, ToolMessage)
    assert (refusal.status, refusal.name) == ("error", "get_order")
    assert result is not None
    assert (result.error_type, result.retry_safe) == ("denied", False)
    assert "4 times" in result.message
    assert messages[-1].text == "Done.", "revise: the model may answer"


def test_a_batch_that_is_refused_whole_has_one_answer_per_call_in_order() -> None:
    """LangGraph runs what has no answer, and providers refuse a history with two."""
    both = Reply(tool_calls=[("get_order", {"id": 1}), ("get_order", {"id": 2})])
    messages = agent(scripted(both, both, both, both)).invoke(asks(), thread())["messages"]
    asked, *answers = messages[-4:-1]
    assert [each.tool_call_id for each in answers] == [call["id"] for call in asked.tool_calls]
    assert [each.status for each in answers] == ["error", "error"]
    assert is_valid(messages)


def test_of_a_batch_only_the_blocked_tool_is_refused() -> None:
    """The node answers none of it; the verdicts say what the tools may not run."""
    both = Reply(tool_calls=[("get_order", {"id": 1}), ("search", {"q": "new"})])
    app = agent(scripted(get(), get(), get(), both), state=PublicHost)
    final = app.invoke(asks(), thread())
    asked, first, second = final["messages"][-4:-1]
    verdicts = [final["guard_calls"].get(call["id"], {}).get("loop", {}).get("verdict") for call in asked.tool_calls]
    assert verdicts == ["refuse", None]
    assert (first.status, second.status) == ("error", "success")


def test_what_another_guard_refused_counts_when_nothing_is_left() -> None:
    """Each guard refused a part: together they refused all, and there is nothing to run."""
    message = wants(("get_order", {"id": 1}), ("pay", {}))
    state = stuck_state(3, message)
    breaker = {"verdict": "refuse", "error_type": "circuit_open", "message": "pay is down", "retry_at": None, "at": 1}
    told = {**state, "guard_calls": {"m-1": {"breaker": breaker}}}
    update = node(ladder=("block",)).invoke(told)
    assert update["guard_verdicts"]["loop"]["route"] == "revise"
    results = [ToolResult.parse(each) for each in update["messages"]]
    assert [result.error_type for result in results if result] == ["denied", "circuit_open"]


def refusal(error_type: str = "circuit_open", **more: Any) -> dict[str, Any]:
    """What another guard says of a call."""
    return {"verdict": "refuse", "error_type": error_type, "message": "no", "retry_at": None, "at": 1, **more}


def test_what_others_refused_altogether_is_theirs_to_answer() -> None:
    """Two answers to one call are one too many."""
    told = {"guard_calls": {"m-0": {"breaker": refusal()}}}
    assert "messages" not in node().invoke(stuck_state(0, wants(("pay", {})), **told))


def test_an_old_refusal_of_this_guard_refuses_nothing() -> None:
    """An id that came again: the call is another."""
    message = wants(("get_order", {"id": 1}), ("pay", {}))
    told = {"guard_calls": {"m-1": {"loop": refusal()}}}
    update = node(ladder=("block",)).invoke(stuck_state(3, message, **told))
    assert {id: said["loop"]["verdict"] for id, said in update["guard_calls"].items()} == {
        "m-0": "refuse",
        "m-1": "pass",
    }


@pytest.mark.parametrize("kind", ["permanent", "no such type", "circuit_open"])
def test_whatever_another_guard_says_becomes_an_answer(kind: str) -> None:
    """`ToolResult` refuses what contradicts itself; a run must not fail for that."""
    message = wants(("get_order", {"id": 1}), ("pay", {}))
    told = {"guard_calls": {"m-1": {"mine": refusal(kind, retry_at=2**41)}}}
    update = node(ladder=("block",)).invoke(stuck_state(3, message, **told))
    assert [each.status for each in update["messages"]] == ["error", "error"]


def test_what_is_answered_is_not_answered_again() -> None:
    """Another node answered a part of the batch."""
    message = wants(("get_order", {"id": 1}), ("get_order", {"id": 2}))
    state = stuck_state(3, message)
    state["messages"].append(ToolMessage("done", tool_call_id="m-0"))
    update = node(ladder=("block",)).invoke({**state, "guard_loops": blocked("get_order")})
    assert [each.tool_call_id for each in update["messages"]] == ["m-1"]


def blocked(tool: str) -> dict[str, Any]:
    """A turn in which `tool` was blocked."""
    return {"turn": "h", "turn_seq": 1, "calls": {}, "told": {tool: {"rung": "block", "round": 0}}}


def test_a_word_that_may_be_wrong_leaves_no_trace() -> None:
    """Five letters, five times "sent": a note, and neither a decision nor a rung."""
    letters = [calls("send", {"to": word}) for word in ("ann", "bob", "cem", "dan", "eve")]
    final = agent(scripted(*letters), answer=lambda tool, args: "sent", state=PublicHost).invoke(asks(), thread())
    assert [each["loop"]["verdict"] for each in final["guard_calls"].values()] == ["note"]
    assert (final["guard_decisions"], final["guard_loops"]["told"]) == ([], {})


def test_one_message_leaves_a_bounded_trail() -> None:
    """Twenty tools at once, each three times: state keeps fifty decisions, and other guards need room as well."""
    heard: list[str] = []
    stop = subscribe(lambda name, attributes: heard.append(name))
    try:
        message = wants(*((f"tool_{at % 20}", {}) for at in range(60)))
        update = node().invoke(stuck_state(0, message))
    finally:
        stop()
    assert (len(update["guard_decisions"]), heard.count("loop.found"), len(update["guard_calls"])) == (8, 8, 60)


@pytest.mark.parametrize(
    ("more", "seq"),
    [
        ({"guard_turn": {"id": "h", "seq": 9}}, 9),
        ({"guard_halt": {"turn": "old", "turn_seq": 7}}, 8),
        ({"guard_halt": {"turn": "h", "turn_seq": 7}}, 7),
        ({}, 1),
    ],
)
def test_a_halt_outranks_those_of_earlier_turns(more: dict[str, Any], seq: int) -> None:
    """`first_halt` keeps the halt of the highest number; another guard may have counted further."""
    update = node(ladder=("halt",)).invoke(stuck_state(3, wants(("get_order", {"id": 1})), **more))
    assert update["guard_halt"]["turn_seq"] == seq


def stuck_state(times: int, message: AIMessage, **more: Any) -> dict[str, Any]:
    """A state in which `get_order(1)` was answered alike so often, and `message` asks now."""
    history: list[Any] = [HumanMessage("hi", id="h")]
    for at in range(times):
        history.append(
            AIMessage("", tool_calls=[{"name": "get_order", "args": {"id": 1}, "id": f"c{at}"}], id=f"a{at}")
        )
        history.append(ToolMessage("timed out", tool_call_id=f"c{at}"))
    return {"messages": [*history, message], **more}


def test_rungs_may_be_left_out() -> None:
    """Where nobody reads notes, and where nobody wants an end."""
    straight = agent(stuck(), node(ladder=("halt",))).invoke(asks(), thread())["messages"]
    assert (ran(straight), ending(straight)["status"]) == (2, "loop")
    gentle = agent(scripted(*[get()] * 9), node(ladder=("nudge",))).invoke(asks(), thread())["messages"]
    assert (ran(gentle), gentle[-1].text) == (9, "Done.")
    firm = agent(scripted(*[get()] * 9), node(ladder=("nudge", "block"))).invoke(asks(), thread())["messages"]
    assert (ran(firm), firm[-1].text) == (3, "Done.")


def test_the_second_offence_of_a_tool_is_blocked() -> None:
    """It was told once in this turn."""
    script = [get(), get(), get(), get(2), get(2), get(2)]
    messages = agent(scripted(*script)).invoke(asks(), thread())["messages"]
    assert ran(messages) == 5
    assert messages[-1].text == "Done."


def test_a_tool_that_gets_on_is_never_stopped() -> None:
    """Forty times the same call, forty different answers."""
    count = iter(range(100))
    app = agent(scripted(*[get()] * 40), answer=lambda tool, args: f"{next(count)} of 100")
    messages = app.invoke(asks(), thread())["messages"]
    assert (ran(messages), messages[-1].text) == (40, "Done.")


def test_a_poll_may_say_so_by_name_or_in_its_contract() -> None:
    """`wait_for` is meant to be asked again."""

    class Contract:
        polls = True

    waits = [calls("wait_for", {"job": 7})] * 20
    for settings in ({"polls": ("wait_for",)}, {"contracts": {"wait_for": Contract()}}):
        messages = agent(scripted(*waits), node(**settings)).invoke(asks(), thread())["messages"]
        assert (ran(messages), messages[-1].text) == (20, "Done.")


def test_two_tools_in_turn_are_a_circle() -> None:
    """A-B-A-B: the third round is nudged, then both tools are blocked, then it ends."""
    turns = [calls("a", {}), calls("b", {})] * 20
    loop = node(per_tool={"a": 4, "b": 4})
    final = agent(scripted(*turns), loop, state=PublicHost).invoke(asks(), thread())
    messages = final["messages"]
    assert "went in a circle" in ending(messages)["reason"]
    assert ran(messages) == 7
    (note,) = final["guard_calls"].values()
    refused = next(each for each in messages if isinstance(each, ToolMessage) and each.status == "error")
    assert "You go in a circle" in note["loop"]["message"], "the finding that says most"
    assert "You go in a circle" in refused.text


# Turns, restarts, interrupts


def test_a_new_message_of_the_person_starts_anew() -> None:
    """Yesterday's loop is not today's."""
    saver = InMemorySaver()
    agent(stuck(), checkpointer=saver).invoke(asks(), thread())
    again = agent(scripted(get(), get()), checkpointer=saver).invoke(asks("And now?"), thread())["messages"]
    assert again[-1].text == "Done."
    assert guard_report(agent(stuck(), checkpointer=saver), thread()).status == "ok"


def test_every_turn_has_its_own_end() -> None:
    """The halt of an earlier turn must not hide why this one stopped."""
    saver = InMemorySaver()
    for at in range(3):
        final = agent(stuck(), checkpointer=saver).invoke(asks(f"Question {at}"), thread())["messages"]
        assert ending(final)["status"] == "loop"
    assert guard_report(agent(stuck(), checkpointer=saver), thread()).status == "loop"


@pytest.mark.parametrize("calls_before", [1, 2, 3, 4])
def test_another_process_counts_on(calls_before: int) -> None:
    """The worker dies between the model and the tools; the next has a new graph and the same checkpoints."""
    saver = InMemorySaver()
    first = agent(stuck(), checkpointer=saver, interrupt_after=["loop"])
    first.invoke(asks(), thread())
    for _ in range(calls_before - 1):
        first.invoke(None, thread())
    messages = agent(stuck(), checkpointer=saver).invoke(None, thread())["messages"]
    assert (ran(messages), ending(messages)["status"]) == (3, "loop")


class Approval(Guard):
    """A guard that asks a person each time."""

    passing = ("execute",)
    stopping = ("expired",)

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        interrupt("May I?")
        return {}


def test_an_approval_in_the_same_step_neither_forgets_nor_counts_twice() -> None:
    """What is fused before an interrupt runs again on resume; LangChain's run limits reset there."""
    loop = node()
    both = fuse(loop, Approval("approval"))
    graph = StateGraph(MessagesState)
    inner = agent(stuck())
    for name in ("model", "tools", "finish"):
        graph.add_node(name, inner.builder.nodes[name].runnable)
    graph.add_node("guards", both)
    graph.add_edge(START, "model")
    graph.add_edge("model", "guards")
    paths = both.paths(execute="tools", revise="model", halt="finish", expired="finish")
    graph.add_conditional_edges("guards", both.route, paths)
    graph.add_edge("tools", "model")
    graph.add_edge("finish", END)
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    approvals = 0
    while app.get_state(thread()).next:
        app.invoke(Command(resume=True), thread())
        approvals += 1
    messages = app.get_state(thread()).values["messages"]
    assert (ran(messages), approvals, ending(messages)["status"]) == (3, 3, "loop")


def test_people_are_not_asked_about_calls_that_will_not_run() -> None:
    """The check stands before the approval: in the other order whoever rejects the same call is asked for ever."""
    guards = fuse(node(), HumanApprovalNode({"get_*": ApprovalRule()}, MemoryBackend()))
    app = agent(stuck(), guards=leading_on(guards), checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    asked = 0
    while app.get_state(thread()).next and asked < 9:
        app.invoke(Command(resume={"decisions": [{"type": "reject"}]}), thread())
        asked += 1
    messages = app.get_state(thread()).values["messages"]
    assert (asked, ran(messages), ending(messages)["status"]) == (3, 0, "loop")


def leading_on(fused: Any) -> Any:
    """`fused` with the ways of an approval, so that `agent` need not know of it."""
    paths = fused.paths
    fused.paths = lambda ok, **targets: paths(execute=ok, expired="finish", **targets)
    return fused


def test_time_travel_goes_back_with_the_count() -> None:
    """A fork from before the loop has not been told anything."""
    saver = InMemorySaver()
    app = agent(stuck(), checkpointer=saver)
    app.invoke(asks(), thread())
    early = [each for each in app.get_state_history(thread()) if each.next == ("tools",)][-1]
    assert len(early.values["messages"]) == 2
    messages = app.invoke(None, early.config)["messages"]
    assert (ran(messages), ending(messages)["status"]) == (3, "loop")


def test_a_summary_takes_nothing_away() -> None:
    """A summarizer removes what the loop was made of, and the model goes on with it."""
    model = stuck()

    def forget(state: MessagesState) -> Any:
        first, *_, asked, answer = state["messages"]
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), first, asked, answer]}

    class Tools:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, state: MessagesState) -> Any:
            self.calls += 1
            (call,) = state["messages"][-1].tool_calls
            said = ToolMessage("timed out", tool_call_id=call["id"], id=f"answer-{self.calls}")
            return forget({"messages": [*state["messages"], said]})

    tools = Tools()
    messages = agent(model, tools=tools).invoke(asks(), thread())["messages"]
    assert (tools.calls, model.call_count, ending(messages)["status"]) == (3, 5, "loop")


def test_a_turn_lasts_as_the_budget_says() -> None:
    """Another agent that writes as a person opens no turn, and must not reset the count."""
    loop = node()
    state = stuck_state(3, wants(("get_order", {"id": 1})))
    intruder = HumanMessage("The planner says: go on.", id="planner")
    turn = {"id": "h", "seq": 4, "opened_at": 1, "active_ms": 0}
    messages = [*state["messages"][:5], intruder, *state["messages"][5:]]
    assert "guard_calls" not in loop.invoke({"messages": messages})
    assert loop.invoke({"messages": messages, "guard_turn": turn})["guard_calls"]


def test_a_halt_of_the_budgets_turn_carries_its_number() -> None:
    """`first_halt` compares numbers: one that counts otherwise would be hidden behind an old one."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 99, per="turn")]), MemoryBackend())
    guards = fuse(budget, node())
    app = agent(stuck(), guards=guards_with(guards), state=PublicHost, checkpointer=InMemorySaver())
    for _ in range(2):
        final = app.invoke(asks(), thread())
    assert final["guard_halt"]["turn_seq"] == final["guard_turn"]["seq"] == 2
    assert ending(final["messages"])["status"] == "loop"


def guards_with(fused: Any) -> Any:
    """`fused` with a way out for the budget, so that `agent` need not know of it."""
    paths = fused.paths
    fused.paths = lambda **targets: paths(exceeded="finish", **targets)
    return fused


# What it says


def test_it_writes_its_verdict_only_when_that_changes() -> None:
    """A key that is written is stored again with the checkpoint."""
    loop = node()
    message = wants(("search", {"q": 1}))
    first = loop.invoke({"messages": [HumanMessage("hi", id="h"), message]})
    assert first["guard_verdicts"] == {"loop": {"route": "ok", "reason": "", "turn": "h", "at": 1_767_225_600_000}}
    again = loop.invoke({"messages": [HumanMessage("hi", id="h"), message], **first})
    assert again == {}


def test_an_answer_of_the_model_costs_nothing() -> None:
    """Nothing is asked for: there is nothing to remember."""
    update = node().invoke({"messages": [HumanMessage("hi", id="h"), AIMessage("Hello.")]})
    assert set(update) == {"guard_verdicts"}


def test_decisions_tell_the_way_up() -> None:
    """The audit trail and `guard_report` show each rung once."""
    app = agent(stuck(), checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    report = guard_report(app, thread())
    told = [(each["route"], each["kind"], each["tool"], each["count"]) for each in report.decisions]
    rungs = [("nudge", 3), ("block", 4), ("halt", 5)]
    assert told == [(rung, "identical", "get_order", count) for rung, count in rungs]
    assert report.status == "loop"


def test_listeners_hear_of_each_finding() -> None:
    """Names and figures, never arguments."""
    heard: list[Any] = []
    stop = subscribe(lambda name, attributes: heard.append((name, dict(attributes))) if name == "loop.found" else None)
    try:
        agent(stuck()).invoke(asks(), thread())
    finally:
        stop()
    said = {"guard": "loop", "kind": "identical", "tool": "get_order"}
    assert heard == [
        ("loop.found", {**said, "count": count, "rung": rung})
        for count, rung in ((3, "nudge"), (4, "block"), (5, "halt"))
    ]


def test_nothing_of_arguments_and_results_is_kept() -> None:
    """The state is stored, shown in traces, and read by other programs."""
    secret = "4111-1111-1111-1111"
    app = agent(scripted(*[get(secret)] * 4), answer=lambda tool, args: secret, state=PublicHost)
    final = app.invoke(asks(), thread())
    kept = {key: value for key, value in final.items() if key.startswith("guard_")}
    assert len(final["guard_loops"]["calls"]) == 4
    assert secret not in str(kept)


def test_the_drawn_graph_has_its_three_ways() -> None:
    """DESIGN's example as printed."""
    loop = LoopCheckNode(repeats=3)
    assert loop.paths(ok="tools", revise="model", halt="finish") == {"ok": "tools", "revise": "model", "halt": "finish"}
    drawn = agent(stuck(), loop).get_graph().draw_mermaid()
    assert all(f"loop -. &nbsp;{word}&nbsp; .->" in drawn for word in ("ok", "revise", "halt"))


def test_two_checks_may_stand_in_one_graph() -> None:
    """One per sub-agent, under names of their own."""
    one, other = node(name="one"), node(name="other", repeats=2)
    update = fuse(one, other).invoke(stuck_state(2, wants(("get_order", {"id": 1}))))
    assert set(update["guard_calls"]["m-0"]) == {"one", "other"}


def test_the_model_may_still_answer_at_the_end() -> None:
    """Nothing that the loop check writes stands in the way of a plain answer."""
    messages = agent(scripted(get(), says("It has shipped."))).invoke(asks(), thread())["messages"]
    assert messages[-1].text == "It has shipped."
