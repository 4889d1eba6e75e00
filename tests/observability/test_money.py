"""One bill, four places: Langfuse, the step log, the metrics and the ledger agree to the micro-dollar.

A call may fail, be given up, be asked again elsewhere, or be counted by two budgets: none of it may cost something in
one place and nothing in another.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, Price
from langgraph_guard.observability import run_config, setup
from langgraph_guard.observability.langfuse.client import local
from langgraph_guard.observability.steps import Step
from langgraph_guard.policies.ledger import Account, Read
from langgraph_guard.testing import Reply, ScriptedChatModel
from langgraph_guard.testing.replies import AnyReply

ASKED = {"messages": [("user", "hi")]}
PRICES = {
    "cheap": Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75),
    "dear": Price(input=30.0, output=150.0),
}
CACHED: Any = {
    "input_tokens": 2_000,
    "output_tokens": 301,
    "total_tokens": 2_301,
    "input_token_details": {"cache_read": 1_200, "cache_creation": 300},
    "output_token_details": {"reasoning": 100},
}
DOWN = ConnectionError("no")
SLOW = TimeoutError("no")


def budget(name: str = "budget") -> BudgetCheckNode:
    """A budget with room, on a ledger of its own."""
    limits = [Limit("usd", 50, per="session"), Limit("tokens", 10_000_000, per="session")]
    return BudgetCheckNode(Budget(limits), MemoryBackend(), prices=PRICES, name=name)


def llm(*script: AnyReply, name: str = "cheap") -> ScriptedChatModel:
    """A model; its answers are of about a thousand tokens."""
    return ScriptedChatModel(list(script or [said()]), model_name=name, cycle=True)


def said(read: int = 1_001, wrote: int = 37, text: str = "ok") -> Reply:
    """An answer of so many tokens."""
    return Reply(text, usage=(read, wrote))


PROMPT = ChatPromptTemplate.from_messages([("user", "{x}")])
AGAIN: Any = {"wait_exponential_jitter": False, "retry_if_exception_type": (TimeoutError,)}


def two_budgets(ours: BudgetCheckNode) -> Runnable[Any, Any]:
    """A team's budget around a user's."""
    return ours.model(budget("theirs").model(llm()))


CHAINS: dict[str, Callable[[BudgetCheckNode], Runnable[Any, Any]]] = {
    "plain": lambda ours: PROMPT | ours.model(llm()),
    "cached tokens": lambda ours: PROMPT | ours.model(llm(Reply("x y z", usage=CACHED))),
    "failed, then again": lambda ours: PROMPT | ours.model(llm(SLOW, said())).with_retry(**AGAIN),
    "fallback not needed": lambda ours: PROMPT | ours.model(llm()).with_fallbacks([ours.model(llm(name="dear"))]),
    "fallback": lambda ours: PROMPT | ours.model(llm(DOWN)).with_fallbacks([ours.model(llm(name="dear"))]),
    "fallback within": lambda ours: PROMPT | ours.model(llm(DOWN).with_fallbacks([llm(name="dear")])),
    "fallback, unwrapped": lambda ours: PROMPT | llm(DOWN).with_fallbacks([llm(name="dear")]),
    "side by side": lambda ours: PROMPT | RunnableParallel(a=ours.model(llm()), b=ours.model(llm(name="dear"))),
    "side by side, unwrapped": lambda ours: PROMPT | RunnableParallel(a=llm(), b=llm(name="dear")),
    "wrapped beside unwrapped": lambda ours: PROMPT | RunnableParallel(a=ours.model(llm()), b=llm(name="dear")),
    "no figures": lambda ours: PROMPT | ours.model(llm(Reply("ok", usage=None))),
    "no figures, unwrapped": lambda ours: PROMPT | llm(Reply("ok", usage=None)),
    "answered by another": lambda ours: PROMPT | ours.model(llm(Reply("ok", usage=(1_001, 3), model_name="dear"))),
    "two budgets": lambda ours: PROMPT | two_budgets(ours),
    "two budgets, one unwrapped": lambda ours: PROMPT | budget("theirs").model(llm()),
    "with a config": lambda ours: (PROMPT | ours.model(llm())).with_config(run_name="abc", tags=["x"]),
}
"""What a node may ask. Each is asked twice."""


class Listeners:
    """All that listens, and what each says that a run has cost."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.client = local(self.spans, full=False)
        self.steps: list[Step] = []
        self.reader = InMemoryMetricReader()
        self.handle = setup(langfuse=self.client, steps=self.steps, metrics=MeterProvider([self.reader]))

    def figures(self, trace: str) -> dict[str, int]:
        """In micro-USD."""
        assert self.handle.flush(60)
        return {"langfuse": self._langfuse(trace), "steps": self._steps(trace), "metric": self._metric()}

    def _langfuse(self, trace: str) -> int:
        found = 0.0
        for span in self.spans.get_finished_spans():
            details: Any = (span.attributes or {}).get("langfuse.observation.cost_details")
            if details and span.context and f"{span.context.trace_id:032x}" == trace:
                found += json.loads(details)["total"]
        return round(found * 1e6)

    def _steps(self, trace: str) -> int:
        return sum(step.cost_micro_usd or 0 for step in self.steps if step.trace_id == trace)

    def _metric(self) -> int:
        return round(sum(self._points("langgraph_guard.cost")) * 1e6)

    @property
    def session(self) -> int:
        """What the histogram of sessions has added up: of one run, its cost."""
        return round(sum(self._points("langgraph_guard.session.cost")) * 1e6)

    def _points(self, name: str) -> list[float]:
        data = self.reader.get_metrics_data()
        metrics = [
            metric
            for part in (data.resource_metrics if data else ())
            for scope in part.scope_metrics
            for metric in scope.metrics
        ]
        points: list[Any] = [point for metric in metrics if metric.name == name for point in metric.data.data_points]
        return [point.value if hasattr(point, "value") else point.sum for point in points]


