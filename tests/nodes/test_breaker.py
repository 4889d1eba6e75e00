"""The breaker as a node: calls to what is left alone are answered at once, the others go on."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from typing_extensions import TypedDict

from langgraph_guard import Budget, BudgetCheckNode, ConfigError, FinishNode, Limit, MemoryBackend, fuse, guard_report
from langgraph_guard.backends.memory import MemoryBreakers
from langgraph_guard.errors import StoreUnavailable
from langgraph_guard.events import subscribe
from langgraph_guard.nodes.breaker import CircuitBreakerNode
from langgraph_guard.policies.breaker import rate_limited
from langgraph_guard.testing import FakeClock, ScriptedChatModel, calls, says
from langgraph_guard.tools.breaker import CircuitBreaker, Permit
from langgraph_guard.tools.guard.guard import ToolGuard
from langgraph_guard.tools.results.result import ToolResult
from tests.nodes.agents import asks, is_valid, thread

WAYS = ("invoke", "ainvoke")
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves, from 2026-01-01T00:00:00Z on."""
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> MemoryBackend:
    """Memory, on that time."""
    return MemoryBackend(clock=clock)


@pytest.fixture
def breaker(backend: MemoryBackend) -> CircuitBreaker:
    """A breaker on that time, without jitter."""
    return CircuitBreaker(backend, jitter=0)


@pytest.fixture
def node(breaker: CircuitBreaker) -> CircuitBreakerNode:
    """The node before the tools."""
    return CircuitBreakerNode(breaker)


def trip(breaker: CircuitBreaker, *keys: str, outcome: Any = "failure") -> None:
    """Three calls of each end like this."""
    for key in keys:
        for _ in range(3):
            permit = breaker.admit(key)
            if isinstance(permit, Permit):
                breaker.record(permit, outcome)


def state(*asked: tuple[str, str | None], **more: Any) -> dict[str, Any]:
    """A state in which a model asks for tools, by name and call id."""
    wanted: Any = [{"name": name, "args": {"q": "kites"}, "id": id} for name, id in asked]
    return {"messages": [HumanMessage("go", id="h1"), AIMessage("I look.", id="a1", tool_calls=wanted)], **more}


def visit(node: CircuitBreakerNode, seen: Any, way: str = "invoke") -> dict[str, Any]:
    """What the node writes."""
    return node.invoke(seen) if way == "invoke" else asyncio.run(node.ainvoke(seen))


# Some are refused


@every_way
def test_a_call_to_an_open_circuit_is_refused_and_the_others_go_on(
    node: CircuitBreakerNode, breaker: CircuitBreaker, clock: FakeClock, way: str
) -> None:
    """Nobody is answered here: LangGraph would run the answered ones again."""
    trip(breaker, "search")
    clock.advance(2)
    update = visit(node, state(("search", "1"), ("fetch", "2"), ("search", "3")), way)
    refusal = {
        "verdict": "refuse",
        "error_type": "circuit_open",
        "message": "search failed too often and is left alone: do not retry before 2026-01-01T00:00:30Z (in 28 s).",
        "retry_at": 1_767_225_630_000,
        "at": 1_767_225_602_000,
    }
    assert update["guard_calls"] == {id: {"circuit_breaker": refusal} for id in ("1", "3")}
    assert node.route(update) == "closed"  # type: ignore[arg-type]
    assert "messages" not in update


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("limited", "search had too many calls and is left alone: do not retry before 2026-01-01T00:00:09Z (in 9 s)."),
        ("slow", "search is too slow and is left alone: do not retry before 2026-01-01T00:00:30Z (in 30 s)."),
        ("tried", "search is being tried out and is left alone: do not retry before 2026-01-01T00:01:30Z (in 60 s)."),
        ("off", "search is switched off: do not call it until somebody switches it on again."),
    ],
)
def test_a_refusal_says_why_and_until_when(
    node: CircuitBreakerNode, breaker: CircuitBreaker, clock: FakeClock, how: str, says: str
) -> None:
    """A model that knows the time goes on with something else; one that reads "error" tries again."""
    match how:
        case "limited":
            trip(breaker, "search", outcome=rate_limited(9))
        case "slow":
            trip(breaker, "search", outcome="slow")
        case "tried":
            trip(breaker, "search")
            clock.advance(30)
            breaker.admit("search")
        case _:
            breaker.force_open("search", by="ada", reason="INC-7")
    update = visit(node, state(("search", "1"), ("fetch", "2")))
    assert update["guard_calls"]["1"]["circuit_breaker"]["message"] == says


