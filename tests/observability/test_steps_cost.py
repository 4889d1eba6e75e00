"""Money in the step log is the ledger's, to the micro-dollar, whichever way a model is metered."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, events
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.testing import ScriptedChatModel, calls, says
from tests.nodes.agents import Agent, asks, react
from tests.servers.openai import OpenAIServer
from tests.servers.script import Reply

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
    """Calls that run side by side in one node: each has its own charge, told by LangChain's id of it."""
    node, first, second = open_node(watching)
    for name, call in (("r-1", first), ("r-2", second)):
        say(watching, node, "budget.reserved", reservation=name, call=call.hex, usd=900, tokens=900, model="gpt-4o")
    end(watching, second, 20)
    say(watching, node, "budget.settled", reservation="r-1", usd=111, tokens=10, model="gpt-4o")
    say(watching, node, "budget.settled", reservation="r-2", usd=222, tokens=20, model="gpt-4o")
    end(watching, first, 10)
    watching.on_chain_end({}, run_id=node)
    assert {step.id: step.cost_micro_usd for step in steps if step.kind == "llm"} == {
        str(first): 111,
        str(second): 222,
    }


def test_a_charge_finds_its_call_by_the_reservation(steps: list[Step], watching: StepRecorder) -> None:
    """Two models side by side, one answer as long as the other, and one of them ten times as dear."""
    node, first, second = open_node(watching, names=("r-1", "r-2"))
    for name in ("r-1", "r-2"):
        say(watching, node, "budget.reserved", reservation=name, usd=900, tokens=900, model="gpt-4o")
    end(watching, first, 10)
    end(watching, second, 10)
    say(watching, node, "budget.settled", reservation="r-2", usd=222, tokens=10, model="gpt-4o")
    say(watching, node, "budget.settled", reservation="r-1", usd=111, tokens=10, model="gpt-4o")
    assert {step.id: step.cost_micro_usd for step in steps if step.kind == "llm"} == {
        str(first): 111,
        str(second): 222,
    }


def test_a_charge_that_comes_during_another_run_is_of_its_own(steps: list[Step], watching: StepRecorder) -> None:
    """Of a stream that was left, the garbage collector closes the call whenever it comes by."""
    node, *_ = open_node(watching, names=("r-1", "r-2"))
    say(watching, node, "budget.reserved", reservation="r-1", usd=900, tokens=900, model="gpt-4o")
    root = watching._records.units.get(node).root.id  # type: ignore[union-attr]
    watching.on_chain_error(RuntimeError(), run_id=node)
    watching.on_chain_end({}, run_id=root)
    other = uuid.uuid4()
    watching.on_chain_start({}, {}, run_id=other, name="another run", metadata={"thread_id": "another"})
    say(watching, other, "budget.settled", reservation="r-1", usd=None, tokens=None, model="gpt-4o")
    watching.on_chain_end({}, run_id=other)
    assert [(step.trace_id, step.cost_micro_usd) for step in steps if step.cost_micro_usd] == [(str(root), 900)]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
def test_two_budgets_on_a_call_are_one_cost(how: str, steps: list[Step], watching: StepRecorder) -> None:
    """A team's budget around a user's: each ledger counts the money, and the log counts it once."""
    ours, theirs = (
        BudgetCheckNode(Budget([Limit("usd", 5, per="session")]), MemoryBackend(), name=name)
        for name in ("ours", "theirs")
    )
    model = ours.model(theirs.model(ScriptedChatModel([says("Hi.", usage=(1_000, 50))], model_name="gpt-4o")))
    node = talking(model, how)
    graph = StateGraph(MessagesState)
    graph.add_node("model", node)
    graph.add_edge(START, "model")
    app: Any = graph.compile()
    config: Any = {"configurable": {"thread_id": "t"}, "callbacks": [watching]}
    if how.startswith("a"):
        asyncio.run(app.ainvoke(asks(), config))
    else:
        app.invoke(asks(), config)
    assert [(step.kind, step.cost_micro_usd) for step in steps if step.cost_micro_usd] == [("llm", 3_000)]