@pytest.fixture
def listeners(no_langfuse: None) -> Listeners:
    """Langfuse without a server, a list of steps, a meter."""
    return Listeners()


def spent(ours: BudgetCheckNode, thread: str = "t") -> int:
    """The ledger's own figure."""
    ((found,),) = ours._ledger.execute([Read((Account("", "session", thread, "usd"),))])  # type: ignore[misc]
    return int(found.spent)  # type: ignore[union-attr]


def one_node(ours: BudgetCheckNode, call: Callable[..., Any], acall: Callable[..., Any]) -> Any:
    """A graph of a gate and a tracked node."""
    graph = StateGraph(MessagesState)
    graph.add_node("gate", ours)
    graph.add_node("ask", ours.track(RunnableLambda(call, acall)))
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "ask")
    return graph.compile(checkpointer=InMemorySaver())


def play(app: Any, way: str) -> str:
    """One run of thread t; its trace."""
    config = run_config(app, thread_id="t")
    if way == "invoke":
        app.invoke(ASKED, config)
    elif way == "ainvoke":
        asyncio.run(app.ainvoke(ASKED, config))
    else:
        asyncio.run(_events(app, config))
    return str(config["metadata"]["guard_trace_id"])


async def _events(app: Any, config: Any) -> None:
    async for _ in app.astream_events(ASKED, config, version="v2"):
        pass


def everywhere(usd: int) -> dict[str, int]:
    """The same figure in all places; a run that costs nothing proves nothing."""
    assert usd > 0
    return {"langfuse": usd, "steps": usd, "metric": usd}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_bill_is_the_same_everywhere(listeners: Listeners, chain: str, way: str) -> None:
    """Whatever is built around a model: two figures for one bill, and nobody would believe either."""
    ours = budget()
    asks = CHAINS[chain](ours)

    def call(state: MessagesState) -> dict[str, Any]:
        asks.invoke({"x": "a"})
        asks.invoke({"x": "a"})
        return {}

    async def acall(state: MessagesState) -> dict[str, Any]:
        await asyncio.gather(asks.ainvoke({"x": "a"}), asks.ainvoke({"x": "a"}))
        return {}

    trace = play(one_node(ours, call, acall), way)
    assert listeners.figures(trace) == everywhere(spent(ours))
    assert listeners.session == spent(ours)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("meter", ["wrapped", "unwrapped"])
@pytest.mark.parametrize("whole", [True, False], ids=["read to its end", "given up"])
def test_a_stream_costs_the_same_everywhere(listeners: Listeners, whole: bool, meter: str, way: str) -> None:
    """Nobody tells when a stream is given up; the ledger charges what was held for it."""
    ours = budget()
    model: Runnable[Any, Any] = llm(said(text="a b c d e f g"))
    model = ours.model(model) if meter == "wrapped" else model

    def call(state: MessagesState) -> dict[str, Any]:
        for _ in model.stream("a"):
            if not whole:
                break
        return {}

    async def acall(state: MessagesState) -> dict[str, Any]:
        async for _ in model.astream("a"):
            if not whole:
                break
        return {}

    trace = play(one_node(ours, call, acall), way)
    assert listeners.figures(trace) == everywhere(spent(ours))


