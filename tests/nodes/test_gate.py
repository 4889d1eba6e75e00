"""The gate: what it decides from, in whatever graph it stands."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    BudgetExceeded,
    ConfigError,
    FinishNode,
    GuardState,
    IdentityMissing,
    Limit,
    MemoryBackend,
    Price,
    fuse,
    guard_report,
)
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Adjust,
    Charge,
    EnsureAtLeast,
    Freeze,
    OpenTurn,
    Owner,
    Read,
    Reserve,
    Settle,
    Thaw,
)
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, says
from tests.nodes.agents import answers_after, asks, loops, react, thread


class PydanticHost(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages] = []


@dataclass
class DataclassHost:
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


class PublicHost(MessagesState, GuardState):
    pass


@pytest.mark.parametrize("state", [MessagesState, PydanticHost, DataclassHost, PublicHost])
def test_a_guard_works_in_any_host(state: type, saver: Any) -> None:
    """Nobody has to inherit anything; whoever does sees the keys."""
    agent = react([Limit("usd", 0.05, per="session")], state=state, checkpointer=saver)
    final = agent.app.invoke(asks(), thread())
    assert final["messages"][-1].response_metadata["guard"]["status"] == "limit_cost"
    assert ("guard_usage" in final) == (state is PublicHost)
    assert guard_report(agent.app, thread()).status == "limit_cost"


def test_messages_may_have_another_name() -> None:
    """Not every state calls them `messages`."""

    class Host(TypedDict):
        history: Annotated[list[AnyMessage], add_messages]

    model = loops()
    budget = BudgetCheckNode(Budget([Limit("model_calls", 3, per="turn")]), MemoryBackend(), messages_key="history")
    metered = budget.model(model)

    def call(state: Host) -> Any:
        return {"history": [AIMessage(metered.invoke(state["history"]).text)]}

    graph = StateGraph(Host)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(call))
    graph.add_node("finish", FinishNode(messages_key="history"))
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded="finish"))
    graph.add_edge("model", "gate")
    graph.add_edge("finish", END)
    final = graph.compile().invoke({"history": [("user", "hi")]}, thread())
    assert model.call_count == 3
    assert final["history"][-1].response_metadata["guard"]["status"] == "limit_calls"


def test_a_host_without_messages_has_a_turn_for_each_run() -> None:
    """A pipeline has no conversation; its runs are its turns."""

    class Host(TypedDict):
        rounds: int

    model = loops()
    budget = BudgetCheckNode(Budget([Limit("model_calls", 3, per="turn")]), MemoryBackend())
    metered = budget.model(model)

    def work(state: Host) -> Any:
        metered.invoke("go on")
        return {"rounds": state["rounds"] + 1}

    graph = StateGraph(Host)
    graph.add_node("gate", budget)
    graph.add_node("work", budget.track(work))
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="work", exceeded=END))
    graph.add_edge("work", "gate")
    app = graph.compile(checkpointer=InMemorySaver())
    assert [app.invoke({"rounds": 0}, thread())["rounds"] for _ in range(2)] == [3, 3]


# A gate without a meter


def gate_alone(limits: list[Limit], prepare: Any = None) -> Any:
    """A graph whose gate looks at what nobody counts; `prepare` is given the gate."""
    budget = BudgetCheckNode(Budget(limits), MemoryBackend())
    if prepare:
        prepare(budget)
    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_edge(START, "budget")
    graph.add_edge("budget", END)
    return graph.compile()


def test_a_gate_that_nobody_tells_of_a_call_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """It would say "ok" for ever while the money goes; the limits look as if they held."""
    app = gate_alone([Limit("usd", 1, per="session")])
    for _ in range(3):
        app.invoke(asks(), thread())
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert all(way in record.getMessage() for way in ("'budget'", ".model(", ".track(", ".callback()"))


@pytest.mark.parametrize(
    "prepare",
    [lambda gate: gate.model(loops()), lambda gate: gate.track(lambda state: {}), lambda gate: gate.callback()],
    ids=["model", "track", "callback"],
)
def test_a_gate_with_a_meter_says_nothing(prepare: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Any one of the three is enough."""
    gate_alone([Limit("usd", 1, per="session")], prepare).invoke(asks(), thread())
    assert caplog.records == []


