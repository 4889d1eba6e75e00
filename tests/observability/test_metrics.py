"""Guards in figures: what is counted, under which labels, and that no label is a person."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.graph import END, START, MessagesState, StateGraph
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, Price
from langgraph_guard.events import emit
from langgraph_guard.observability import run_config, setup
from langgraph_guard.observability.otel.labels import Labels
from langgraph_guard.observability.otel.metrics import Sessions
from langgraph_guard.observability.otel.names import METRICS
from langgraph_guard.observability.otel.watch import RunWatch
from langgraph_guard.observability.redaction import FAILED
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel
from tests.observability.agent import Agent

ASKED = {"messages": [("user", "find kites")]}
DEAR = Price(input=300.0, output=15.0)


class Figures:
    """What a reader collects, by metric and labels."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def of(self, name: str) -> dict[tuple[tuple[str, str], ...], Any]:
        data = self.reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {
            tuple(sorted((key, str(value)) for key, value in (point.attributes or {}).items())): getattr(
                point, "value", None
            )
            if hasattr(point, "value")
            else (point.count, point.sum)
            for point in points
        }


@pytest.fixture
def figures(no_langfuse: None) -> Iterator[Figures]:
    """A meter provider of the test's own, and a setup that counts on it."""
    found = Figures()
    setup(metrics=found.provider)
    yield found
    found.provider.shutdown()


def play(agent: Agent, thread: str = "t-1") -> dict[str, int]:
    """One run; what the ledger has settled for its session."""
    config = run_config(agent.app, thread_id=thread, user_id="u-7")
    agent.app.invoke(ASKED, config)
    return agent.spent(config)


def test_decisions_are_counted_by_guard_and_word(figures: Figures) -> None:
    """Also those that only allowed: a ratio needs both."""
    play(Agent(InMemorySaver()))
    emit("tool.answered", tool="search", status="success", error_type=None, attempts=1, seconds=0.1)
    assert figures.of("langgraph_guard.decisions") == {
        (("decision", "allow"), ("guard", "tool")): 1,
        (("decision", "allow"), ("guard", "budget")): 1,
        (("decision", "warn"), ("guard", "budget")): 1,
    }


def test_costs_are_the_ledgers(figures: Figures) -> None:
    """By model, and by session as a distribution: one session that runs away shows before the bill does."""
    spent = play(Agent(InMemorySaver()))
    (cost,) = figures.of("langgraph_guard.cost").values()
    (session,) = figures.of("langgraph_guard.session.cost").values()
    assert round(cost * 1e6) == round(session[1] * 1e6) == spent["usd"]


def test_calls_and_runs_are_timed_in_the_words_of_the_conventions(figures: Figures) -> None:
    """Dashboards for GenAI read these without knowing the pack."""
    play(Agent(InMemorySaver()))
    tokens = figures.of("gen_ai.client.token.usage")
    assert sum(total for _, total in tokens.values()) == 2360
    assert [count for count, _ in figures.of("gen_ai.client.operation.duration").values()] == [2]
    assert [count for count, _ in figures.of("gen_ai.invoke_agent.duration").values()] == [1]