@pytest.mark.parametrize("meter", ["wrapped", "unwrapped"])
async def test_a_call_that_is_cancelled_costs_the_same_everywhere(listeners: Listeners, meter: str) -> None:
    """A user hangs up: the provider's invoice has the call."""
    ours, asked = budget(), asyncio.Event()
    model: Runnable[Any, Any] = Hangs([said()], model_name="cheap", asked=asked)
    model = ours.model(model) if meter == "wrapped" else model

    async def acall(state: MessagesState) -> dict[str, Any]:
        await model.ainvoke("a")
        return {}

    app = one_node(ours, lambda state: {}, acall)
    config = run_config(app, thread_id="t")
    run = asyncio.create_task(app.ainvoke(ASKED, config))
    await asyncio.wait_for(asked.wait(), 60)
    run.cancel()
    await asyncio.wait([run], timeout=60)
    found = await asyncio.to_thread(listeners.figures, config["metadata"]["guard_trace_id"])
    assert found == everywhere(spent(ours))


class Hangs(ScriptedChatModel):
    """A model that says when it was asked, and nothing else."""

    asked: Any = None

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_call_outside_a_graph_costs_the_same_everywhere(listeners: Listeners, way: str) -> None:
    """A script, a warm-up, a grader: the trace that was chosen for it, the session, the ledger's price."""
    ours = budget()
    model = ours.model(llm())
    config = run_config(thread_id="t", user_id="u-7")
    if way == "invoke":
        model.invoke("hi", config)
    else:
        asyncio.run(model.ainvoke("hi", config))
    found = listeners.figures(config["metadata"]["guard_trace_id"])
    (span,) = listeners.spans.get_finished_spans()
    assert found == everywhere(spent(ours))
    assert {name: (span.attributes or {}).get(name) for name in ("session.id", "user.id")} == {
        "session.id": "t",
        "user.id": "u-7",
    }


def _send(ours: BudgetCheckNode, node: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("gate", ours)
    graph.add_node("ask", node)
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", lambda _: [Send("ask", ASKED) for _ in range(5)], ["ask"])
    return graph.compile(checkpointer=InMemorySaver())


def _subgraph(ours: BudgetCheckNode, node: Any) -> Any:
    inner = StateGraph(MessagesState)
    inner.add_node("ask", node)
    inner.add_edge(START, "ask")
    graph = StateGraph(MessagesState)
    graph.add_node("gate", ours)
    graph.add_node("below", inner.compile())
    graph.add_node("beside", node)
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "below")
    graph.add_edge("below", "beside")
    return graph.compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "astream_events"])
@pytest.mark.parametrize("build", [_send, _subgraph], ids=["send", "subgraph"])
def test_a_graph_costs_the_same_everywhere(
    listeners: Listeners, build: Callable[[BudgetCheckNode, Any], Any], way: str
) -> None:
    """Nodes side by side, and graphs in graphs."""
    ours = budget()
    model = ours.model(llm(said(1_015), said(1_016), said(1_017)))

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke("a")]}

    node = ours.track(RunnableLambda(lambda _: {"messages": [model.invoke("a")]}, acall))
    trace = play(build(ours, node), way)
    assert listeners.figures(trace) == everywhere(spent(ours))


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "astream_events"])
def test_a_model_in_a_tool_costs_the_same_everywhere(listeners: Listeners, way: str) -> None:
    """An agent in an agent."""
    ours = budget()
    inner = ours.model(llm(said(1_018)))
    outer = ours.model(llm(Reply(tool_calls=[("ask", {"q": "1"}), ("ask", {"q": "2"})], usage=(1_019, 5)), said(1_020)))

    @tool
    def ask(q: str) -> str:
        """Asks."""
        return inner.invoke(q).text

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await outer.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", ours.track(RunnableLambda(lambda _: {"messages": [outer.invoke("a")]}, acall)))
    graph.add_node("tools", ToolNode([ask]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    trace = play(graph.compile(checkpointer=InMemorySaver()), way)
    assert listeners.figures(trace) == everywhere(spent(ours))
