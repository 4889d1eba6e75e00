"""People in the loop, in real graphs: what was approved is what runs, once."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Command

from langgraph_guard import MemoryBackend
from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval import chain
from langgraph_guard.policies.approval.commands import Decide, Pending, Trail
from langgraph_guard.policies.approval.rules import ApprovalRule
from tests.nodes.approving import AT, PAY, RULES, Agent


def test_what_was_approved_runs_once() -> None:
    """After the word of somebody, and not before."""
    agent = Agent(RULES, PAY)
    asked = agent.begin()
    assert agent.bank.paid == []
    assert asked["action_requests"][0]["name"] == "pay"
    assert asked["action_requests"][0]["args"] == {"amount": 5.0}
    assert asked["review_configs"] == [{"action_name": "pay", "allowed_decisions": ["approve", "edit", "reject"]}]
    assert agent.answer({"decisions": [{"type": "approve"}]}) is None
    assert agent.bank.paid == [5.0]
    assert agent.answers == ["paid 5.0"]


async def test_the_same_on_an_event_loop() -> None:
    """Without a thread in between."""
    agent = Agent(RULES, PAY)
    result = await agent.app.ainvoke({"messages": [HumanMessage("go", id="h")]}, AT, durability="sync")
    assert agent.question(result)
    await agent.app.ainvoke(Command(resume={"decisions": [{"type": "approve"}]}), AT, durability="sync")
    assert agent.bank.paid == [5.0]


def test_what_was_rejected_does_not_run() -> None:
    """The model is told why, in the place of the result."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer({"decisions": [{"type": "reject", "message": "too much"}]})
    assert agent.bank.paid == []
    assert "too much" in agent.answers[0]


def test_what_was_edited_is_what_runs() -> None:
    """And the model reads that it was."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer({"decisions": [{"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4.0}}}]})
    assert agent.bank.paid == [4.0]
    assert "paid 4.0" in agent.answers[0]
    assert "replaced" in agent.answers[0]


def test_a_person_may_answer_in_the_tools_place() -> None:
    """Where the rule allows it; the tool does not run."""
    agent = Agent({"pay": ApprovalRule(allowed_decisions=["respond"])}, PAY, ("look", {"id": "x"}))
    agent.begin()
    agent.answer({"c1": {"type": "respond", "message": "already paid"}})
    assert agent.bank.paid == []
    assert agent.answers == ["already paid", "saw x"]


def test_calls_that_need_nobody_run_beside_those_that_were_refused() -> None:
    """Each call has one answer, in order."""
    agent = Agent(RULES, PAY, ("look", {"id": "x"}))
    agent.begin()
    agent.answer("no")
    assert agent.bank.paid == []
    assert len(agent.answers) == 2
    assert agent.answers[1] == "saw x"


def test_without_a_rule_nobody_is_asked() -> None:
    """And the desk hears of nothing."""
    agent = Agent(RULES, ("look", {"id": "x"}))
    assert agent.begin() is None
    assert agent.backend.desk.execute([Trail("acme")])[0].deeds == ()  # type: ignore[union-attr]


def test_a_rule_may_refuse_by_itself() -> None:
    """Nobody is asked either."""
    agent = Agent({"pay": "deny"}, PAY)
    assert agent.begin() is None
    assert agent.bank.paid == []
    assert "may not be called" in agent.answers[0]


@pytest.mark.parametrize(
    "answer", [{"decisions": []}, "perhaps", {"type": "approve", "digest": "0" * 64}, {"approval-9": True}, 5]
)
def test_what_is_no_answer_asks_again(answer: Any) -> None:
    """Nothing runs by it, and the next answer counts."""
    agent = Agent(RULES, PAY)
    agent.begin()
    again = agent.answer(answer)
    assert again["problems"]
    assert agent.bank.paid == []
    agent.answer(True)
    assert agent.bank.paid == [5.0]


def test_time_runs_out() -> None:
    """A late yes does nothing, and the run goes where the graph says."""
    agent = Agent({"pay": ApprovalRule(ttl="1h")}, PAY)
    agent.begin()
    agent.clock.advance(3_600)
    agent.answer(True)
    assert agent.bank.paid == []
    assert "not approved in time" in agent.answers[0]
    assert agent.app.get_state(AT).values["guard_halt"]["reason"] == "approval_expired"


def test_two_people_must_agree() -> None:
    """Each for themselves; the same person twice is one."""
    agent = Agent({"pay": ApprovalRule(quorum=2)}, PAY)
    agent.begin()
    assert agent.answer(True, user_id="ann")["action_requests"][0]["approvals"] == 1
    assert agent.answer(True, user_id="ann")["action_requests"][0]["approvals"] == 1
    assert agent.bank.paid == []
    assert agent.answer(True, user_id="bob") is None
    assert agent.bank.paid == [5.0]


def test_an_answer_that_did_not_count_is_never_somebody_elses() -> None:
    """A node that runs again hears the old answers again, and by then the right person is running it."""
    agent = Agent({"pay": ApprovalRule(reviewers=["ann"])}, PAY)
    agent.begin()
    assert "other reviewers" in agent.answer(True, user_id="eve")["problems"][0]
    agent.answer(False, user_id="ann")
    assert agent.bank.paid == []


def test_roles_and_duties_are_checked() -> None:
    """By the run's own configuration where there is no server."""
    rule = ApprovalRule(roles=["manager"], separation_of_duties=True)
    agent = Agent({"pay": rule}, PAY, requester=lambda config: "ann")
    agent.begin()
    assert "may not decide" in agent.answer(True, user_id="ann", roles=["manager"])["problems"][0]
    assert "other reviewers" in agent.answer(True, user_id="bob", roles=["guest"])["problems"][0]
    assert agent.answer(True, user_id="bob", roles=["manager"]) is None
    assert agent.bank.paid == [5.0]