@pytest.mark.parametrize(
    "error", [GraphBubbleUp(), GraphInterrupt(), ValueError()], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("what", ["tool", "chain", "llm"])
def test_a_question_to_a_person_is_no_failure(figures: Figures, what: str, error: Exception) -> None:
    """An alert on failing tools would wake somebody for each approval."""
    watch, id = RunWatch(figures.provider.get_meter("test")), uuid.uuid4()
    {"tool": watch.on_tool_start, "chain": watch.on_chain_start, "llm": watch.on_chat_model_start}[what](
        {"name": "asks"}, [], run_id=id
    )
    getattr(watch, f"on_{what}_error")(error, run_id=id)
    names = ("gen_ai.execute_tool.duration", "gen_ai.invoke_agent.duration", "gen_ai.client.operation.duration")
    labels = dict(label for name in names for found in figures.of(name) for label in found)
    assert labels.get("error.type") == (None if isinstance(error, GraphBubbleUp) else "ValueError")


def test_an_event_outside_a_run_counts(figures: Figures) -> None:
    """A breaker's registry, a ledger that comes back: there is no run to show them in, and they matter."""
    emit("budget.away", backend="redis")
    assert figures.of("langgraph_guard.decisions") == {(("decision", "degrade"), ("guard", "budget")): 1}


@pytest.mark.parametrize(("after", "figure"), [("closed", 0), ("half_open", 1), ("open", 2), ("forced_open", 2)])
def test_a_circuits_state_is_a_figure(figures: Figures, after: str, figure: int) -> None:
    """What an alert on an open circuit reads."""
    emit("breaker.transition", breaker="b", key="search", before="?", after=after, reason="", retry_at=None)
    assert figures.of("langgraph_guard.breaker.state") == {(("breaker", "b"), ("key", "search")): figure}


def test_circuits_without_end_are_forgotten(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    """One per host, and the hosts are the model's to choose."""
    monkeypatch.setattr("langgraph_guard.observability.otel.metrics.SESSIONS", 2)
    for key in ("a", "b", "a", "c"):
        emit("breaker.transition", breaker="b", key=key, before="?", after="open", reason="", retry_at=None)
    assert [dict(labels)["key"] for labels in figures.of("langgraph_guard.breaker.state")] == ["a", "c"]


def test_a_shared_limit_shows_what_is_left(figures: Figures) -> None:
    """In dollars; a limit per session or per user would be a series for each of them."""
    said: dict[str, Any] = {"guard": "b", "route": "warn", "unit": "usd", "window": "day", "limit": 5_000_000}
    emit("budget.verdict", **said, scope="global", spent=1_000_000, reserved=500_000)
    emit("budget.verdict", **said, scope="user", spent=1_000_000, reserved=500_000)
    labels = (("scope", "global"), ("unit", "usd"), ("window", "day"))
    assert figures.of("langgraph_guard.budget.remaining") == {labels: pytest.approx(3.5)}
    assert figures.of("langgraph_guard.budget.limit") == {labels: pytest.approx(5.0)}


def test_what_is_left_of_a_shared_limit_follows_the_ledger(figures: Figures) -> None:
    """Before the first warning, and when a window turns: an alert on what is left would fire for ever, or never."""
    clock = FakeClock()
    limits = [Limit("usd", 1, per="global", window="day"), Limit("model_calls", 50, per="global", window="day")]
    budget = BudgetCheckNode(Budget(limits), MemoryBackend(clock=clock), prices={"gpt-4o-mini": DEAR})
    model = budget.model(ScriptedChatModel([Reply("x", usage=(1_500, 10))], cycle=True, max_tokens=100))
    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(lambda _: {"messages": [model.invoke("a")]}))
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded=END))
    app = graph.compile()
    found = []
    for days in (0, 0, 0, 2):
        clock.advance(days * 86_400)
        app.invoke({"messages": [("user", "q")]}, run_config(app))
        left = figures.of("langgraph_guard.budget.remaining")
        found.append({dict(labels)["unit"]: round(figure, 2) for labels, figure in left.items()})
    assert [found[0], found[1], found[3]] == [
        {"usd": 1.0, "model_calls": 50.0},
        {"usd": 0.55, "model_calls": 49.0},
        {"usd": 1.0, "model_calls": 50.0},
    ]


def test_a_budget_with_room_counts_as_a_decision(figures: Figures) -> None:
    """Once for each visit to the gate, or once for each limit that is shared: what was refused is a share of these."""
    agent = Agent(InMemorySaver())
    agent.budget.budget = Budget([Limit("usd", 1, per="session")])
    play(agent)
    assert figures.of("langgraph_guard.decisions") == {(("decision", "allow"), ("guard", "budget")): 2}


def test_how_long_people_were_waited_for_is_measured(figures: Figures) -> None:
    """An approval queue that nobody looks at is a product that stands still."""
    said = {"guard": "a", "tool": "send", "decision": "approve", "quorum": 1}
    emit("approval.decided", **said, seconds=90.0)
    assert figures.of("langgraph_guard.approval.wait") == {(("decision", "approve"),): (1, 90.0)}


def test_a_run_that_is_stuck_shows_while_it_is(figures: Figures) -> None:
    """It never ends, so no histogram of durations has it: the age of the oldest run does."""
    within: list[tuple[Any, Any]] = []

    def look(state: MessagesState) -> dict[str, Any]:
        within.append((figures.of("langgraph_guard.runs.active"), figures.of("langgraph_guard.runs.oldest_age")))
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    graph.add_edge("look", END)
    graph.compile(name="helper").invoke({"messages": []}, run_config())
    active, ages = within[0]
    assert active == {(("agent", "helper"),): 1}
    assert list(ages) == [(("agent", "helper"),)]
    assert figures.of("langgraph_guard.runs.active") == {}


async def test_the_end_of_a_run_is_the_end_of_what_was_cancelled_in_it(figures: Figures) -> None:
    """Nobody tells when a call is cancelled: a worker whose users hang up would keep each of their calls."""
    watch = RunWatch(figures.provider.get_meter("test"))
    waits = asyncio.Event()

    async def ask(state: MessagesState) -> dict[str, Any]:
        await asyncio.gather(hangs.ainvoke("a"), hangs.ainvoke("b"), fails.ainvoke("c"))
        return {}

    async def hang(q: str) -> str:
        waits.set()
        await asyncio.Event().wait()
        return q

    async def fail(q: str) -> str:
        await waits.wait()
        raise ConnectionError(q)

    hangs = StructuredTool.from_function(coroutine=hang, name="hangs", description="Hangs.")
    fails = StructuredTool.from_function(coroutine=fail, name="fails", description="Fails.")
    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    with pytest.raises(ConnectionError):
        await graph.compile().ainvoke({"messages": []}, {"callbacks": [watch]})
    assert (watch._calls, watch._roots, watch._runs) == ({}, {}, {})


