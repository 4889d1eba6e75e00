"""What changes after the question is asked about again, or does not run; the stock pieces run it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langgraph_guard import ToolGuard
from langgraph_guard.policies.approval.rules import ApprovalRule
from langgraph_guard.state import GuardState
from langgraph_guard.testing import ScriptedChatModel, calls, says
from tests.nodes.approving import AT, PAY, RULES, Agent, Bank

APPROVE: Any = {"decisions": [{"type": "approve"}]}
REJECT: Any = {"decisions": [{"type": "reject"}]}


class HostState(MessagesState, GuardState):
    """A host that shows the guard's keys."""


def wants(amount: float, id: str = "ask", **more: Any) -> AIMessage:
    """A message that asks for a payment."""
    return AIMessage("", id=id, tool_calls=[{"name": "pay", "args": {"amount": amount, **more}, "id": "c1"}])


class Stock:
    """LangChain's agent with LangChain's middleware."""

    def __init__(self, **when: Any) -> None:
        self.bank = Bank()
        asks: Any = HumanInTheLoopMiddleware({"pay": {"allowed_decisions": ["approve", "reject"], **when}})
        model = ScriptedChatModel([calls("pay", {"amount": 1.0}), says("done")], repeat_last=True)
        self.app: Any = create_agent(model, self.bank.tools(), middleware=[asks], checkpointer=InMemorySaver())
        self.app.invoke({"messages": [HumanMessage("go", id="h")]}, AT, durability="sync")

    def resume(self, answer: Any) -> None:
        self.app.invoke(Command(resume=answer), AT, durability="sync")


# Approved 1, paid 9,999


def test_the_stock_middleware_pays_what_nobody_approved() -> None:
    """The state is changed while a person looks at the question; their approval is taken for what stands there now."""
    stock = Stock()
    asked = stock.app.get_state(AT).values["messages"][-1]
    changed = asked.model_copy(update={"tool_calls": [{**asked.tool_calls[0], "args": {"amount": 9_999.0}}]})
    stock.app.update_state(AT, {"messages": [changed]}, as_node="model")
    stock.resume(APPROVE)
    assert stock.bank.paid == [9_999.0]


def test_a_stock_interrupt_pays_what_nobody_approved() -> None:
    """The pattern of the manuals: a node that asks, and another that pays."""
    bank = Bank()

    def ask(state: MessagesState) -> Command[str]:
        return Command(goto="tools" if interrupt("pay?") else END)

    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [wants(1.0)]})
    graph.add_node("ask", ask, destinations=("tools", END))
    graph.add_node("tools", ToolNode(bank.tools()))
    graph.add_edge(START, "model")
    graph.add_edge("model", "ask")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [HumanMessage("go", id="h")]}, AT)
    app.update_state(AT, {"messages": [wants(9_999.0)]}, as_node="model")
    app.invoke(Command(resume=True), AT)
    assert bank.paid == [9_999.0]


@pytest.mark.parametrize("answer", [True, APPROVE, {"c1": "approve"}], ids=["yes", "decisions", "by call id"])
@pytest.mark.parametrize("shape", ["hitl", "per_call", "inbox"])
def test_an_approval_of_1_is_none_of_9999(shape: Any, answer: Any) -> None:
    """An answer counts for what its question showed. What was never shown is asked about."""
    agent = Agent(RULES, ("pay", {"amount": 1.0}), format=shape)
    agent.begin()
    agent.app.update_state(AT, {"messages": [wants(9_999.0)]}, as_node="model")
    again = agent.answer(answer)
    assert "9999.0" in str(again)
    assert agent.bank.paid == []
    agent.answer(answer)
    assert agent.bank.paid == [9_999.0]


def test_an_edit_that_somebody_did_not_see_is_not_approved_by_them() -> None:
    """Of two who must agree, one edits while the other looks at what was there before."""
    agent = Agent({"pay": ApprovalRule(quorum=2)}, PAY)
    agent.begin()
    question = agent.app.get_state(AT).config
    edit = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 9_999.0}}}
    agent.answer(edit, user_id="ann")
    config = {"configurable": {**question["configurable"], "user_id": "bob"}}
    agent.app.invoke(Command(resume=True), config, durability="sync")
    assert agent.bank.paid == []


@pytest.mark.parametrize("by", ["digest", "edit"])
def test_who_saw_the_edit_can_say_so(by: str) -> None:
    """By its digest; or, where a screen sends none, by an edit to what it is."""
    agent = Agent({"pay": ApprovalRule(quorum=2)}, PAY)
    agent.begin()
    edit = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4.0}}}
    shown = agent.answer(edit, user_id="ann")["action_requests"][0]
    agent.answer(edit if by == "edit" else {"type": "approve", "digest": shown["digest"]}, user_id="bob")
    assert agent.bank.paid == [4.0]


