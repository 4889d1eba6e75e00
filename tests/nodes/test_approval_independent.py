"""Calls that nobody has to approve do not wait for those that somebody has to, where the graph says so."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send

from langgraph_guard import LoopCheckNode, ToolGuard, fuse
from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.commands import Decide, Pending
from langgraph_guard.state import GuardState
from tests.nodes.approving import AT, PAY, RULES, Agent

LOOK = ("look", {"id": "x"})


class HostState(MessagesState, GuardState):
    """A host that shows the guard's keys."""


def test_by_default_all_calls_wait_for_one_question() -> None:
    """One superstep before the tools and one for them, and no more."""
    agent = Agent(RULES, PAY, LOOK)
    agent.begin()
    assert agent.bank.looked == []


def test_calls_that_may_run_do_so_before_anybody_is_asked() -> None:
    """A look-up need not wait until Monday for a payment."""
    agent = Agent(RULES, PAY, LOOK, independent=True)
    asked = agent.begin()
    assert [each["name"] for each in asked["action_requests"]] == ["pay"]
    assert agent.bank.looked == ["x"]
    assert agent.bank.paid == []


EDIT = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4.0}}}


@pytest.mark.parametrize(
    ("answer", "paid", "words"),
    [(True, [5.0], "paid 5.0"), (False, [], "rejected"), (EDIT, [4.0], "replaced")],
    ids=["approved", "rejected", "edited"],
)
def test_the_rest_follows_the_answer(answer: Any, paid: list[float], words: str) -> None:
    """Each call is answered once, and what ran does not run again; also when all of it takes no time."""
    agent = Agent(RULES, PAY, LOOK, independent=True)
    agent.begin()
    assert agent.answer(answer) is None
    assert (agent.bank.paid, agent.bank.looked) == (paid, ["x"])
    assert agent.answers[0] == "saw x"
    assert words in agent.answers[1]
    assert len(agent.answers) == 2


async def test_the_same_on_an_event_loop() -> None:
    """With the same answers in the same order."""
    agent = Agent(RULES, PAY, LOOK, ("look", {"id": "y"}), PAY, independent=True)
    await agent.app.ainvoke({"messages": [HumanMessage("go", id="h")]}, AT, durability="sync")
    assert sorted(agent.bank.looked) == ["x", "y"]
    await agent.app.ainvoke(Command(resume={"c1": "approve", "c4": "reject"}), AT, durability="sync")
    assert agent.bank.paid == [5.0]
    found = agent.app.get_state(AT).values["messages"]
    assert [each.tool_call_id for each in found if isinstance(each, ToolMessage)] == ["c2", "c3", "c1", "c4"]


def test_a_message_in_which_all_must_be_approved_is_asked_about_at_once() -> None:
    """There is nothing to do first."""
    agent = Agent(RULES, PAY, PAY, independent=True)
    assert len(agent.begin()["action_requests"]) == 2
    agent.answer({"c1": "approve", "c2": "approve"})
    assert agent.bank.paid == [5.0, 5.0]


def test_refused_calls_are_answered_beside_those_that_run() -> None:
    """They wait for nobody either."""
    agent = Agent(
        {"pay": RULES["pay"], "send": "deny"}, PAY, LOOK, ("send", {"to": "a", "text": "b"}), independent=True
    )
    agent.begin()
    assert agent.answers[0] == "saw x"
    assert "may not be called" in agent.answers[1]
    agent.answer(True)
    assert agent.answers[2] == "paid 5.0"


def test_what_was_decided_meanwhile_runs_beside_them() -> None:
    """A call that somebody approved from elsewhere is one that may run."""
    agent = Agent(RULES, PAY, LOOK, independent=True)
    agent.begin()
    approval = agent.backend.desk.execute([Pending("acme")])[0][0]  # type: ignore[index]
    agent.backend.desk.execute([Decide("acme", approval.id, "ann", "approve", approval.digest)])
    agent.app.invoke(None, AT, durability="sync")
    assert agent.bank.paid == [5.0]
    assert agent.answers == ["saw x", "paid 5.0"]


def test_a_tools_node_that_is_not_ours_runs_no_call_that_waits() -> None:
    """A plain `ToolNode` runs the whole message; the guard around it answers what is held."""
    agent = Agent(RULES, PAY, LOOK, independent=True)
    guard = ToolGuard(approvals=agent.node.policy, clock=agent.clock)
    graph = StateGraph(HostState)
    graph.add_node("approve", agent.node)
    graph.add_node("tools", ToolNode(agent.bank.tools(), handle_tool_errors=False, **guard.hooks()))
    graph.add_edge(START, "approve")
    graph.add_edge("approve", "tools")
    graph.add_edge("tools", END)
    told = graph.compile(checkpointer=agent.saver).invoke(asked(), AT)
    assert agent.bank.paid == []
    assert "waits for a person's decision" in told["messages"][-2].text


@pytest.mark.parametrize("independent", [False, True])
def test_calls_that_are_sent_one_by_one_are_each_their_own(independent: bool) -> None:
    """`Send` makes a task of each; one that waits is refused there, and never runs."""
    agent = Agent(RULES, PAY, LOOK, independent=independent)
    guard = ToolGuard(approvals=agent.node.policy, clock=agent.clock)

    def each(state: HostState) -> Any:
        return [Send("tools", [call]) for call in state["messages"][-1].tool_calls]  # type: ignore[union-attr]

    graph = StateGraph(HostState)
    graph.add_node("approve", agent.node)
    graph.add_node("tools", guard.node(agent.bank.tools()))
    graph.add_edge(START, "approve")
    graph.add_conditional_edges("approve", each, ["tools"])
    app = graph.compile(checkpointer=agent.saver)
    app.invoke(asked(), AT)
    if independent:
        assert (agent.bank.paid, agent.bank.looked) == ([], ["x"])
    else:
        app.invoke(Command(resume=True), AT)
        assert (agent.bank.paid, agent.bank.looked) == ([5.0], ["x"])


def test_a_fused_node_comes_back_too() -> None:
    """The guards beside it look twice at the calls that wait, and count them once."""
    agent = Agent(RULES, independent=True)
    before = fuse(LoopCheckNode(repeats=2), agent.node)
    graph = StateGraph(HostState)
    graph.add_node("before", before)
    graph.add_node("tools", ToolGuard(approvals=agent.node.policy, clock=agent.clock).node(agent.bank.tools()))
    graph.add_edge(START, "before")
    graph.add_conditional_edges(
        "before", before.route, before.paths(execute="tools", revise=END, expired=END, halt=END)
    )
    graph.add_conditional_edges("tools", agent.node.after_tools, agent.node.paths(pending="before", ok=END))
    app: Any = graph.compile(checkpointer=agent.saver)
    app.invoke(asked(), AT)
    app.invoke(Command(resume=True), AT)
    assert (agent.bank.paid, agent.bank.looked) == ([5.0], ["x"])


def test_the_way_back_must_have_a_target() -> None:
    """A graph that never comes back would leave calls without an answer."""
    node = HumanApprovalNode(RULES, Agent(RULES).backend, independent=True)
    assert node.paths(pending="approve", ok="model") == {"pending": "approve", "ok": "model"}
    with pytest.raises(ConfigError, match="ok"):
        node.paths(pending="approve")


def asked() -> Any:
    """A state in which a payment and a look are asked for."""
    calls = [{"name": name, "args": args, "id": id} for id, (name, args) in {"c1": PAY, "c2": LOOK}.items()]
    return {"messages": [HumanMessage("go", id="h"), AIMessage("", id="ask", tool_calls=calls)]}