@pytest.mark.parametrize("limit", [Limit("steps", 9, per="turn"), Limit("seconds", 9, per="turn")], ids=str)
def test_what_the_gate_counts_by_itself_needs_no_meter(limit: Limit, caplog: pytest.LogCaptureFixture) -> None:
    """Steps and seconds are in the graph."""
    gate_alone([limit]).invoke(asks(), thread())
    assert caplog.records == []


# Routes without a path map: LangGraph takes a word for a node's name then


@pytest.mark.parametrize("kind", ["gate", "fused", "after_model"])
def test_a_route_without_a_target_fails_when_the_graph_is_compiled(kind: str) -> None:
    """It ended every run at the gate, without an error and without an answer."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 1, per="session")]), MemoryBackend())
    fused = fuse(budget, name="fused")
    router = {"gate": budget.route, "fused": fused.route, "after_model": budget.after_model}[kind]
    graph = StateGraph(MessagesState)
    graph.add_node("gate", fused if kind == "fused" else budget)
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", router)
    with pytest.raises(ValueError, match=r"At 'gate' node, '(route|after_model)' branch found unknown target '"):
        graph.compile()


def test_a_node_for_each_word_needs_no_path_map() -> None:
    """Who names nodes after the words has said where they lead."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 1, per="session")]), MemoryBackend())
    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route)
    for word in ("ok", "warn", "exceeded"):
        graph.add_node(word, lambda state, word=word: {"messages": [AIMessage(word)]})
    app = graph.compile()
    assert app.invoke(asks(), thread())["messages"][-1].text == "ok"
    assert {edge.target for edge in app.get_graph().edges if edge.source == "budget"} == {"ok", "warn", "exceeded"}


# Verdicts


def test_it_warns_before_it_stops(saver: Any) -> None:
    """Three quarters are used: a graph may route to a cheaper way from there."""
    agent = react([Limit("model_calls", 4, per="turn")], checkpointer=saver)
    agent.app.invoke(asks(), thread())
    history = [state.values.get("guard_verdicts", {}) for state in agent.app.get_state_history(thread())]
    routes = [each["budget"]["route"] for each in reversed(history) if "budget" in each]
    assert list(dict.fromkeys(routes)) == ["ok", "warn", "exceeded"]


def test_a_warning_is_recorded_once(saver: Any) -> None:
    """State stays small however long a run goes on after its warning."""
    agent = react([Limit("model_calls", 40, per="turn")], checkpointer=saver)
    agent.app.invoke(asks(), thread())
    assert [each["route"] for each in guard_report(agent.app, thread()).decisions] == ["warn", "exceeded"]


@pytest.mark.parametrize("limit", [8, 12, 20, 33])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_run_lands_before_langgraphs_own_limit(limit: int, kind: str) -> None:
    """A recursion error loses all the work; the gate ends the run while there is still a step to do it in."""
    agent = react([Limit("usd", 100, per="session")])
    config = {**thread(), "recursion_limit": limit}
    final = await agent.app.ainvoke(asks(), config) if kind == "async" else agent.app.invoke(asks(), config)
    assert final["messages"][-1].response_metadata["guard"]["status"] == "limit_steps"
    assert final["messages"][-1].response_metadata["guard"]["scope"] == "run"


@pytest.mark.parametrize("rounds", [0, 1, 2, 5])
def test_a_run_that_fits_its_recursion_limit_is_left_alone(rounds: int) -> None:
    """The gate must not end early what would have ended well, with one round to spare."""
    agent = react([Limit("usd", 100, per="session")], answers_after(rounds))
    final = agent.app.invoke(asks(), {**thread(), "recursion_limit": 3 * (rounds + 2) + 2})
    assert final["messages"][-1].text == "It has shipped."


def test_the_handbook_is_routed_before_it_reaches_the_model() -> None:
    """A limit per call is checked at the gate, on what the person pasted."""
    agent = react([Limit("tokens", 5_000, per="call")])
    final = agent.app.invoke(asks("handbook " * 10_000), thread())
    assert agent.model.call_count == 0
    guard = final["messages"][-1].response_metadata["guard"]
    assert (guard["status"], guard["scope"]) == ("limit_tokens", "call")
    assert "shorter" in guard["continue"]


