"""The end of a run: history that the next model accepts, an answer worth having, and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langgraph_guard import Budget, BudgetCheckNode, FinishNode, Limit, MemoryBackend
from langgraph_guard.nodes.finish import summary_of
from langgraph_guard.testing import Reply, ScriptedChatModel, calls, says
from langgraph_guard.tools.results import ToolResult
from tests.nodes.agents import is_valid, thread

HALT = {
    "id": "d", "guard": "budget", "route": "exceeded", "reason": "limit_cost", "unit": "usd", "scope": "session",
    "window": None, "limit": 50_000, "spent": 49_300, "reserved": 0, "requested": 1_800, "retry_after": None,
    "turn": "q", "turn_seq": 1, "at": 1,
}  # fmt: skip


def asking(*ids: str) -> AIMessage:
    """A model's message with tool calls of these ids."""
    return AIMessage("I look.", tool_calls=[{"name": "look", "args": {}, "id": id} for id in ids])


def finished(messages: list[Any], node: FinishNode | None = None, halt: Any = HALT) -> list[Any]:
    """The history after the node."""
    state = {"messages": messages, "guard_halt": halt, "guard_turn": {"id": "q", "seq": 1}}
    return [*messages, *(node or FinishNode()).invoke(state, thread())["messages"]]


def question() -> HumanMessage:
    """What opened the turn."""
    return HumanMessage("Where is A1?", id="q")


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_open_tool_calls_are_closed(answered: int) -> None:
    """A provider refuses a history with a question to a tool and no answer."""
    answers = [ToolMessage("seen", tool_call_id=str(n), name="look") for n in range(answered)]
    history = finished([question(), asking("0", "1", "2"), *answers])
    assert is_valid(history)
    closed = [message for message in history if message.type == "tool" and message.status == "error"]
    assert len(closed) == 3 - answered
    assert all("limit_cost" in message.text for message in closed)


def test_the_last_message_says_why_for_programs_and_people() -> None:
    """Status, sentence, figures, and how to go on."""
    last = finished([question()])[-1]
    assert last.response_metadata["guard"] == {
        "status": "limit_cost",
        "reason": "limit_cost: 0.0493 USD of 0.05 USD used per session, 0.0018 USD more needed",
        "unit": "usd",
        "scope": "session",
        "window": None,
        "limit": 50_000,
        "spent": 49_300,
        "continue": "Start a new session, or ask for this one's limit to be raised.",
    }
    assert "0.0493 USD of 0.05 USD" in last.text


def test_without_a_model_the_answer_tells_what_was_done() -> None:
    """No money, no model: the history still says something."""
    tools = [asking("1"), ToolMessage("warehouse: packed", tool_call_id="1", name="look")] * 2
    last = finished([HumanMessage("earlier"), AIMessage("old news"), question(), *tools])[-1]
    assert "I look." in last.text
    assert "look: called 2 times; last result: warehouse: packed" in last.text
    assert "old news" not in last.text


async def test_a_model_writes_the_answer_when_there_is_one() -> None:
    """It reads a closed history, and is told to stop and say what is open."""
    model = ScriptedChatModel([says("A1 is packed; I could not see the carrier.")], repeat_last=True)
    node = FinishNode(model)
    history = finished([question(), asking("1")], node)
    state = {"messages": history[:2], "guard_halt": HALT, "guard_turn": {"id": "q", "seq": 1}}
    update = await node.ainvoke(state, thread())
    assert history[-1].text.startswith("A1 is packed")
    assert update["messages"][-1].text == history[-1].text
    assert is_valid(model.calls[0].messages[:-1])
    assert model.calls[0].messages[-1].type == "human"


@pytest.mark.parametrize(
    "reply", ["", "  ", calls("look"), RuntimeError("down"), Reply(text="", tool_calls=[("look", {})])]
)
def test_a_model_that_does_not_answer_is_done_without(reply: Any) -> None:
    """Empty, a tool call, or broken: the person gets an answer all the same."""
    last = finished([question()], FinishNode(ScriptedChatModel([reply])))[-1]
    assert last.text.startswith("I had to stop")
    assert not last.tool_calls


def test_a_landing_that_the_budget_refuses_is_done_without() -> None:
    """The reserve may be gone as well, when others share the limit."""
    budget = BudgetCheckNode(Budget([Limit("usd", 0.00001, per="session")]), MemoryBackend())
    model = ScriptedChatModel([says("never")])
    last = finished([question()], FinishNode(budget.model(model, landing=True)))[-1]
    assert last.text.startswith("I had to stop")
    assert model.call_count == 0


def test_a_halt_of_an_earlier_turn_is_no_reason() -> None:
    """Who routes here without a limit in the way gets a plain end."""
    last = finished([question()], halt={**HALT, "turn": "before"})[-1]
    assert last.response_metadata["guard"]["status"] == "stopped"


def test_secrets_in_tool_arguments_stay_out_of_the_answer() -> None:
    """What was called is told; with what is not."""
    call = AIMessage("", tool_calls=[{"name": "pay", "args": {"card": "4111-canary"}, "id": "1"}])
    last = finished([question(), call])[-1]
    assert "canary" not in last.text


@pytest.mark.parametrize("text", ["x" * 100_000, "\n" * 5_000, "a\x1b[31mb"])
def test_long_results_are_clipped(text: str) -> None:
    """An answer is to be read."""
    last = finished([question(), asking("1"), ToolMessage(text, tool_call_id="1", name="look")])[-1]
    assert len(last.text) < 1_000


def test_answers_to_calls_that_were_not_made_are_no_results() -> None:
    """ "Called 4 times" where the fourth was refused would be wrong in the one message that must be right."""
    question = HumanMessage("Where is it?", id="h")
    failed = ToolResult.error("timeout", "No answer came in time.").to_message("1", "look")
    refused = ToolResult.error("circuit_open", "look is left alone.", retry_after=30).to_message("2", "look")
    asked = [AIMessage("Still pending.", tool_calls=[{"name": "look", "args": {}, "id": id}]) for id in ("1", "2")]

    summary = summary_of([question, asked[0], failed, asked[1], refused])

    assert "- look: called 1 time; last result: No answer came in time." in summary
    assert "ending" not in summary
    assert summary_of([question, asked[1], refused]).endswith("- look: not called; look is left alone.")