def test_a_circuit_that_may_be_tried_refuses_nothing(
    node: CircuitBreakerNode, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    """The node takes no place: the tool that runs is the probe."""
    trip(breaker, "search")
    clock.advance(30)
    for _ in range(5):
        assert "guard_calls" not in visit(node, state(("search", "1"), ("search", "2")))
    assert isinstance(breaker.admit("search"), Permit)


def test_a_refusal_of_an_earlier_call_of_the_same_id_is_taken_back(
    node: CircuitBreakerNode, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    """Some models call every call `call_0`."""
    trip(breaker, "search")
    said = visit(node, state(("search", "1"), ("fetch", "2")))["guard_calls"]
    clock.advance(30)
    later = visit(node, state(("search", "1"), ("fetch", "2"), guard_calls=said))
    assert later["guard_calls"] == {"1": {"circuit_breaker": {"verdict": "pass", "at": 1_767_225_630_000}}}


def test_calls_that_share_an_id_are_refused_together_or_not_at_all(
    node: CircuitBreakerNode, breaker: CircuitBreaker
) -> None:
    """A verdict is by id: it must not hit a healthy tool. The tools node admits each call by itself."""
    trip(breaker, "search")
    assert "guard_calls" not in visit(node, state(("search", "1"), ("fetch", "1")))
    twice = visit(node, state(("search", "1"), ("search", "1"), ("fetch", "2")))
    assert list(twice["guard_calls"]) == ["1"]


def test_a_call_without_an_id_is_left_to_the_tools_node(node: CircuitBreakerNode, breaker: CircuitBreaker) -> None:
    """There is no id that a verdict could be kept by."""
    trip(breaker, "search")
    assert "guard_calls" not in visit(node, state(("search", None), ("fetch", "2")))


def test_only_open_calls_are_looked_at(node: CircuitBreakerNode, breaker: CircuitBreaker) -> None:
    """What was answered is over."""
    trip(breaker, "search")
    seen = state(("search", "1"), ("fetch", "2"))
    seen["messages"].append(ToolMessage("seen", tool_call_id="1"))
    assert "guard_calls" not in visit(node, seen)


@pytest.mark.parametrize("seen", [{}, {"messages": []}, {"messages": [HumanMessage("hi")]}, {"messages": None}])
def test_without_calls_it_is_closed(node: CircuitBreakerNode, breaker: CircuitBreaker, seen: Any) -> None:
    """A graph may lead here with nothing to do."""
    trip(breaker, "search")
    update = visit(node, seen)
    assert set(update) == {"guard_verdicts"}
    assert node.route({**seen, **update}) == "closed"


def test_nothing_is_written_that_is_no_news(node: CircuitBreakerNode) -> None:
    """State stays small however long a run goes on."""
    seen = state(("search", "1"))
    assert visit(node, {**seen, **visit(node, seen)}) == {}


def test_a_host_has_one_circuit_whatever_the_tool(backend: MemoryBackend) -> None:
    """The refusal names it."""
    breaker = CircuitBreaker(backend, per="host", jitter=0)
    trip(breaker, "host:a.example")
    asked: Any = [
        {"name": "fetch", "args": {"url": "https://a.example/x"}, "id": "1"},
        {"name": "fetch", "args": {"url": "https://b.example/x"}, "id": "2"},
    ]
    update = visit(CircuitBreakerNode(breaker), {"messages": [AIMessage("", tool_calls=asked)]})
    assert list(update["guard_calls"]) == ["1"]
    assert update["guard_calls"]["1"]["circuit_breaker"]["message"].startswith("fetch (host:a.example) failed too")


def test_many_calls_are_one_question(backend: MemoryBackend) -> None:
    """500 calls in a message: a registry across the network is asked once."""
    asked: list[int] = []

    class Counts(MemoryBreakers):
        def execute(self, commands: Any) -> list[Any]:
            asked.append(len(commands))
            return super().execute(commands)

    backend.breakers = Counts(backend.clock)
    many = state(*((f"tool-{at % 7}", str(at)) for at in range(500)))
    visit(CircuitBreakerNode(CircuitBreaker(backend)), many)
    assert asked == [1]


# All are refused


@every_way
def test_when_every_call_is_refused_each_is_answered(
    node: CircuitBreakerNode, breaker: CircuitBreaker, way: str
) -> None:
    """In their order, in the form of every other answer of a guarded tool."""
    trip(breaker, "search", "fetch")
    seen = state(("search", "1"), ("fetch", "2"), ("search", None))
    update = visit(node, seen, way)
    answers = update["messages"]
    assert [(each.tool_call_id, each.name, each.status) for each in answers] == [
        ("1", "search", "error"),
        ("2", "fetch", "error"),
        ("", "search", "error"),
    ]
    told = json.loads(answers[0].content)
    assert [told[name] for name in ("status", "error_type", "retry_safe", "retry_after")] == [
        "error",
        "circuit_open",
        False,
        30,
    ]
    assert "do not retry before 2026-01-01T00:00:30Z (in 30 s)" in told["message"]
    assert ToolResult.parse(answers[0]) is not None
    assert node.route(update) == "open"  # type: ignore[arg-type]


def test_each_refused_call_is_said(node: CircuitBreakerNode, breaker: CircuitBreaker) -> None:
    """For dashboards: the tools node will not ask again."""
    heard: list[Any] = []
    trip(breaker, "search")
    stop = subscribe(lambda name, attributes: heard.append((name, dict(attributes))))
    visit(node, state(("search", "1"), ("fetch", "2")))
    stop()
    refused = {"breaker": "breaker", "key": "search", "state": "open", "retry_after": 30.0}
    assert heard == [("breaker.refused", refused)]


# In a graph


@tool
def search(q: str) -> str:
    """Search."""
    raise TimeoutError


def agent(
    node: Any, model: ScriptedChatModel, budget: BudgetCheckNode, tools: Any, open_to: str, closed_to: str = "tools"
) -> Any:
    """Gate, model, breaker, tools, finish."""

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(call_model))
    graph.add_node("breaker", node)
    graph.add_node("tools", tools)
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded="finish"))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="breaker", end=END, exceeded="finish"))
    graph.add_conditional_edges("breaker", node.route, node.paths(closed=closed_to, open=open_to))
    graph.add_edge("tools", "gate")
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=InMemorySaver())