def test_an_approval_is_of_these_arguments_alone() -> None:
    """The stock pieces approve 1 and pay 9,999: arguments that changed after the question are asked about again."""
    agent = Agent(RULES, PAY)
    agent.begin()
    changed = AIMessage("", id="ask", tool_calls=[{"name": "pay", "args": {"amount": 9_999.0}, "id": "c1"}])
    agent.app.update_state(AT, {"messages": [changed]}, as_node="model")
    again = agent.question(agent.app.invoke(None, AT, durability="sync"))
    assert again["action_requests"][0]["args"] == {"amount": 9_999.0}
    assert agent.bank.paid == []
    agent.answer(False)
    assert agent.bank.paid == []


def test_arguments_that_change_behind_the_node_do_not_run() -> None:
    """By another node between the approval and the tools; the guard looks again at what it is about to run."""
    agent = Agent(RULES, PAY)
    agent.begin()
    approval = agent.backend.desk.execute([Pending("acme")])[0][0]  # type: ignore[index]
    agent.answer({"approval_id": approval.id, "type": "approve"})
    agent.bank.paid.clear()
    changed = AIMessage("", id="ask", tool_calls=[{"name": "pay", "args": {"amount": 9_999.0}, "id": "c1"}])
    agent.app.update_state(AT, {"messages": [changed]}, as_node="approve")
    agent.app.invoke(None, AT, durability="sync")
    assert agent.bank.paid == []


def test_a_rule_that_changes_its_mind_changes_nothing() -> None:
    """With the stock pieces, a call that was rejected runs when `when` flips: what was laid down is not asked again."""
    minds = iter([True])
    agent = Agent({"pay": ApprovalRule(when=lambda call: next(minds, False))}, PAY)
    agent.begin()
    agent.answer(False)
    assert agent.bank.paid == []


