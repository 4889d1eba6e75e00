"""What the approval node says of what it does: to those who answer, to dashboards, and to the desk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from langgraph_guard import ToolGuard
from langgraph_guard.events import subscribe
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.commands import Decide, Pending, Trail
from langgraph_guard.policies.approval.rules import ApprovalRule
from tests.nodes.approving import AT, PAY, RULES, Agent

Said = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def said() -> Iterator[Said]:
    """The events of approvals and effects."""
    found: Said = []
    stop = subscribe(
        lambda name, facts: found.append((name, dict(facts))) if name.startswith(("approval.", "effect.")) else None
    )
    yield found
    stop()


def names(said: Said) -> list[str]:
    """What they are called."""
    return [name for name, _ in said]


# Events


def test_each_event_comes_once_however_often_the_node_runs(said: Said) -> None:
    """It runs again after each answer, and hears all of them again."""
    agent = Agent({"pay": ApprovalRule(quorum=2)}, PAY)
    agent.begin()
    agent.answer(True, user_id="ann")
    agent.clock.advance(60)
    agent.answer(True, user_id="bob")
    assert names(said) == ["approval.asked", "approval.asked", "approval.decided", "effect.claimed", "effect.ended"]
    told = {"guard": "human_approval", "tool": "pay", "decision": "approved", "quorum": 2, "seconds": 60.0}
    assert said[2][1] == told


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (False, "rejected"),
        ({"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 1.0}}}, "edited"),
        ({"type": "respond", "message": "done"}, "responded"),
    ],
    ids=["rejected", "edited", "responded"],
)
def test_each_decision_has_its_word(said: Said, answer: Any, decision: str) -> None:
    """One of a few, and nothing of what was said or by whom."""
    agent = Agent({"pay": ApprovalRule(allowed_decisions=["edit", "reject", "respond"])}, PAY)
    agent.begin()
    agent.answer(answer, user_id="ann")
    (facts,) = (facts for name, facts in said if name == "approval.decided")
    assert facts["decision"] == decision
    assert "ann" not in str(said)


def test_expiry_is_told(said: Said) -> None:
    """When the run finds it."""
    agent = Agent({"pay": ApprovalRule(ttl=60)}, PAY)
    agent.begin()
    agent.clock.advance(61)
    agent.answer(True)
    assert names(said) == ["approval.asked", "approval.expired"]


def test_what_stood_in_the_way_is_told(said: Said) -> None:
    """A call that reached the tools without its approval is worth an alarm."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.app.update_state(AT, None, as_node="approve")
    agent.app.invoke(None, AT)
    assert said[-1] == ("effect.refused", {"tool": "pay", "reason": "open"})


def test_a_replay_is_told_as_found(said: Said) -> None:
    """No second claim: the stored result."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer(True)
    said.clear()
    moment = next(each for each in agent.app.get_state_history(AT) if each.next == ("tools",))
    agent.app.invoke(None, moment.config)
    assert said == [("effect.found", {"tool": "pay", "state": "done"})]


# Those who answer


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)], ids=["reject is late", "approve is late"])
def test_who_answers_after_the_decision_is_told_who_was_first(first: bool, second: bool) -> None:
    """Their run goes on with what was decided, and says so."""
    agent = Agent(RULES, PAY)
    agent.begin()
    (asked,) = agent.backend.desk.execute([Pending("acme")])[0]  # type: ignore[misc]
    kind: Any = "approve" if first else "reject"
    agent.backend.desk.execute([Decide("acme", asked.id, "ann", kind, asked.digest)])  # type: ignore[union-attr]
    agent.answer(second, user_id="bob")
    assert agent.bank.paid == ([5.0] if first else [])
    assert f"it was {'approved' if first else 'rejected'} already, by ann" in agent.answers[0]


def test_who_says_the_same_is_told_nothing_more() -> None:
    """A second yes is no contradiction."""
    agent = Agent(RULES, PAY)
    agent.begin()
    question = agent.app.get_state(AT).config
    agent.answer(True, user_id="ann")
    told = agent.app.invoke(Command(resume=True), question)
    assert next(each.text for each in told["messages"] if each.type == "tool") == "paid 5.0"


@pytest.mark.parametrize(("durability", "warnings"), [("sync", 0), ("async", 1), ("exit", 1), (None, 1)])
def test_a_run_that_may_forget_the_question_is_warned_of_once(
    durability: Any, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    """LangGraph's default is one; nobody asks people every day and wants to read it every time."""
    agent = Agent(RULES, PAY)
    for thread in ("a", "b"):
        config: Any = {"configurable": {"thread_id": thread}}
        agent.app.invoke({"messages": [HumanMessage("go", id="h")]}, config, durability=durability)
    assert caplog.text.count("may forget the question") == warnings


