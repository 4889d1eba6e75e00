"""Bad answers, bad arguments, bad moments: nothing runs by them, and the thread can go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.commands import Look, Pending
from langgraph_guard.policies.approval.rules import ApprovalRule
from langgraph_guard.state import GuardState
from tests.nodes.approving import AT, PAY, RULES, Agent

DAY = 86_400.0


class HostState(MessagesState, GuardState):
    """A host that shows the guard's keys."""


def pending(agent: Agent) -> Any:
    """What is open at the desk."""
    return agent.backend.desk.execute([Pending("acme")])[0]


BAD: dict[str, Any] = {
    "no decisions": {"decisions": []},
    "too many": [True, True],
    "a list of junk": [1, 2.5, None],
    "a number": 7,
    "a wrong digest": {"type": "approve", "digest": "0" * 64},
    "a wrong id": {"type": "approve", "approval_id": "0" * 32},
    "another call": {"c2": "approve"},
    "no type": {"decisions": [{"message": "fine by me"}]},
    "another tool": {"type": "edit", "edited_action": {"name": "send", "args": {}}},
    "an edit of nothing": {"type": "edit"},
    "an edit without a text": {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": float("nan")}}},
    "a megabyte": "y" * 1_000_000,
    "a megabyte of decisions": {"decisions": [{"type": "approve"}] * 30_000},
    "a deep one": json.loads("[" * 60 + "]" * 60),
    "bytes": b"approve",
    "an empty word": "",
}


@pytest.mark.parametrize("said", BAD)
def test_84_an_answer_that_is_none_asks_again(said: str) -> None:
    """With a reason, and without its contents; the next answer counts."""
    agent = Agent(RULES, PAY)
    agent.begin()
    again = agent.answer(BAD[said])
    assert again["problems"]
    assert sum(map(len, again["problems"])) < 300
    assert agent.bank.paid == []
    agent.answer({"type": "approve"})
    assert agent.bank.paid == [5.0]


def test_84_no_answer_at_all_asks_again() -> None:
    """`{}` is an empty map of answers to LangGraph: nobody has said anything."""
    agent = Agent(RULES, PAY)
    first = agent.begin()
    assert agent.answer({}) == first
    assert agent.bank.paid == []


def test_84_an_answer_to_another_threads_question_counts_for_nothing() -> None:
    """It names an approval that exists, and not here."""
    agent = Agent(RULES, PAY)
    agent.begin()
    theirs = Agent(RULES, ("pay", {"amount": 6.0}))
    theirs.backend = agent.backend
    theirs.node = HumanApprovalNode(RULES, agent.backend)
    theirs.app = theirs.build()
    other = {"configurable": {"thread_id": "other"}}
    theirs.app.invoke({"messages": [HumanMessage("go", id="h")]}, other)
    (mine,) = (each for each in pending(agent) if each.thread == "t")
    again = theirs.question(theirs.app.invoke(Command(resume={"approval_id": mine.id, "type": "approve"}), other))
    assert again["problems"] == ["a decision on a call that was not asked about"]
    assert (agent.bank.paid, theirs.bank.paid) == ([], [])


@pytest.mark.parametrize("answer", [True, "approve", {"decisions": [{"type": "approve"}]}], ids=["yes", "word", "list"])
def test_84_strict_takes_no_answer_that_names_nothing(answer: Any) -> None:
    """For those who want each answer bound to its approval."""
    agent = Agent(RULES, PAY, strict=True)
    asked = agent.begin()
    assert agent.answer(answer)["problems"] == ["decisions must name the approval that they are about"]
    assert agent.bank.paid == []
    agent.answer({"approval_id": asked["action_requests"][0]["approval_id"], "type": "approve"})
    assert agent.bank.paid == [5.0]


def test_84_an_answer_that_is_late_does_nothing() -> None:
    """The model is told, in the tool's place; and so is the record."""
    agent = Agent({"pay": ApprovalRule(ttl=60)}, PAY)
    agent.begin()
    (asked,) = pending(agent)
    agent.clock.advance(61)
    agent.answer(True)
    assert agent.bank.paid == []
    assert "not approved in time" in agent.answers[0]
    ((found,),) = agent.backend.desk.execute([Look("acme", (asked.id,))])  # type: ignore[misc]
    assert found.state == "expired"  # type: ignore[union-attr]


def test_90_two_of_three_are_two_of_those_three() -> None:
    """Not the same one twice, not a fourth, and not whoever asked."""
    rule = ApprovalRule(quorum=2, reviewers=["ann", "bob", "cleo"], separation_of_duties=True)
    agent = Agent({"pay": rule}, PAY, requester=lambda config: "cleo")
    agent.begin()
    for who in ("ann", "ann", "dan", "cleo"):
        assert agent.answer(True, user_id=who)["action_requests"][0]["approvals"] == 1
    assert agent.bank.paid == []
    agent.answer(True, user_id="bob")
    assert agent.bank.paid == [5.0]


def test_90_nobody_is_no_reviewer() -> None:
    """Where it matters who decides, an answer without a name is none."""
    agent = Agent({"pay": ApprovalRule(quorum=2)}, PAY)
    agent.begin()
    assert "nobody says who it was" in agent.answer(True)["problems"][0]


def test_91_two_equal_calls_are_two_approvals() -> None:
    """Somebody may mean one of them."""
    agent = Agent(RULES, PAY, PAY)
    first, second = agent.begin()["action_requests"]
    assert first["digest"] == second["digest"]
    assert first["approval_id"] != second["approval_id"]
    agent.answer({"c2": "approve", "c1": "reject"})
    assert agent.bank.paid == [5.0]


def test_91_two_calls_with_one_id_are_asked_about_once() -> None:
    """Some models do that; only the first can have an answer, and it is the one that was shown."""
    agent = Agent(RULES, PAY)
    twins = [{"name": "pay", "args": {"amount": amount}, "id": "c1", "type": "tool_call"} for amount in (5.0, 9_999.0)]
    agent.app.update_state(AT, {"messages": [HumanMessage("go", id="h")]}, as_node="__start__")
    agent.app.update_state(AT, {"messages": [AIMessage("", id="ask", tool_calls=twins)]}, as_node="model")
    asked = agent.question(agent.app.invoke(None, AT))
    assert [each["args"] for each in asked["action_requests"]] == [{"amount": 5.0}]
    agent.answer(True)
    assert agent.bank.paid == [5.0]


def test_92_five_questions_of_one_superstep_are_answered_one_by_one() -> None:
    """Each is bound to its own call; four wait on."""
    agent = Agent(RULES)
    graph = StateGraph(HostState)
    graph.add_node("start", lambda state: {})
    graph.add_node("approve", agent.node)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", lambda state: [Send("approve", {"messages": [pays(n)]}) for n in range(5)])
    graph.add_edge("approve", END)
    app: Any = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [HumanMessage("go", id="h")]}, AT)
    asked = app.get_state(AT).interrupts
    assert len({each.value["action_requests"][0]["approval_id"] for each in asked}) == 5
    app.invoke(Command(resume={asked[3].id: True}), AT)
    assert len(pending(agent)) == 4
    assert asked[3].value["action_requests"][0]["tool_call_id"] not in {each.call_id for each in pending(agent)}