@pytest.fixture
def budget(backend: MemoryBackend) -> BudgetCheckNode:
    """Twenty calls of the model per turn."""
    return BudgetCheckNode(Budget([Limit("model_calls", 20, per="turn")]), backend)


def again_and_again(times: int) -> list[Any]:
    """A model that asks for the same so often."""
    return [calls("search", {"q": "kites"}) for _ in range(times)]


def run(app: Any, way: str, thread_id: str = "t") -> dict[str, Any]:
    """One question."""
    if way == "invoke":
        return app.invoke(asks(), thread(thread_id))  # type: ignore[no-any-return]
    return asyncio.run(app.ainvoke(asks(), thread(thread_id)))  # type: ignore[no-any-return]


@every_way
def test_a_run_that_ends_here_says_why(
    node: CircuitBreakerNode, breaker: CircuitBreaker, budget: BudgetCheckNode, way: str
) -> None:
    """The 2 a.m. incident: three calls, then an end that a program and a person can read."""
    model = ScriptedChatModel(again_and_again(9))
    app = agent(node, model, budget, ToolGuard(breaker=breaker).node([search]), open_to="finish")
    final = run(app, way)["messages"]
    assert model.call_count == 4
    assert is_valid(final)
    guard = final[-1].response_metadata["guard"]
    assert guard["status"] == "circuit_open"
    assert guard["reason"] == "circuit_open: search may not be called at present"
    assert guard["continue"] == "Try again in 30 seconds."
    assert guard_report(app, thread()).status == "circuit_open"


@every_way
def test_a_model_may_go_on_without_the_tool(
    node: CircuitBreakerNode, breaker: CircuitBreaker, budget: BudgetCheckNode, way: str
) -> None:
    """Led back to the model, the run ends as the model ends it: it was not stopped."""
    model = ScriptedChatModel([*again_and_again(4), says("The search is down until half past.")])
    app = agent(node, model, budget, ToolGuard(breaker=breaker).node([search]), open_to="gate")
    final = run(app, way)["messages"]
    assert final[-1].text == "The search is down until half past."
    assert "guard" not in final[-1].response_metadata
    assert guard_report(app, thread()).status == "ok"