def test_exactly_as_many_tool_calls_as_allowed_are_fine() -> None:
    """Three of three tool calls are no reason to keep the answer back."""
    agent = react([Limit("tool_calls", 3, per="turn")], answers_after(3))
    final = agent.app.invoke(asks(), thread())
    assert final["messages"][-1].text == "It has shipped."
    assert agent.spent(unit="tool_calls") == 3


def test_one_tool_call_too_many_is_refused_before_it_is_made() -> None:
    """Of five calls at once with room for three, none runs: half of a batch is worse than none."""
    five = [("get_order_status", {"order_id": str(n)}) for n in range(5)]
    agent = react([Limit("tool_calls", 3, per="turn")], ScriptedChatModel([Reply(tool_calls=five)]))
    final = agent.app.invoke(asks(), thread())
    assert agent.spent(unit="tool_calls") == 0
    assert [message.status for message in final["messages"] if message.type == "tool"] == ["error"] * 5


def test_a_denial_that_the_node_swallows_still_ends_the_run() -> None:
    """`except Exception: pass` around a model must not make a loop of refused calls."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 2, per="turn")]), MemoryBackend())
    model = loops()
    metered = budget.model(model)
    rounds = []

    def stubborn(state: MessagesState) -> Any:
        rounds.append(1)
        try:
            return {"messages": [AIMessage(metered.invoke(state["messages"]).text)]}
        except Exception:
            return {"messages": [AIMessage("never mind")]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(stubborn))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", budget.after_model, budget.paths(tools="model", end="model", exceeded="finish")
    )
    graph.add_edge("finish", END)
    graph.compile().invoke(asks(), thread())
    assert (model.call_count, len(rounds)) == (2, 3)


def test_a_node_may_shorten_what_was_too_long() -> None:
    """A limit per call is about one call: who catches the denial and sends less goes on."""
    budget = BudgetCheckNode(Budget([Limit("tokens", 5_000, per="call")]), MemoryBackend())
    metered = budget.model(answers_after(0))

    def careful(state: MessagesState) -> Any:
        try:
            return {"messages": [metered.invoke("handbook " * 10_000)]}
        except BudgetExceeded:
            return {"messages": [metered.invoke("its first page")]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(careful))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="model", end=END, exceeded="finish"))
    assert graph.compile().invoke(asks(), thread())["messages"][-1].text == "It has shipped."


def test_without_a_gate_each_message_still_opens_a_turn(saver: Any) -> None:
    """`track` alone is a guard: a halt of the last turn does not end the next one."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 2, per="turn")]), MemoryBackend())
    model = loops()
    metered = budget.model(model)

    def call(state: MessagesState) -> Any:
        return {"messages": [AIMessage(metered.invoke(state["messages"]).text)]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(call))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="model", end="model", exceeded=END))
    graph.add_edge(START, "model")
    app = graph.compile(checkpointer=saver)
    for turn in (1, 2, 3):
        app.invoke(asks(), thread())
        assert model.call_count == 2 * turn


def test_a_limit_that_queues_does_not_stop_the_run() -> None:
    """Four calls at two a minute: the gate lets them through, the meter waits."""
    clock = FakeClock()
    limit = Limit("model_calls", 2, per="global", window="minute", wait=120)
    agent = react([limit], answers_after(3), backend=MemoryBackend(clock=clock))
    final = agent.app.invoke(asks(), thread())
    assert final["messages"][-1].text == "It has shipped."
    assert sum(clock.slept) == 60


def test_counting_calls_caps_no_answer() -> None:
    """Without a limit of money or tokens a model writes as much as it likes."""
    model = ScriptedChatModel([says("word " * 20_000)])
    agent = react([Limit("model_calls", 5, per="turn")], model)
    agent.app.invoke(asks(), thread())
    assert model.calls[0].max_tokens is None


class Called:
    """A node that is an object with an annotated `__call__`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, state: MessagesState, config: RunnableConfig) -> Any:
        assert config["configurable"]["thread_id"] == "t"
        return {"messages": [self.model.invoke(state["messages"])]}


@pytest.mark.parametrize("kind", ["object", "function with runtime", "partial"])
def test_a_tracked_node_keeps_its_name_and_what_langgraph_injects(kind: str) -> None:
    """Wrapping must not change what a node is given."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    model = budget.model(answers_after(0))

    def with_runtime(state: MessagesState, runtime: Runtime[Any]) -> Any:
        assert runtime.execution_info is not None
        return {"messages": [model.invoke(state["messages"])]}

    nodes: dict[str, Any] = {
        "object": Called(model),
        "function with runtime": with_runtime,
        "partial": functools.partial(with_runtime),
    }
    node = budget.track(nodes[kind])
    graph = StateGraph(MessagesState)
    graph.add_node("model", node)
    graph.add_edge(START, "model")
    final = graph.compile().invoke(asks(), thread())
    assert final["messages"][-1].text == "It has shipped."
    if kind != "partial":
        assert node.__name__ == {"object": "Called", "function with runtime": "with_runtime"}[kind]