def talking(model: Any, how: str) -> Any:
    """A node that calls `model` in one of four ways."""
    if how == "invoke":
        return lambda state: {"messages": [model.invoke(state["messages"])]}
    if how == "stream":
        return lambda state: {"messages": [add_ai_message_chunks(*model.stream(state["messages"]))]}

    async def anode(state: MessagesState) -> dict[str, Any]:
        if how == "ainvoke":
            return {"messages": [await model.ainvoke(state["messages"])]}
        parts = [part async for part in model.astream(state["messages"])]
        return {"messages": [add_ai_message_chunks(*parts)]}

    return anode


def test_a_provider_is_not_sent_the_reservation(steps: list[Step], watching: StepRecorder) -> None:
    """What listeners are told with a call stays with them."""
    with OpenAIServer(Reply("Hi.")) as server:
        budget = BudgetCheckNode(Budget([Limit("usd", 5, per="session")]), MemoryBackend())
        llm = ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key=SecretStr("sk-none"), max_retries=0)
        told: list[Any] = []
        hears = Hears(told)
        budget.model(llm).invoke("hello", {"callbacks": [watching, hears], "configurable": {"thread_id": "t"}})
        (sent,) = server.bodies
    assert len(told[0]["guard_reservations"]) == 1
    assert "guard_" not in json.dumps(sent)


def test_metadata_is_the_programs_own_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No listener, no id: a call is the call that the program made."""
    monkeypatch.setattr(events, "_listeners", ())
    told: list[Any] = []
    budget = BudgetCheckNode(Budget([Limit("usd", 5, per="session")]), MemoryBackend())
    model = budget.model(ScriptedChatModel([says("Hi.", usage=(10, 5))], model_name="gpt-4o"))
    model.invoke("hello", {"callbacks": [Hears(told)], "configurable": {"thread_id": "t"}})
    assert not [name for name in told[0] if name.startswith("guard_")]


class Hears(BaseCallbackHandler):
    """Notes the metadata of model calls."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told

    def on_chat_model_start(self, *said: Any, metadata: Any = None, **more: Any) -> None:
        self._told.append(metadata)


def test_what_a_ledger_does_not_name_is_charged_as_it_was_reserved(steps: list[Step], watching: StepRecorder) -> None:
    """An answer without figures is settled at the whole reservation."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", call=call.hex, usd=900, tokens=900, model="gpt-4o")
    end(watching, call, None)
    say(watching, node, "budget.settled", reservation="r", usd=None, tokens=None, model="gpt-4o")
    assert [step.cost_micro_usd for step in steps if step.kind == "llm"] == [900]


def test_an_answer_from_a_cache_costs_nothing(steps: list[Step], watching: StepRecorder) -> None:
    """The meter releases what it held; a list price would be charged twice."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", call=call.hex, usd=900, tokens=900, model="gpt-4o")
    end(watching, call, 10)
    say(watching, node, "budget.released", reservation="r", outcome="cached")
    assert [step.cost_micro_usd for step in steps if step.kind == "llm"] == [0]


def test_a_call_whose_charge_never_comes_is_recorded_when_its_node_ends(
    steps: list[Step], watching: StepRecorder
) -> None:
    """A ledger that went away must not take the record with it."""
    node, call, _ = open_node(watching)
    say(watching, node, "budget.reserved", reservation="r", call=call.hex, usd=900, tokens=900, model="gpt-4o")
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


def open_node(watching: StepRecorder, names: tuple[str, str] | None = None) -> tuple[Any, Any, Any]:
    """A node with two model calls under way; `names`: of their reservations."""
    root, node, *called = (uuid.uuid4() for _ in range(4))
    watching.on_chain_start({}, {}, run_id=root, name="graph")
    watching.on_chain_start({}, {}, run_id=node, parent_run_id=root, name="model", tags=["graph:step:1"])
    for n, call in enumerate(called):
        metadata: dict[str, Any] = {"ls_model_name": "a-model-without-a-price"}
        if names is not None:
            metadata["guard_reservations"] = [names[n]]
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