def test_what_stops_a_run_later_is_its_reason(node: CircuitBreakerNode, breaker: CircuitBreaker) -> None:
    """The model went on, and then it used up its calls: the circuit is not why it ended."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 6, per="turn")]), breaker._backend)
    trip(breaker, "search")
    metered = budget.model(ScriptedChatModel(again_and_again(30)))
    app = agent(node, metered, budget, ToolGuard(breaker=breaker).node([search]), open_to="gate")  # type: ignore[arg-type]
    assert run(app, "invoke")["messages"][-1].response_metadata["guard"]["status"] == "limit_calls"


def test_a_later_turn_is_not_stopped_by_an_earlier_one(
    node: CircuitBreakerNode, breaker: CircuitBreaker, budget: BudgetCheckNode, clock: FakeClock
) -> None:
    """A halt is of its turn."""
    model = ScriptedChatModel([*again_and_again(1), says("Hello.")])
    app = agent(node, model, budget, ToolGuard(breaker=breaker).node([search]), open_to="finish")
    trip(breaker, "search")
    assert run(app, "invoke")["messages"][-1].response_metadata["guard"]["status"] == "circuit_open"
    clock.advance(60)
    assert run(app, "invoke")["messages"][-1].text == "Hello."
    assert guard_report(app, thread()).status == "ok"


def test_without_a_budget_each_turn_has_its_own_halt(node: CircuitBreakerNode, breaker: CircuitBreaker) -> None:
    """Nobody counts turns then; a later one's halt must still be told from an earlier one's."""
    model = ScriptedChatModel(again_and_again(2))

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call_model)
    graph.add_node("breaker", node)
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "model")
    graph.add_edge("model", "breaker")
    graph.add_conditional_edges("breaker", node.route, node.paths(closed=END, open="finish"))
    app = graph.compile(checkpointer=InMemorySaver())
    trip(breaker, "search")
    halts = []
    for _ in range(2):
        assert run(app, "invoke")["messages"][-1].response_metadata["guard"]["status"] == "circuit_open"
        halts.append(guard_report(app, thread()).halt)
    assert halts[0]["turn"] != halts[1]["turn"]
    assert halts[0]["turn_seq"] < halts[1]["turn_seq"]


def test_a_guarded_tools_node_answers_what_the_node_refused(
    node: CircuitBreakerNode, breaker: CircuitBreaker, budget: BudgetCheckNode
) -> None:
    """One refused, one run: one answer each, in the order of the calls."""

    @tool
    def fetch(q: str) -> str:
        """Fetch."""
        return "fetched"

    trip(breaker, "search")
    both = ScriptedChatModel(
        [
            AIMessage(
                "",
                tool_calls=[
                    {"name": "search", "args": {"q": "a"}, "id": "1"},
                    {"name": "fetch", "args": {"q": "b"}, "id": "2"},
                ],
            ),
            says("done"),
        ]
    )
    app = agent(node, both, budget, ToolGuard(breaker=breaker).node([search, fetch]), open_to="finish")
    final = run(app, "invoke")["messages"]
    answers = [message for message in final if isinstance(message, ToolMessage)]
    assert [(each.tool_call_id, each.status) for each in answers] == [("1", "error"), ("2", "success")]
    assert "circuit_open" in str(answers[0].content)
    assert final[-1].text == "done"


def test_it_fuses_with_other_guards(node: CircuitBreakerNode, breaker: CircuitBreaker, budget: BudgetCheckNode) -> None:
    """One superstep for both."""
    fused = fuse(budget, node)
    trip(breaker, "search")
    update = fused.invoke(state(("search", "1")), thread())
    assert fused.route(update) == "open"  # type: ignore[arg-type]
    assert [each.tool_call_id for each in update["messages"]] == ["1"]


def test_messages_may_have_another_name(breaker: CircuitBreaker) -> None:
    """Not every state calls them `messages`."""

    class Host(TypedDict):
        history: list[Any]

    node = CircuitBreakerNode(breaker, messages_key="history")
    trip(breaker, "search")
    graph = StateGraph(Host)
    graph.add_node("breaker", node)
    graph.add_edge(START, "breaker")
    final = graph.compile().invoke({"history": state(("search", "1"))["messages"]})
    assert [message.type for message in final["history"]] == ["tool"]


def test_a_registry_that_is_down_stops_nobody(backend: MemoryBackend) -> None:
    """The node looks at the local circuits then."""

    class Away:
        instant = False

        def execute(self, commands: Any) -> Any:
            raise StoreUnavailable("redis", "peek", 2.0)

        async def aexecute(self, commands: Any) -> Any:
            raise StoreUnavailable("redis", "peek", 2.0)

    backend.breakers = Away()  # type: ignore[assignment]  # a backend of another kind
    node = CircuitBreakerNode(CircuitBreaker(backend))
    for way in WAYS:
        assert node.route(visit(node, state(("search", "1")), way)) == "closed"  # type: ignore[arg-type]


# Building


def test_an_open_circuit_needs_a_way_out(node: CircuitBreakerNode) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError, match="open"):
        node.paths(closed="tools")
    assert node.paths(closed="tools", open="model") == {"closed": "tools", "open": "model"}


def test_a_node_needs_a_breaker() -> None:
    """Not a backend."""
    with pytest.raises(ConfigError, match="breaker"):
        CircuitBreakerNode(MemoryBackend())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def nobody_listens_afterwards() -> Iterator[None]:
    """A test that forgets its listener would change what others hear."""
    from langgraph_guard import events

    yield
    if events.listening():
        gc.collect()  # what another test dropped listens until it is collected
    assert not events.listening()