# Whose money


def test_each_user_has_their_own(saver: Any) -> None:
    """One who loops does not use up what belongs to another."""
    agent = react([Limit("model_calls", 2, per="user", window="day")])
    for user in ("ann", "bob", "ann"):
        agent.app.invoke(asks(), thread(user_id=user))
    assert agent.model.call_count == 4


def test_a_users_limit_spans_threads() -> None:
    """A new session is no way around a day's limit."""
    agent = react([Limit("model_calls", 3, per="user", window="day")])
    for number in range(3):
        agent.app.invoke(asks(), thread(f"t{number}", user_id="ann"))
    assert agent.model.call_count == 3


def test_a_day_ends_by_the_backends_clock() -> None:
    """At midnight UTC there is room again."""
    clock = FakeClock()
    agent = react([Limit("model_calls", 2, per="user", window="day")], backend=MemoryBackend(clock=clock))
    agent.app.invoke(asks(), thread(user_id="ann"))
    clock.advance(86_400)
    agent.app.invoke(asks(), thread(user_id="ann"))
    assert agent.model.call_count == 4


def test_scopes_of_ones_own_come_from_identity() -> None:
    """A team's money, named by the program and never by the conversation."""
    backend = MemoryBackend()
    budget = BudgetCheckNode(
        Budget([Limit("model_calls", 2, per="team")], scopes=["team"]),
        backend,
        identity=lambda config: {"team": "blue"},
    )
    model = loops()
    for number in range(2):
        budget.model(model).invoke("hi", thread(f"t{number}"))
    with pytest.raises(RuntimeError, match="per team"):
        budget.model(model).invoke("hi", thread("t3"))


def test_the_runtimes_context_names_the_user() -> None:
    """LangGraph's own place for who is asking."""

    @dataclass
    class Context:
        user_id: str

    budget = BudgetCheckNode(Budget([Limit("model_calls", 2, per="user")]), MemoryBackend())
    metered = budget.model(loops())
    graph = StateGraph(MessagesState, context_schema=Context)
    graph.add_node("model", lambda state: {"messages": [metered.invoke(state["messages"]).text]})
    graph.add_edge(START, "model")
    app: Any = graph.compile()
    for user in ("ann", "bob", "ann", "bob"):
        app.invoke(asks(), {"configurable": {}}, context=Context(user))
    with pytest.raises(RuntimeError, match="per user"):
        app.invoke(asks(), {"configurable": {}}, context=Context("ann"))


def test_an_unknown_user_fails_closed_at_the_gate() -> None:
    """Before anything is called, and with the place to look."""
    agent = react([Limit("usd", 1, per="user")])
    with pytest.raises(IdentityMissing, match="user"):
        agent.app.invoke(asks(), thread())
    assert agent.model.call_count == 0


def test_a_tenants_limit_needs_a_tenant() -> None:
    """It comes from the backend, never from the run."""
    with pytest.raises(ConfigError, match="tenant"):
        BudgetCheckNode(Budget([Limit("usd", 1, per="tenant")]), MemoryBackend())
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="tenant")]), MemoryBackend(tenant="acme"))
    budget.model(loops()).invoke("hi", thread(tenant="other"))
    ((balance,),) = budget._ledger.execute([Read((Account("acme", "tenant", "acme", "usd"),))])  # type: ignore[misc]
    assert balance.spent == 1_800


def test_a_price_of_ones_own_is_used() -> None:
    """For models that no list has."""
    budget = BudgetCheckNode(
        Budget([Limit("usd", 1, per="session")]), MemoryBackend(), prices={"house-model": Price(input=1, output=2)}
    )
    budget.model(loops(model_name="house-model")).invoke("hi", thread())
    ((balance,),) = budget._ledger.execute([Read((Account("", "session", "t", "usd"),))])  # type: ignore[misc]
    assert balance.spent == 8_000 * 1 + 1_000 * 2


