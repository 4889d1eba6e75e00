"""What arrives at Langfuse: one trace, every decision under its node, and the ledger's figures."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend
from langgraph_guard.events import emit
from langgraph_guard.observability import arun_config, feedback, run_config
from langgraph_guard.observability.handle import Observability
from langgraph_guard.testing import Reply, ScriptedChatModel
from tests.observability.agent import PRICE, Agent
from tests.observability.conftest import environment
from tests.servers.otlp import Receiver, Span

ASKED = {"messages": [("user", "find kites")]}
ENOUGH = 30.0
WAYS = ("invoke", "stream", "ainvoke", "astream")


def play(agent: Agent, way: str, **told: Any) -> RunnableConfig:
    """A run of `agent` in one of the four ways; the config that it was called with."""
    return asyncio.run(_aplay(agent, way, told)) if way.startswith("a") else _play(agent, way, told)


def _play(agent: Agent, way: str, told: dict[str, Any]) -> RunnableConfig:
    config = run_config(agent.app, thread_id="t-1", **told)
    if way == "invoke":
        agent.app.invoke(ASKED, config)
    else:
        list(agent.app.stream(ASKED, config))
    return config


async def _aplay(agent: Agent, way: str, told: dict[str, Any]) -> RunnableConfig:
    config = await arun_config(agent.app, thread_id="t-1", **told)
    if way == "ainvoke":
        await agent.app.ainvoke(ASKED, config)
    else:
        async for _ in agent.app.astream(ASKED, config):
            pass
    return config


def money(spans: list[Span]) -> dict[str, int]:
    """What the model calls of a trace cost and read, in the ledger's units."""
    calls = [span for span in spans if span.type == "generation"]
    costs = [span.json("langfuse.observation.cost_details") or {} for span in calls]
    usage = [span.json("langfuse.observation.usage_details") or {} for span in calls]
    return {
        "usd": sum(round(cost.get("total", 0) * 1_000_000) for cost in costs),
        "tokens": sum(each.get("total", 0) for each in usage),
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_decision_is_under_its_node(seen: Callable[..., Observability], langfuse: Receiver, way: str) -> None:
    """An orphan in a trace of its own explains nothing: in async nodes that is what the usual ways give."""
    handle = seen()
    play(Agent(InMemorySaver()), way)
    assert handle.flush(ENOUGH)
    (decision,) = langfuse.named("guard.budget.verdict")
    parent = langfuse.parent(decision)
    assert (decision.type, parent and parent.name) == ("guardrail", "gate")


@pytest.mark.parametrize("way", WAYS)
def test_costs_and_tokens_are_the_ledgers(seen: Callable[..., Observability], langfuse: Receiver, way: str) -> None:
    """Two figures for one call, and people trust neither: the trace has the one that the limit counts."""
    handle, agent = seen(), Agent(InMemorySaver())
    config = play(agent, way)
    assert handle.flush(ENOUGH)
    spent = agent.spent(config)
    assert money(langfuse.spans) == {"usd": spent["usd"], "tokens": spent["tokens"]}
    assert spent["usd"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_one_trace_that_says_whose_it_is(
    seen: Callable[..., Observability], langfuse: Receiver, way: str
) -> None:
    """The server reads each observation by itself; in async runs the stock handler names nobody below the root."""
    handle = seen()
    config = play(Agent(InMemorySaver()), way, user_id="u-7", session_id="s-3")
    assert handle.flush(ENOUGH)
    found = {
        (span.trace_id, span.attributes.get("user.id"), span.attributes.get("session.id")) for span in langfuse.spans
    }
    assert found == {(config["metadata"]["guard_trace_id"], "u-7", "s-3")}


def test_a_decision_is_a_score_of_its_trace(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """Dashboards and alerts count scores by name and value, and never look into metadata."""
    handle = seen()
    config = play(Agent(InMemorySaver()), "invoke")
    assert handle.flush(ENOUGH)
    found = [(score["traceId"], score["name"], score["value"], score["dataType"]) for score in langfuse.scores]
    assert found == [(config["metadata"]["guard_trace_id"], "guard.budget", "warn", "CATEGORICAL")]


def test_a_denial_is_an_error_under_the_node_that_was_denied(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """Which call was refused, and for which limit: what somebody opens a trace for."""
    handle, agent = seen(), Agent(InMemorySaver(), limit=0.0001)
    play(agent, "invoke")
    assert handle.flush(ENOUGH)
    (denied,) = langfuse.named("guard.budget.denied")
    assert denied.attributes["langfuse.observation.level"] == "ERROR"
    assert denied.status == "block budget: usd"
    assert langfuse.parent(denied) is not None


class Fan(TypedDict):
    """A state for workers side by side."""

    done: Annotated[list[int], operator.add]


def fan() -> Any:
    """Five workers side by side, each with a decision."""

    def worker(task: dict[str, int]) -> dict[str, list[int]]:
        emit("tool.retried", tool="search", attempt=task["n"], pause=0.0, error_type="transient")
        return {"done": [task["n"]]}

    graph = StateGraph(Fan)
    graph.add_node("worker", worker)  # type: ignore[arg-type]
    graph.add_conditional_edges(START, lambda _: [Send("worker", {"n": n}) for n in range(5)], ["worker"])
    graph.add_edge("worker", END)
    return graph.compile()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_workers_side_by_side_keep_their_decisions_apart(
    seen: Callable[..., Observability], langfuse: Receiver, way: str
) -> None:
    """`Send` runs a node many times at once: each decision belongs to one of them."""
    handle, graph, config = seen(), fan(), run_config()
    if way == "invoke":
        graph.invoke({"done": []}, config)
    else:
        asyncio.run(graph.ainvoke({"done": []}, config))
    assert handle.flush(ENOUGH)
    above = [langfuse.parent(span) for span in langfuse.named("guard.tool.retried")]
    assert [span.name for span in above if span] == ["worker"] * 5
    assert len({span.id for span in above if span}) == 5


@pytest.mark.parametrize("way", ["sync", "async"])
def test_calls_side_by_side_have_their_own_costs(
    seen: Callable[..., Observability], langfuse: Receiver, way: str
) -> None:
    """Several calls in one node: what each cost stands on the call that it was for."""
    handle = seen()
    usages = [(100, 7), (2_000, 11), (350, 900), (40, 3)]
    budget = BudgetCheckNode(Budget([Limit("usd", 5, per="session")]), MemoryBackend(), prices={"gpt-4o-mini": PRICE})
    models = [budget.model(ScriptedChatModel([Reply("ok", usage=usage)])) for usage in usages]

    def ask(state: Fan) -> dict[str, list[int]]:
        for model in models:
            model.invoke("hello")
        return {"done": []}

    async def aask(state: Fan) -> dict[str, list[int]]:
        await asyncio.gather(*(model.ainvoke("hello") for model in models))
        return {"done": []}

    graph = StateGraph(Fan)
    graph.add_node("ask", ask if way == "sync" else aask)
    graph.add_edge(START, "ask")
    app, config = graph.compile(), run_config(thread_id="t-9")
    if way == "sync":
        app.invoke({"done": []}, config)
    else:
        asyncio.run(app.ainvoke({"done": []}, config))
    assert handle.flush(ENOUGH)
    found = {
        span.json("langfuse.observation.usage_details")["total"]: span.json("langfuse.observation.cost_details")[
            "total"
        ]
        for span in langfuse.spans
        if span.type == "generation"
    }
    assert found == {read + said: pytest.approx((read * 3 + said * 15) / 1e6, abs=1e-9) for read, said in usages}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_call_without_figures_costs_what_was_held(
    seen: Callable[..., Observability], langfuse: Receiver, way: str
) -> None:
    """The ledger charges the whole reservation when a provider says nothing; a trace that shows 0 would hide it."""
    handle, agent = seen(), Agent(InMemorySaver(), script=(Reply("Three.", usage=None),))
    config = play(agent, way)
    assert handle.flush(ENOUGH)
    spent = agent.spent(config)
    assert money(langfuse.spans) == {"usd": spent["usd"], "tokens": spent["tokens"]}


def test_a_model_that_is_not_metered_keeps_its_own_figures(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """No reservation, no cost of ours: the server prices it by its own list."""
    handle = seen()
    ScriptedChatModel([Reply("hi", usage=(10, 2))]).invoke("hello", {"callbacks": handle.handlers})
    assert handle.flush(ENOUGH)
    (span,) = langfuse.spans
    assert "langfuse.observation.cost_details" not in span.attributes
    assert span.json("langfuse.observation.usage_details")["total"] == 12


def test_an_interrupt_and_its_resume_are_one_trace(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """The question and what came of the answer: apart, neither explains the other."""
    handle, agent = seen(), Agent(InMemorySaver(), asks=True)
    first = play(agent, "invoke")
    agent.app.invoke(Command(resume="yes"), run_config(agent.app, thread_id="t-1"))
    assert handle.flush(ENOUGH)
    assert {span.trace_id for span in langfuse.spans} == {first["metadata"]["guard_trace_id"]}
    assert len([span for span in langfuse.spans if span.name == "LangGraph"]) == 2


def test_the_next_turn_is_a_trace_of_its_own(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """A thread may live for a year; what is done is done."""
    handle, agent = seen(), Agent(InMemorySaver())
    play(agent, "invoke")
    play(agent, "invoke")
    assert handle.flush(ENOUGH)
    assert len({span.trace_id for span in langfuse.spans}) == 2


PART = """
import sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from langgraph_guard import observability
from tests.observability.agent import Agent

with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    agent = Agent(saver, asks=True)
    observability.setup(metrics=False)
    config = observability.run_config(agent.app, thread_id="t-1", user_id="u-7")
    asked = {"messages": [("user", "find kites")]} if sys.argv[2] == "ask" else Command(resume="yes")
    agent.app.invoke(asked, config)
    assert observability.flush(30)
"""


def test_a_resume_in_another_process_joins_the_trace(
    langfuse: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approvals come hours later, to whichever worker is free: the trace id travels with the thread's checkpoints."""
    root = str(Path(__file__).parents[2])
    for name, value in {**environment(langfuse.url), "PYTHONPATH": root}.items():
        monkeypatch.setenv(name, value)
    for part in ("ask", "answer"):
        subprocess.run([sys.executable, "-c", PART, str(tmp_path / "threads.db"), part], check=True, timeout=240)
    assert len({span.trace_id for span in langfuse.spans}) == 1
    assert [span.name for span in langfuse.spans].count("LangGraph") == 2
    assert [span.name for span in langfuse.spans].count("ScriptedChatModel") == 2


def test_a_users_verdict_is_a_score_on_the_trace_of_the_answer(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """By the config, by the trace's id, by the thread, by its checkpoints: the same trace."""
    handle, agent = seen(), Agent(InMemorySaver())
    config = play(agent, "invoke")
    trace = config["metadata"]["guard_trace_id"]
    assert feedback(config, True, "right, password=hunter2!")
    assert feedback(trace, 0.5, name="stars")
    assert feedback("t-1", "helpful")
    assert feedback("t-1", 4, graph=agent.app)
    assert handle.flush(ENOUGH)
    said = [score for score in langfuse.scores if not score["name"].startswith("guard.")]
    assert {score["traceId"] for score in said} == {trace}
    assert [(score["name"], score["value"], score["dataType"]) for score in said] == [
        ("user-feedback", 1.0, "BOOLEAN"),
        ("stars", 0.5, "NUMERIC"),
        ("user-feedback", "helpful", "CATEGORICAL"),
        ("user-feedback", 4.0, "NUMERIC"),
    ]
    assert said[0]["comment"] == "right, password=[redacted]"


async def test_a_call_that_was_cancelled_is_shown_as_not_ended(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """LangChain tells nobody of it: the call that hung is what somebody looks for."""
    handle, asked = seen(), asyncio.Event()

    class Hangs(ScriptedChatModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

    async def ask(state: Fan) -> dict[str, list[int]]:
        await Hangs([Reply("never")]).ainvoke("hello")
        return {"done": []}

    graph = StateGraph(Fan)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    run = asyncio.create_task(graph.compile().ainvoke({"done": []}, run_config()))
    await asyncio.wait_for(asked.wait(), 60)
    run.cancel()
    await asyncio.wait([run], timeout=60)
    assert await asyncio.to_thread(handle.flush, ENOUGH)
    (call,) = (span for span in langfuse.spans if span.type == "generation")
    assert call.attributes["langfuse.observation.status_message"] in ("not ended", "CancelledError")


def test_the_agents_answer_is_the_same_as_without(seen: Callable[..., Observability]) -> None:
    """Who watches changes nothing."""
    plain = Agent(InMemorySaver())
    alone = plain.app.invoke(ASKED, {"configurable": {"thread_id": "t-1"}})
    seen()
    watched = Agent(InMemorySaver())
    play(watched, "invoke")
    got = watched.app.get_state({"configurable": {"thread_id": "t-1"}}).values
    assert [_text(each) for each in got["messages"]] == [_text(each) for each in alone["messages"]]


def _text(message: Any) -> tuple[str, str, int]:
    return message.type, message.text, len(message.tool_calls) if isinstance(message, AIMessage) else 0