def test_without_the_node_the_guard_lets_nothing_through() -> None:
    """A graph that leads around it, or somebody who resumes behind it."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.app.update_state(AT, None, as_node="approve")
    asked = AIMessage("", id="ask", tool_calls=[{"name": "pay", "args": {"amount": 5.0}, "id": "c9"}])
    agent.app.update_state(AT, {"messages": [asked]}, as_node="approve")
    agent.app.invoke(None, AT, durability="sync")
    assert agent.bank.paid == []
    assert "nobody has decided" in agent.answers[-1] or "there is none" in agent.answers[-1]


def test_a_replay_from_any_moment_pays_nothing() -> None:
    """Time travel is for looking."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer(True)
    for moment in list(agent.app.get_state_history(AT)):
        agent.app.invoke(None, moment.config, durability="sync")
    assert agent.bank.paid == [5.0]


@pytest.mark.parametrize("times", [2])
def test_two_resumes_pay_once(times: int) -> None:
    """Both reviewers pressed the button: the second run finds the first one's result."""
    agent = Agent(RULES, PAY)
    agent.begin()
    question = agent.app.get_state(AT).config
    for _ in range(times):
        agent.app.invoke(Command(resume=True), question, durability="sync")
    assert agent.bank.paid == [5.0]


def test_the_chain_tells_it_all() -> None:
    """Asked, approved, started, done; and it verifies."""
    agent = Agent(RULES, PAY)
    agent.begin()
    agent.answer(True, user_id="ann")
    told: Any = agent.backend.desk.execute([Trail("acme")])[0]
    assert [(deed.kind, deed.by) for deed in told.deeds][:2] == [("requested", "anonymous"), ("approved", "ann")]
    assert [deed.kind for deed in told.deeds][2:] == ["started", "done"]
    assert chain.verify(told.deeds, told.head) is None


@pytest.mark.parametrize(("shape", "told"), [("per_call", "tool_approval"), ("inbox", None)])
def test_other_screens_are_served(shape: Any, told: str | None) -> None:
    """LangChain's per-call mode, one question after the other; and Agent Inbox'."""
    agent = Agent(RULES, PAY, ("pay", {"amount": 6.0}), format=shape)
    asked = agent.begin()
    if shape == "per_call":
        assert asked["type"] == told
        assert agent.answer({"type": "approve"})["args"] == {"amount": 6.0}
        agent.answer({"type": "reject"})
        assert agent.bank.paid == [5.0]
    else:
        assert [each["action_request"]["action"] for each in asked] == ["pay", "pay"]
        agent.answer([{"type": "accept", "args": None}, {"type": "ignore", "args": None}])
        assert agent.bank.paid == [5.0]


def test_two_equal_calls_are_two_questions() -> None:
    """Somebody may agree to one of them."""
    agent = Agent(RULES, PAY, PAY)
    assert len(agent.begin()["action_requests"]) == 2
    agent.answer({"c1": "approve", "c2": "reject"})
    assert agent.bank.paid == [5.0]


def test_a_question_can_be_answered_elsewhere() -> None:
    """At the desk, by another process; the run then goes on with any answer."""
    agent = Agent(RULES, PAY)
    agent.begin()
    approval = agent.backend.desk.execute([Pending("acme")])[0][0]  # type: ignore[index]
    agent.backend.desk.execute([Decide("acme", approval.id, "ann", "approve", approval.digest)])
    agent.answer({})
    assert agent.bank.paid == [5.0]


@pytest.mark.parametrize(
    ("field", "options"),
    [("format", {"format": "fax"}), ("reviewer", {"reviewer": "ann"}), ("backend", {"backend": object()})],
)
def test_what_is_wrong_is_said_when_the_node_is_made(field: str, options: dict[str, Any]) -> None:
    """With the field that it is."""
    backend = options.pop("backend", MemoryBackend())
    with pytest.raises(ConfigError, match=field):
        HumanApprovalNode(RULES, backend, **options)