# Several at once


def test_parallel_branches_share_one_budget() -> None:
    """A fan-out sees the same state; the ledger knows what the others took."""
    budget = BudgetCheckNode(Budget([Limit("usd", 0.005, per="session")]), MemoryBackend())
    model = ScriptedChatModel([says("word " * 300)], repeat_last=True, max_tokens=500)
    metered = budget.model(model, min_output=500)
    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_edge(START, "gate")
    for number in range(40):
        graph.add_node(f"n{number}", budget.track(lambda state: {"messages": [metered.invoke("hi").text]}))
        graph.add_edge("gate", f"n{number}")
    graph.compile().invoke(asks(), thread())
    ((balance,),) = budget._ledger.execute([Read((Account("", "session", "t", "usd"),))])  # type: ignore[misc]
    assert 0 < balance.spent <= 5_000
    assert balance.reserved == 0


def test_a_forgotten_ledger_is_raised_to_what_the_checkpoint_knows(saver: Any) -> None:
    """A restart must not be a refund, and the larger figure is the true one."""
    limits = [Limit("usd", 0.0095, per="session")]
    agent = react(limits, answers_after(2), checkpointer=saver)
    agent.app.invoke(asks(), thread())
    before = agent.spent()
    again = react(limits, answers_after(2), checkpointer=saver)
    again.app.invoke(asks("again"), thread())
    assert again.spent() == 2 * before
    account = Account("", "session", "t", "usd")
    again.backend.ledger.execute([EnsureAtLeast(account, 5), Reserve("x", (Charge(account, 1),)), Settle("x")])
    assert again.spent() == 2 * before + 1


# Bad input


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"ok": "model"},
        {"exceeded": "finish"},
        {"ok": "m", "exceeded": "f", "exceded": "f"},
        {"ok": None, "exceeded": "f"},
    ],
)
def test_a_route_without_a_target_is_refused_when_the_graph_is_built(targets: Any) -> None:
    """A run must not find out at its end that nobody said where to go."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    with pytest.raises(ConfigError, match="paths"):
        budget.paths(**targets)


def test_a_target_for_another_guards_word_is_ignored() -> None:
    """Guards come and go in a fuse; the edges may stay as they are, and the picture is still right."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    assert budget.paths(ok="a", exceeded="b", halt="c") == {"ok": "a", "warn": "a", "exceeded": "b"}


