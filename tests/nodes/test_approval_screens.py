"""What screens are shown is what LangChain says that they are shown; whatever they answer is understood."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware.human_in_the_loop import HITLRequest, HITLResponse, ToolApprovalRequest
from langgraph.types import Command
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from langgraph_guard.policies.approval.rules import ApprovalRule
from tests.nodes.approving import AT, PAY, RULES, Agent

EDITED: Any = {"name": "pay", "args": {"amount": 4.0}}


class Config(TypedDict):
    """Agent Inbox' `HumanInterruptConfig`."""

    allow_ignore: bool
    allow_respond: bool
    allow_edit: bool
    allow_accept: bool


class ActionRequest(TypedDict):
    """Agent Inbox' `ActionRequest`."""

    action: str
    args: dict[str, Any]


class HumanInterrupt(TypedDict):
    """Agent Inbox' `HumanInterrupt`; LangGraph's own class of that name is deprecated."""

    action_request: ActionRequest
    config: Config
    description: str


@pytest.mark.parametrize(
    ("shape", "payload"),
    [("hitl", HITLRequest), ("per_call", ToolApprovalRequest), ("inbox", list[HumanInterrupt])],
    ids=["hitl", "per_call", "inbox"],
)
def test_a_question_has_the_shape_that_its_screens_know(shape: Any, payload: Any) -> None:
    """Checked by LangChain's own types; what there is beyond them does no harm."""
    agent = Agent(RULES, PAY, ("pay", {"amount": 6.0}), format=shape)
    asked = agent.begin()
    TypeAdapter(payload).validate_python(asked, strict=True)


def test_a_question_is_one_that_agent_chat_ui_draws() -> None:
    """It wants both lists filled, names that are text, arguments that are objects, and what may be decided."""
    asked = Agent(RULES, PAY).begin()
    (action,), (config,) = asked["action_requests"], asked["review_configs"]
    assert isinstance(action["name"], str)
    assert isinstance(action["args"], dict)
    assert config["action_name"] == action["name"]
    assert set(config["allowed_decisions"]) <= {"approve", "edit", "reject"}


def test_a_question_names_its_approval_and_what_would_run() -> None:
    """For screens that send it back: then no answer can be about anything else."""
    (action,) = Agent({"pay": ApprovalRule(ttl="1h", quorum=2)}, PAY).begin()["action_requests"]
    assert len(action["approval_id"]) == 32
    assert len(action["digest"]) == 64
    assert (action["tool_call_id"], action["quorum"], action["approvals"]) == ("c1", 2, 0)
    assert isinstance(action["expires_at"], int)


LANGCHAIN: dict[str, tuple[Any, list[float]]] = {
    "approve": ({"decisions": [{"type": "approve"}]}, [5.0]),
    "edit": ({"decisions": [{"type": "edit", "edited_action": EDITED}]}, [4.0]),
    "reject": ({"decisions": [{"type": "reject", "message": "no"}]}, []),
}


@pytest.mark.parametrize("said", LANGCHAIN)
def test_langchains_answers_are_understood(said: str) -> None:
    """Each is one by LangChain's own type."""
    answer, paid = LANGCHAIN[said]
    TypeAdapter(HITLResponse).validate_python(answer, strict=True)
    agent = Agent(RULES, PAY)
    agent.begin()
    assert agent.answer(answer) is None
    assert agent.bank.paid == paid


OTHERS: dict[str, tuple[Any, list[float]]] = {
    "yes": (True, [5.0]),
    "no": (False, []),
    "word": ("approve", [5.0]),
    "another word": ("Deny", []),
    "bare decision": ({"type": "approve"}, [5.0]),
    "bare edit": ({"type": "edit", "edited_action": EDITED}, [4.0]),
    "inbox accept": ([{"type": "accept", "args": None}], [5.0]),
    "inbox edit": ([{"type": "edit", "args": {"action": "pay", "args": {"amount": 4.0}}}], [4.0]),
    "inbox ignore": ([{"type": "ignore", "args": None}], []),
    "by call id": ({"c1": {"type": "approve"}}, [5.0]),
    "word by call id": ({"c1": "reject"}, []),
}


@pytest.mark.parametrize("said", OTHERS)
@pytest.mark.parametrize("shape", ["hitl", "per_call", "inbox"])
def test_other_answers_are_understood_on_each_screen(said: str, shape: Any) -> None:
    """Whoever draws the screen, and whatever it sends."""
    answer, paid = OTHERS[said]
    agent = Agent(RULES, PAY, format=shape)
    agent.begin()
    assert agent.answer(answer) is None
    assert agent.bank.paid == paid


def test_a_person_may_say_what_the_tool_would_have_said() -> None:
    """LangChain's `respond`, and Agent Inbox' `response`."""
    for answer in (
        {"decisions": [{"type": "respond", "message": "by hand"}]},
        [{"type": "response", "args": "by hand"}],
    ):
        agent = Agent({"pay": ApprovalRule(allowed_decisions=["approve", "respond"])}, PAY)
        agent.begin()
        agent.answer(answer)
        assert (agent.bank.paid, agent.answers) == ([], ["by hand"])


def test_an_answer_by_interrupt_id_is_understood() -> None:
    """How clients answer where several questions are open."""
    agent = Agent(RULES, PAY)
    agent.begin()
    (asked,) = agent.app.get_state(AT).interrupts
    agent.app.invoke(Command(resume={asked.id: {"type": "approve"}}), AT)
    assert agent.bank.paid == [5.0]


@pytest.mark.parametrize("name", ["approval_id", "tool_call_id", "id"])
def test_what_names_a_call_is_never_matched_by_position(name: str) -> None:
    """The list comes back in another order, and each word still finds its call."""
    agent = Agent(RULES, PAY, ("pay", {"amount": 6.0}))
    first, second = agent.begin()["action_requests"]
    key = "approval_id" if name == "approval_id" else "tool_call_id"
    agent.answer({"decisions": [{"type": "approve", name: second[key]}, {"type": "reject", name: first[key]}]})
    assert agent.bank.paid == [6.0]


@pytest.mark.parametrize("others", [{}, {"id": "c1"}], ids=["unnamed", "named twice"])
def test_a_list_that_is_named_in_part_decides_nothing(others: dict[str, str]) -> None:
    """Which of the two would the second one be?"""
    agent = Agent(RULES, PAY, ("pay", {"amount": 6.0}))
    agent.begin()
    again = agent.answer({"decisions": [{"type": "approve", "id": "c1"}, {"type": "approve", **others}]})
    assert again["problems"]
    assert agent.bank.paid == []