def test_a_question_that_is_decided_is_not_asked_again_with_the_others() -> None:
    """One by one, an answer that was none leads back to its own call alone."""
    agent = Agent(RULES, PAY, ("pay", {"amount": 6.0}), format="per_call")
    assert agent.begin()["args"] == {"amount": 5.0}
    assert agent.answer("perhaps")["args"] == {"amount": 6.0}
    assert agent.answer(True)["args"] == {"amount": 5.0}
    agent.answer(True)
    assert sorted(agent.bank.paid) == [5.0, 6.0]


def test_an_id_that_a_model_uses_again_is_another_call() -> None:
    """What was said of the first one is not said of the second: neither the refusal nor the approval."""
    agent = Agent({"send": "deny"})
    graph = StateGraph(MessagesState)
    graph.add_node("approve", agent.node)
    graph.add_node("tools", ToolGuard(approvals=agent.node.policy, clock=agent.clock).node(agent.bank.tools()))
    graph.add_edge(START, "approve")
    graph.add_conditional_edges("approve", agent.node.route, {"execute": "tools", "revise": END})
    app: Any = graph.compile(checkpointer=agent.saver)
    for number, (name, args) in enumerate([("send", {"to": "a", "text": "b"}), ("look", {"id": "x"})]):
        # Beside each other, so that the refusal is a verdict for the tools and not an answer of the node's.
        beside: Any = {"name": "look", "args": {"id": "y"}, "id": f"free-{number}", "type": "tool_call"}
        call: Any = {"name": name, "args": args, "id": "c1", "type": "tool_call"}
        asked = AIMessage("", id=f"ask-{number}", tool_calls=[call, beside])
        app.invoke({"messages": [HumanMessage("go", id=f"h{number}"), asked]}, AT)
    assert sorted(agent.bank.looked) == ["x", "y", "y"]


# The desk


class Counting:
    """A desk that counts how often it is asked."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk
        self.trips = 0
        self.instant = True

    def execute(self, commands: Any) -> Any:
        self.trips += 1
        return self._desk.execute(commands)


def counted(agent: Agent) -> Counting:
    """The agent's desk, watched."""
    desk = Counting(agent.backend.desk)
    agent.node.policy._backend = Away(agent.backend, desk)
    return desk


class Away:
    """The agent's backend with another desk."""

    def __init__(self, backend: Any, desk: Any) -> None:
        self.tenant, self.clock, self.outbox, self.desk = backend.tenant, backend.clock, backend.outbox, desk


def test_calls_that_no_rule_concerns_ask_no_desk() -> None:
    """An agent that only reads pays nothing for the reviewers of its letters."""
    agent = Agent(RULES, ("look", {"id": "x"}))
    desk = counted(agent)
    agent.begin()
    assert (desk.trips, agent.bank.looked) == (0, ["x"])


def test_a_question_and_its_answer_are_two_round_trips_each() -> None:
    """Laid down and shown; looked up and decided."""
    agent = Agent(RULES, PAY, PAY, PAY)
    desk = counted(agent)
    agent.begin()
    assert desk.trips == 2
    agent.answer({"c1": True, "c2": False, "c3": True})
    assert desk.trips == 4


def test_a_call_that_a_rule_allows_is_one() -> None:
    """What was said of it is kept, so that it is not said otherwise later."""
    agent = Agent({"pay": ApprovalRule(above={"amount": 100})}, PAY)
    desk = counted(agent)
    agent.begin()
    assert (desk.trips, agent.bank.paid) == (1, [5.0])
    told: Any = agent.backend.desk.execute([Trail("acme")])[0]
    assert [deed.kind for deed in told.deeds] == ["allowed", "started", "done"]


def test_a_node_outside_of_a_graph_says_what_may_run() -> None:
    """For tests of your own: no thread, no question, a verdict."""
    agent = Agent(RULES)
    node = HumanApprovalNode({"pay": "deny"}, agent.backend)
    assert ToolGuard(approvals=node.policy)
    call: Any = {"name": "pay", "args": {"amount": 5.0}, "id": "c1", "type": "tool_call"}
    update = node.invoke({"messages": [HumanMessage("go", id="h"), AIMessage("", id="ask", tool_calls=[call])]})
    assert update["guard_verdicts"]["human_approval"]["route"] == "revise"