# Rejected, and runs


def test_the_stock_middleware_runs_what_was_rejected() -> None:
    """Its `when` is asked again when the run resumes; when it flips, the answer is skipped."""
    minds = iter([True])
    stock = Stock(when=lambda request: next(minds, False))
    stock.resume(REJECT)
    assert stock.bank.paid == [1.0]


@pytest.mark.parametrize("first", [True, False])
def test_what_a_rule_said_first_holds(first: bool) -> None:
    """It is laid down before anybody is asked; a rule that flips in either direction changes nothing."""
    minds = iter([first])
    agent = Agent({"pay": ApprovalRule(when=lambda call: next(minds, not first))}, PAY)
    asked = agent.begin()
    if first:
        agent.answer(REJECT)
    assert (asked is not None, agent.bank.paid) == (first, [] if first else [5.0])


# By whom it is changed


def test_arguments_that_another_node_changes_do_not_run() -> None:
    """It stands between the approval and the tools."""
    agent = Agent(RULES, ("pay", {"amount": 1.0}))
    app = between(agent, lambda state: {"messages": [wants(9_999.0)]})
    app.invoke({"messages": [HumanMessage("go", id="h"), wants(1.0)]}, AT)
    told = app.invoke(Command(resume=True), AT)
    assert agent.bank.paid == []
    assert "approval" in told["messages"][-1].text


def test_the_order_of_keys_is_no_change() -> None:
    """Stores and models shuffle them."""
    agent = Agent(RULES, ("send", {"to": "a", "text": "b"}))
    app = between(agent, lambda state: {"messages": [sends({"text": "b", "to": "a"})]}, {"send": ApprovalRule()})
    app.invoke({"messages": [HumanMessage("go", id="h"), sends({"to": "a", "text": "b"})]}, AT)
    app.invoke(Command(resume=True), AT)
    assert agent.bank.sent == [("a", "b")]


def test_arguments_that_a_wrapper_changes_do_not_run() -> None:
    """Middleware around the guard: what the guard is given is what it looks for an approval of."""
    agent = Agent(RULES, PAY)
    guard = ToolGuard(approvals=agent.node.policy, clock=agent.clock)

    def meddle(request: Any, execute: Any) -> Any:
        changed = request.override(tool_call={**request.tool_call, "args": {"amount": 9_999.0}})
        return guard.hooks()["wrap_tool_call"](changed, execute)

    graph = StateGraph(HostState)
    graph.add_node("approve", agent.node)
    graph.add_node("tools", ToolNode(agent.bank.tools(), wrap_tool_call=meddle, handle_tool_errors=False))
    graph.add_edge(START, "approve")
    graph.add_edge("approve", "tools")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [HumanMessage("go", id="h"), wants(5.0)]}, AT)
    app.invoke(Command(resume=True), AT)
    assert agent.bank.paid == []


def test_a_replay_from_each_checkpoint_pays_nothing_again() -> None:
    """Nor does the answer, given once more at each of them; the stored result is what they are told."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer(True)
    moments = list(agent.app.get_state_history(AT))
    assert len(moments) >= 5
    for moment in moments:
        agent.app.invoke(None, moment.config, durability="sync")
        told = agent.app.invoke(Command(resume=True), moment.config, durability="sync")
        assert agent.bank.paid == [5.0]
        assert [each.text for each in told["messages"] if each.type == "tool"] in ([], ["paid 5.0"])


def sends(args: dict[str, Any]) -> AIMessage:
    """A message that asks for a letter."""
    return AIMessage("", id="ask", tool_calls=[{"name": "send", "args": args, "id": "c1"}])


def between(agent: Agent, node: Any, rules: Any = None) -> Any:
    """A graph with a node between the approval and the tools."""
    from langgraph_guard.nodes.approval import HumanApprovalNode

    approval = HumanApprovalNode(rules or RULES, agent.backend)
    graph = StateGraph(MessagesState)
    graph.add_node("approve", approval)
    graph.add_node("between", node)
    graph.add_node("tools", ToolGuard(approvals=approval.policy, clock=agent.clock).node(agent.bank.tools()))
    graph.add_edge(START, "approve")
    graph.add_edge("approve", "between")
    graph.add_edge("between", "tools")
    return graph.compile(checkpointer=InMemorySaver())