def test_93_an_approval_in_a_subgraph_is_that_subgraphs() -> None:
    """Its tools node finds it, in the same graph and in no other."""
    agent = Agent(RULES, PAY)
    graph = StateGraph(MessagesState)
    graph.add_node("pays", agent_without_saver(agent))
    graph.add_edge(START, "pays")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [HumanMessage("go", id="h")]}, AT)
    app.invoke(Command(resume=True), AT)
    assert agent.bank.paid == [5.0]


def test_93_a_question_is_answered_a_month_and_a_release_later() -> None:
    """By a graph that was written anew in between: other names of nodes, other rules, the same call."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.clock.advance(31 * DAY)
    agent.node = HumanApprovalNode({"pay": "deny"}, agent.backend, name="reviewers")
    agent.app = agent.build()
    agent.answer(True)
    assert agent.bank.paid == [5.0]


NASTY = {"markdown": "`](javascript:x) **bold**", "ansi": "\x1b[2Jgone", "rtl": "\u202eevil", "invisible": "a\u200bb"}


@pytest.mark.parametrize("kind", NASTY)
def test_94_what_hides_in_arguments_is_shown(kind: str) -> None:
    """In the description, escaped; and what is approved is what it says byte by byte."""
    agent = Agent({"send": ApprovalRule()}, ("send", {"to": "a", "text": NASTY[kind]}))
    (action,) = agent.begin()["action_requests"]
    assert action["description"].isascii()
    assert action["description"].isprintable()
    assert action["description"].count("`") == 2
    agent.answer(True)
    assert agent.bank.sent == [("a", NASTY[kind])]


def pays(number: int) -> AIMessage:
    """A message that asks for a payment."""
    call: Any = {"name": "pay", "args": {"amount": float(number)}, "id": f"c{number}", "type": "tool_call"}
    return AIMessage("", id=f"ask-{number}", tool_calls=[call])


def agent_without_saver(agent: Agent) -> Any:
    """The agent as a subgraph, which keeps its state in its parent's checkpoints."""
    agent.saver = None  # type: ignore[assignment]
    return agent.build()