def test_warn_goes_where_ok_goes_unless_told() -> None:
    """The short form is the usual one."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    assert budget.paths(ok="a", exceeded="b") == {"ok": "a", "warn": "a", "exceeded": "b"}
    assert budget.paths(ok="a", warn="c", exceeded="b") == {"ok": "a", "warn": "c", "exceeded": "b"}
    assert budget.paths(tools="a", end="b", exceeded="c") == {"tools": "a", "end": "b", "exceeded": "c"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: BudgetCheckNode([Limit("usd", 1, per="session")], MemoryBackend()),  # type: ignore[arg-type]
        lambda: BudgetCheckNode(Budget([]), {}),  # type: ignore[arg-type]
        lambda: BudgetCheckNode(Budget([]), MemoryBackend(), identity="ann"),  # type: ignore[arg-type]
        lambda: BudgetCheckNode(Budget([]), MemoryBackend(), name=""),
        lambda: BudgetCheckNode(Budget([]), MemoryBackend(), prices={"m": 3}),  # type: ignore[dict-item]
        lambda: MemoryBackend(tenant=3),  # type: ignore[arg-type]
        lambda: FinishNode("gpt-4o"),  # type: ignore[arg-type]
        lambda: BudgetCheckNode(Budget([]), MemoryBackend()).track("node"),
        lambda: BudgetCheckNode(Budget([]), MemoryBackend()).model(loops(), min_output=0),
    ],
)
def test_wrong_settings_fail_at_construction(make: Any) -> None:
    """Never in the tenth superstep."""
    with pytest.raises(ConfigError):
        make()


def test_human_messages_without_ids_open_turns() -> None:
    """`operator.add` stamps nothing."""

    class Host(TypedDict):
        messages: Annotated[list[Any], operator.add]

    model = loops()
    budget = BudgetCheckNode(Budget([Limit("model_calls", 2, per="turn")]), MemoryBackend())
    metered = budget.model(model)
    graph = StateGraph(Host)
    graph.add_node("gate", budget)
    graph.add_node(
        "model", budget.track(lambda state: {"messages": [AIMessage(metered.invoke(state["messages"]).text)]})
    )
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded=END))
    graph.add_edge("model", "gate")
    app = graph.compile(checkpointer=InMemorySaver())
    for turn in (1, 2):
        app.invoke({"messages": [HumanMessage("the same words")]}, thread())
        assert model.call_count == 2 * turn


def test_a_drawn_graph_shows_where_a_guard_leads() -> None:
    """`.paths` is the path map, so the picture is right."""
    drawn = react([Limit("usd", 1, per="session")]).app.get_graph()
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert edges == {
        ("__start__", "before_model"),
        ("before_model", "model"),
        ("before_model", "finish"),
        ("model", "tools"),
        ("model", "finish"),
        ("model", "__end__"),
        ("tools", "before_model"),
        ("finish", "__end__"),
    }


# What people did meanwhile


@pytest.mark.parametrize(
    ("limit", "owner"),
    [
        (Limit("usd", 1, per="session"), Owner("", "session", "t")),
        (Limit("usd", 1, per="user"), Owner("", "session", "t")),
        (Limit("usd", 1, per="turn"), Owner("", "session", "t")),
        (Limit("model_calls", 9, per="user", wait=60), Owner("", "user", "42")),
        (Limit("tool_calls", 9, per="global", window="day"), Owner("", "global", "")),
    ],
    ids=["limited", "counted", "turn", "queue", "everyone"],
)
def test_a_frozen_owner_ends_the_run_before_the_model(limit: Limit, owner: Owner, saver: Any) -> None:
    """Somebody said stop: no room is large enough, and no queue long enough."""
    agent = react([limit], checkpointer=saver)
    agent.backend.ledger.execute([Freeze(owner, "ada", "abuse")])
    final = agent.app.invoke(asks(), thread(user="42"))
    assert agent.model.call_count == 0
    assert final["messages"][-1].response_metadata["guard"]["status"] == "frozen"
    assert "was stopped by hand" in guard_report(agent.app, thread(user="42")).reason


def test_a_thawed_owner_goes_on_where_it_was(saver: Any) -> None:
    """The next message is answered as if nothing had been."""
    agent = react([Limit("usd", 1, per="session")], answers_after(1), checkpointer=saver)
    owner = Owner("", "session", "t")
    agent.backend.ledger.execute([Freeze(owner, "ada")])
    agent.app.invoke(asks(), thread())
    agent.backend.ledger.execute([Thaw(owner, "ada")])
    final = agent.app.invoke(asks(), thread())
    assert final["messages"][-1].text == "It has shipped."
    assert guard_report(agent.app, thread()).status == "ok"


def test_a_session_that_was_given_more_goes_on(saver: Any) -> None:
    """The gate counts what the meter grants; and the report says of how much it is."""
    agent = react([Limit("model_calls", 2, per="session")], checkpointer=saver)
    agent.app.invoke(asks(), thread())
    session = Account("", "session", "t", "model_calls")
    agent.backend.ledger.execute([Adjust("more", session, "ada", credit=3)])
    final = agent.app.invoke(asks("again"), thread())
    guard = final["messages"][-1].response_metadata["guard"]
    assert (agent.spent(unit="model_calls"), guard["limit"], guard["spent"]) == (5, 5, 5)


def test_two_runs_at_once_on_one_thread_have_a_turn_each() -> None:
    """The second message opens its turn while the first is still worked on; its calls are not the first one's."""
    backend = MemoryBackend()
    budget = BudgetCheckNode(Budget([Limit("model_calls", 3, per="turn")]), backend)

    def another_message(state: PublicHost) -> dict[str, Any]:
        calls = Account("", "session", "t", "model_calls", TURN)
        backend.ledger.execute([OpenTurn("", "t", "another", 2), Reserve("r", (Charge(calls, 3),)), Settle("r")])
        return {}

    graph = StateGraph(PublicHost)
    graph.add_sequence([("gate", budget), ("meanwhile", another_message), ("gate again", budget)])
    graph.add_edge(START, "gate")
    final = graph.compile().invoke(asks(), thread())
    assert final["guard_verdicts"]["budget"]["route"] == "ok"
    assert final["guard_usage"]["turn"] == {}