async def test_a_run_whose_client_leaves_at_its_first_event_is_not_under_way(figures: Figures) -> None:
    """Nobody tells its end: the alert on the oldest run would never be quiet again."""
    app: Any = Agent(InMemorySaver()).app
    events = app.astream_events(ASKED, run_config(app, thread_id="t-1"), version="v2")
    await anext(events)
    await events.aclose()
    assert figures.of("langgraph_guard.runs.active") == {}
    assert figures.of("langgraph_guard.runs.oldest_age") == {}


async def test_a_run_that_is_read_in_a_task_for_each_part_is_under_way(figures: Figures) -> None:
    """`asyncio.wait_for` around a part makes such tasks: the end of one is not the end of the run."""
    app: Any = Agent(InMemorySaver()).app
    parts = app.astream(ASKED, run_config(app, thread_id="t-1"), stream_mode="values")
    within = []
    for _ in range(3):
        await asyncio.create_task(anext(parts))
        within.append(list(figures.of("langgraph_guard.runs.active").values()))
    await parts.aclose()
    assert within[1:] == [[1], [1]]
    assert figures.of("langgraph_guard.runs.active") == {}


def test_runs_that_never_end_are_bounded(figures: Figures) -> None:
    """A worker lives for months, and something always goes wrong."""
    watch = RunWatch(figures.provider.get_meter("test"), most=2)
    roots = [uuid.uuid4() for _ in range(5)]
    for root in roots:
        watch.on_chain_start({}, {}, run_id=root, name="graph")
        watch.on_chain_start({}, {}, run_id=uuid.uuid4(), parent_run_id=root, name="node")
    assert (list(watch._runs), len(watch._roots)) == (roots[3:], 4)


def test_a_second_setup_does_not_count_twice(figures: Figures) -> None:
    """The first one's listener leaves when the second one's comes."""
    setup(metrics=figures.provider, payload="none")
    emit("budget.away", backend="redis")
    assert list(figures.of("langgraph_guard.decisions").values()) == [1]


def test_every_metric_is_in_the_table() -> None:
    """One place for names, units and what they say; Prometheus builds its own names from these."""
    assert all(name.startswith(("langgraph_guard.", "gen_ai.")) for name in METRICS)
    assert all(unit and says for unit, says in METRICS.values())


def test_a_meter_that_fails_stops_nothing(no_langfuse: None) -> None:
    """The program starts, and its runs run."""

    class Broken:
        def get_meter(self, name: str) -> Any:
            raise RuntimeError("no exporter")

    agent = Agent(InMemorySaver())
    setup(metrics=Broken())  # type: ignore[arg-type]
    assert play(agent)["model_calls"] == 2


def test_names_without_end_share_a_label() -> None:
    """Each label is a time series: whoever names a run after its user would else have one for each user."""
    labels = Labels(str.upper, most=2)
    assert [labels(name) for name in ("a", "b", "c", "d", "a")] == ["A", "B", "other", "other", "A"]


def test_a_redactor_that_failed_once_hides_no_label_for_ever(no_langfuse: None) -> None:
    """A circuit that stays open under a name that nobody has would ring all night."""
    away = ["the service behind it"]

    def redact(text: str) -> str:
        if away:
            raise ConnectionError
        return text.upper()

    figures = Figures()
    setup(metrics=figures.provider, redact=redact)
    said = {"breaker": "tools", "key": "pay", "before": "?", "reason": "", "retry_at": None}
    emit("breaker.transition", **said, after="open")
    assert figures.of("langgraph_guard.breaker.state") == {(("breaker", FAILED), ("key", FAILED)): 2}
    away.clear()
    emit("breaker.transition", **said, after="closed")
    assert figures.of("langgraph_guard.breaker.state") == {(("breaker", "TOOLS"), ("key", "PAY")): 0}


def test_an_event_that_is_not_of_the_schema_is_not_counted(figures: Figures) -> None:
    """Its name could be anything."""
    emit("somebody.elses", guard="x")
    emit("what a user wrote")
    assert figures.of("langgraph_guard.decisions") == {}


def test_sessions_that_nobody_uses_are_forgotten() -> None:
    """A worker sees millions of them."""
    sessions = Sessions(most=2)
    for n in range(3):
        sessions.add(str(n), 5)
    sessions.add("2", 5)
    assert [sessions.of(str(n)) for n in range(3)] == [0, 5, 10]


def test_a_listener_that_is_closed_counts_nothing(figures: Figures, no_langfuse: None) -> None:
    """Whoever closes means it."""
    closing: Callable[..., Any] = setup(metrics=figures.provider).close
    closing()
    emit("budget.away", backend="redis")
    assert figures.of("langgraph_guard.decisions") == {}
