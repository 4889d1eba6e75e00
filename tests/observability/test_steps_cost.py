"""Money in the step log is the ledger's, to the micro-dollar, whichever way a model is metered."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_guard import Limit
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.testing import ScriptedChatModel, calls, says
from tests.nodes.agents import Agent, asks, react

PLENTY = [Limit("usd", 5, per="session"), Limit("model_calls", 25, per="turn")]


@pytest.fixture
def steps() -> list[Step]:
    """What was recorded."""
    return []


@pytest.fixture
def watching(steps: list[Step]) -> Iterator[StepRecorder]:
    """What records it."""
    recorder = StepRecorder(steps)
    yield recorder
    recorder.close()


def talks() -> ScriptedChatModel:
    """Calls of different sizes, with two that are alike."""
    return ScriptedChatModel(
        [
            calls("get_order_status", {"order_id": "A1"}, usage=(1_003, 51)),
            calls("get_order_status", {"order_id": "A2"}, usage=(1_007, 53)),
            calls("get_order_status", {"order_id": "A3"}, usage=(1_007, 53)),
            says("It has shipped.", usage=(1_501, 20)),
        ],
        model_name="gpt-4o",
    )


def paid(steps: list[Step]) -> int:
    """The sum of the log."""
    return sum(step.cost_micro_usd or 0 for step in steps)


def run(agent: Agent, how: str, watching: StepRecorder) -> None:
    """One turn of thread t."""
    config: Any = {"configurable": {"thread_id": "t"}, "callbacks": [watching]}
    if how == "invoke":
        agent.app.invoke(asks(), config)
    else:
        asyncio.run(agent.app.ainvoke(asks(), config))


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize(("meter", "track"), [(True, True), (False, True)], ids=["wrapped", "by callback"])
def test_the_sum_of_the_log_is_what_the_ledger_spent(
    how: str, meter: bool, track: bool, steps: list[Step], watching: StepRecorder
) -> None:
    """Two figures for one bill, and nobody would believe either."""
    agent = react(PLENTY, talks(), meter=meter, track=track, checkpointer=InMemorySaver())
    run(agent, how, watching)
    assert paid(steps) == agent.spent()
    assert [step.cost_micro_usd is not None for step in steps if step.kind == "llm"] == [True] * 4


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_a_call_that_fails_costs_what_the_ledger_charged_for_it(
    how: str, steps: list[Step], watching: StepRecorder
) -> None:
    """Nobody knows what the provider charges for an answer that was lost: the reservation stands on both sides."""
    broken = ScriptedChatModel([TimeoutError("no answer")], model_name="gpt-4o")
    agent = react(PLENTY, broken, checkpointer=InMemorySaver())
    with pytest.raises(TimeoutError):
        run(agent, how, watching)
    (call,) = [step for step in steps if step.kind == "llm"]
    assert (call.status, call.cost_micro_usd) == ("error", agent.spent())
    assert paid(steps) == agent.spent() > 0


def test_charges_find_their_calls_in_whichever_order_they_come(steps: list[Step], watching: StepRecorder) -> None:
    """Calls that run side by side in one node: each has its own charge, told by its tokens."""
    node, first, second = open_node(watching)
    for name in ("r-1", "r-2"):
        say(watching, node, "budget.reserved", reservation=name, usd=900, tokens=900, model="gpt-4o")
    end(watching, second, 20)
    say(watching, node, "budget.settled", reservation="r-1", usd=111, tokens=10, model="gpt-4o")
    say(watching, node, "budget.settled", reservation="r-2", usd=222, tokens=20, model="gpt-4o")
    end(watching, first, 10)
    watching.on_chain_end({}, run_id=node)
    assert {step.id: step.cost_micro_usd for step in steps if step.kind == "llm"} == {
        str(first): 111,
        str(second): 222,
    }


def test_what_a_ledger_does_not_name_is_charged_as_it_was_reserved(steps: list[Step], watching: StepRecorder) -> None:
    """An answer without figures is settled at the whole reservation."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", usd=900, tokens=900, model="gpt-4o")
    end(watching, call, None)
    say(watching, node, "budget.settled", reservation="r", usd=None, tokens=None, model="gpt-4o")
    assert [step.cost_micro_usd for step in steps if step.kind == "llm"] == [900]


def test_an_answer_from_a_cache_costs_nothing(steps: list[Step], watching: StepRecorder) -> None:
    """The meter releases what it held; a list price would be charged twice."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", usd=900, tokens=900, model="gpt-4o")
    end(watching, call, 10)
    say(watching, node, "budget.released", reservation="r", outcome="cached")
    assert [step.cost_micro_usd for step in steps if step.kind == "llm"] == [0]


def test_a_call_whose_charge_never_comes_is_recorded_when_its_node_ends(
    steps: list[Step], watching: StepRecorder
) -> None:
    """A ledger that went away must not take the record with it."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", usd=900, tokens=900, model="gpt-4o")
    end(watching, call, 10)
    assert steps == []
    watching.on_chain_end({}, run_id=node)
    assert [(step.kind, step.cost_micro_usd) for step in steps if step.id == str(call)] == [("llm", None)]


def test_a_tool_that_costs_money_is_in_the_sum(steps: list[Step], watching: StepRecorder) -> None:
    """It is no model call's, so it has a line of its own."""
    node, *_ = open_node(watching)
    say(watching, node, "budget.settled", reservation="tool", usd=5_000, tokens=None, model="")
    assert [(step.name, step.cost_micro_usd) for step in steps] == [("budget.settled", 5_000)]


# --- what LangChain and a meter say ---


def open_node(watching: StepRecorder) -> tuple[Any, Any, Any]:
    """A node with two model calls under way."""
    root, node, *called = (uuid.uuid4() for _ in range(4))
    watching.on_chain_start({}, {}, run_id=root, name="graph")
    watching.on_chain_start({}, {}, run_id=node, parent_run_id=root, name="model", tags=["graph:step:1"])
    for call in called:
        metadata = {"ls_model_name": "a-model-without-a-price"}
        watching.on_chat_model_start({}, [[]], run_id=call, parent_run_id=node, metadata=metadata)
    return node, called[0], called[1]


def say(watching: StepRecorder, node: Any, event: str, **said: Any) -> None:
    """An event, as the relay hands it over."""
    watching.on_custom_event(f"guard.{event}", {"v": 1, **said}, run_id=node)


def end(watching: StepRecorder, call: Any, tokens: int | None) -> None:
    """An answer of so many tokens."""
    usage: Any = None if tokens is None else {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    message = AIMessage("said", usage_metadata=usage)
    watching.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]), run_id=call)
