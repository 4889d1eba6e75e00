"""Every shape of answer that user interfaces send, and those that decide nothing."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.answers import Asked, Decision, decode

PAY = Asked("approval-1", "call-1", Action("pay", {"amount": 5}))
SEND = Asked("approval-2", "call-2", Action("send", {"to": "bob"}))
APPROVE, REJECT = Decision("approve"), Decision("reject")
EDITED = Decision("edit", edited=Action("pay", {"amount": 4}))


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ({"decisions": [{"type": "approve"}]}, APPROVE),
        ({"decisions": [{"type": "reject", "message": "no"}]}, Decision("reject", "no")),
        ({"decisions": [{"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4}}}]}, EDITED),
        ({"decisions": [{"type": "respond", "message": "42"}]}, Decision("respond", "42")),
        ({"type": "approve"}, APPROVE),
        ({"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 4}}}, EDITED),
        ([{"type": "accept", "args": None}], APPROVE),
        ([{"type": "ignore", "args": None}], REJECT),
        ([{"type": "response", "args": "say it nicely"}], Decision("respond", "say it nicely")),
        ([{"type": "edit", "args": {"action": "pay", "args": {"amount": 4}}}], EDITED),
        ({"approval-1": {"type": "approve"}}, APPROVE),
        ({"call-1": "approve"}, APPROVE),
        ({"call-1": True}, APPROVE),
        ({"decision": "approve"}, APPROVE),
        (True, APPROVE),
        (False, REJECT),
        ("Approve ", APPROVE),
        ("yes", APPROVE),
        ("no", REJECT),
        ("deny", REJECT),
    ],
    ids=lambda value: None if isinstance(value, Decision) else str(value)[:40],
)
def test_each_shape_of_answer_is_understood(answer: Any, decision: Decision) -> None:
    """LangChain's, agent-chat-ui's, Agent Inbox', and what people type."""
    assert decode(answer, [PAY]).decisions == {"approval-1": decision}


@pytest.mark.parametrize(
    "answer",
    [None, 5, "", "perhaps", {}, [], {"decisions": []}, {"decisions": "approve"}, {"type": "approve!"}, {"type": None},
     {"type": "edit"}, {"type": "edit", "edited_action": {"name": "pay"}}, {"type": "respond"},
     {"type": "edit", "edited_action": {"name": "pay", "args": {"a": float("nan")}}},
     {"type": "edit", "edited_action": {"name": "wire", "args": {"amount": 5}}},
     {"type": "approve", "digest": "0" * 64}, {"type": "approve", "approval_id": "approval-9"},
     {"approval-9": "approve"}, ["approve", "approve"], "x" * 1_000_000, b"approve", {5: "approve"}],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_no_answer_decides_nothing(answer: Any) -> None:
    """Nothing runs by it, and the problem says nothing of what it was."""
    answers = decode(answer, [PAY])
    assert answers.decisions == {}
    assert answers.problems
    assert len(str(answers.problems)) < 200


def test_decisions_without_names_count_by_position() -> None:
    """Where there are as many as there are calls: what the batched form of LangChain's interrupt sends."""
    answers = decode({"decisions": [{"type": "reject"}, {"type": "approve"}]}, [PAY, SEND])
    assert answers.decisions == {"approval-1": REJECT, "approval-2": APPROVE}


def test_decisions_with_names_count_by_their_names() -> None:
    """In whatever order they come."""
    said = [{"type": "approve", "tool_call_id": "call-2"}, {"type": "reject", "approval_id": "approval-1"}]
    assert decode({"decisions": said}, [PAY, SEND]).decisions == {"approval-1": REJECT, "approval-2": APPROVE}


def test_some_may_be_decided_before_others() -> None:
    """What was not named stays open."""
    assert decode({"approval-2": "approve"}, [PAY, SEND]).decisions == {"approval-2": APPROVE}


@pytest.mark.parametrize("answer", [True, "approve", {"type": "approve"}, [{"type": "accept"}], {"decisions": ["yes"]}])
def test_one_yes_is_none_to_two_calls(answer: Any) -> None:
    """Nobody knows which of them was meant, or seen."""
    assert decode(answer, [PAY, SEND]).decisions == {}


@pytest.mark.parametrize("answer", [False, "no", {"type": "reject"}, [{"type": "ignore"}]])
def test_one_no_is_to_all(answer: Any) -> None:
    """The safe side needs no care."""
    assert decode(answer, [PAY, SEND]).decisions == {"approval-1": REJECT, "approval-2": REJECT}


def test_two_decisions_on_one_call_are_none() -> None:
    """Not even the third."""
    said = [{"type": kind, "id": "call-1"} for kind in ("reject", "approve", "approve")]
    answers = decode({"decisions": [*said, {"type": "approve", "id": "call-2"}]}, [PAY, SEND])
    assert answers.decisions == {"approval-2": APPROVE}
    assert answers.problems == ("two decisions on one call",)


def test_named_and_nameless_decisions_do_not_mix() -> None:
    """By position, the nameless one would be somebody else's."""
    said = [{"type": "approve", "id": "call-2"}, {"type": "approve"}]
    assert decode({"decisions": said}, [PAY, SEND]).decisions == {}


def test_a_digest_that_is_right_is_no_hindrance() -> None:
    """Whoever shows it sends it back."""
    said = {"type": "approve", "approval_id": "approval-1", "digest": PAY.action.digest}
    assert decode(said, [PAY], strict=True).decisions == {"approval-1": APPROVE}


@pytest.mark.parametrize("answer", [True, "approve", {"type": "approve"}, {"decisions": [{"type": "approve"}]}])
def test_the_strict_way_wants_names(answer: Any) -> None:
    """For endpoints that answer for others."""
    assert decode(answer, [PAY], strict=True).decisions == {}


def test_a_message_is_one_that_a_store_can_keep() -> None:
    """Half of a surrogate pair comes from a cut text, and must not fail the run."""
    assert decode({"type": "reject", "message": "no \ud83e!"}, [PAY]).decisions == {
        "approval-1": Decision("reject", "no ?!")
    }
