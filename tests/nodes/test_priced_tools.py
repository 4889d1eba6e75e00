"""Tools that cost money: paid for before they run, from the same purse as the models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    BudgetExceeded,
    ConfigError,
    FinishNode,
    Limit,
    MemoryBackend,
    ToolPrice,
    guard_report,
)
from langgraph_guard.events import subscribe
from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import Account, Balance, Read
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, says
from tests.nodes.agents import asks, is_valid, thread

PRICES = {
    "web_search": ToolPrice("0.01"),
    "gpu": ToolPrice("0.002", per_unit="0.001", most_units=60),
}
SEARCH, GPU_CALL, GPU_SECOND = 10_000, 2_000, 1_000
"""The same in micro-USD."""

MOST = GPU_CALL + 60 * GPU_SECOND

ran: list[str] = []
"""The tools that ran, in order."""


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Each test has its own record."""
    ran.clear()


@tool
def web_search(query: str) -> str:
    """Search the web."""
    ran.append("web_search")
    return "kites fly"


@tool(response_format="content_and_artifact")
def gpu(job: str) -> tuple[str, Any]:
    """Rent a GPU. `job` says how it ends."""
    ran.append("gpu")
    if job == "breaks":
        raise RuntimeError("out of memory")
    if job == "fails":
        raise ToolException("out of memory")
    return "done", None if job == "silent" else {"units": int(job)}


@tool
def clock() -> str:
    """What time it is, for free."""
    ran.append("clock")
    return "noon"


TOOLS: list[BaseTool] = [web_search, gpu, clock]


def wants(*tool_calls: tuple[str, dict[str, Any]]) -> Reply:
    """The model asks for tools, for a micro-dollar or two."""
    return Reply(tool_calls=list(tool_calls), usage=(1, 1))


SEARCHES, ENDS = wants(("web_search", {"query": "kites"})), says("Kites fly.", usage=(1, 1))


def renting(*jobs: str) -> Reply:
    """The model asks for GPUs."""
    return wants(*(("gpu", {"job": job}) for job in jobs))


def budget_of(*limits: Limit, clock: FakeClock | None = None) -> BudgetCheckNode:
    """A budget with tool prices, of a dollar per session unless told otherwise. Models cost nothing worth counting."""
    backend = MemoryBackend(clock=clock)
    return BudgetCheckNode(Budget(limits or [Limit("usd", 1, per="session")]), backend, tool_prices=PRICES)


def balance(budget: BudgetCheckNode, unit: str = "usd") -> Balance:
    """What the ledger says of the thread."""
    ((found,),) = budget._ledger.execute([Read((Account("", "session", "t", unit),))])  # type: ignore[misc]
    return found


def tools_spent(budget: BudgetCheckNode) -> int:
    """What went to tools: each model call here costs a micro-dollar."""
    return balance(budget).spent - balance(budget, "model_calls").spent


def held(budget: BudgetCheckNode) -> int:
    """What is reserved in the thread's name."""
    return sum(balance(budget, unit).reserved for unit in LEDGER_UNITS)


def build(budget: BudgetCheckNode, replies: Sequence[Any], *, by: str = "model", tools: Any = None) -> Any:
    """The README's graph. `by`: who sees the tools, the tracked `model`, the `tools` node too, or the `callback`."""
    llm = ScriptedChatModel(list(replies), repeat_last=True, max_tokens=300)
    model = budget.model(llm.bind_tools(TOOLS))
    node = tools or ToolNode(TOOLS, handle_tool_errors=True)

    def call_model(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    def tools_or_end(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    watched = by == "callback"
    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_node("model", call_model if watched else budget.track(call_model))
    graph.add_node("tools", budget.track(node) if by == "tools" else node)
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
    if watched:
        graph.add_conditional_edges("model", tools_or_end, ["tools", END])
    else:
        paths = budget.paths(tools="tools", end=END, exceeded="finish")
        graph.add_conditional_edges("model", budget.after_model, paths)
    graph.add_edge("tools", "budget")
    graph.add_edge("finish", END)
    return graph.compile()


async def play(budget: BudgetCheckNode, *replies: Any, by: str = "model", how: str = "invoke") -> list[Any]:
    """Run the graph on a question and return its messages."""
    app, config = build(budget, replies, by=by), thread()
    if by == "callback":
        config = {**config, "callbacks": [budget.callback()]}
    final = app.invoke(asks(), config) if how == "invoke" else await app.ainvoke(asks(), config)
    return list(final["messages"])


everywhere = pytest.mark.parametrize("by", ["model", "tools", "callback"])
both_ways = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


# What a call costs


@everywhere
@both_ways
async def test_a_tool_with_a_price_costs_it_once(by: str, how: str) -> None:
    """Whoever sees the call, and however many do."""
    budget = budget_of()
    await play(budget, SEARCHES, SEARCHES, ENDS, by=by, how=how)
    assert tools_spent(budget) == 2 * SEARCH
    assert (balance(budget, "tool_calls").spent, held(budget)) == (2, 0)


@everywhere
@both_ways
async def test_tools_that_run_at_the_same_time_are_all_paid_for(by: str, how: str) -> None:
    """A batch is a sum; what is free stays free."""
    budget = budget_of()
    batch = wants(("web_search", {"query": "a"}), ("clock", {}), ("gpu", {"job": "5"}), ("web_search", {"query": "b"}))
    await play(budget, batch, ENDS, by=by, how=how)
    assert sorted(ran) == ["clock", "gpu", "web_search", "web_search"]
    assert tools_spent(budget) == 2 * SEARCH + GPU_CALL + 5 * GPU_SECOND
    assert (balance(budget, "tool_calls").spent, held(budget)) == (4, 0)


@everywhere
@both_ways
@pytest.mark.parametrize(
    ("jobs", "cost"),
    [
        (["7"], GPU_CALL + 7 * GPU_SECOND),
        (["0", "60"], 2 * GPU_CALL + 60 * GPU_SECOND),
        (["3", "silent", "4"], 3 * GPU_CALL + 67 * GPU_SECOND),
        (["70"], GPU_CALL + 70 * GPU_SECOND),
        (["fails"], MOST),
        (["breaks", "1"], MOST + GPU_CALL + GPU_SECOND),
    ],
)
async def test_units_cost_what_the_result_tells(jobs: list[str], cost: int, by: str, how: str) -> None:
    """A call that tells nothing, or fails, may have used all that it could; one that used more is on the invoice."""
    budget = budget_of()
    await play(budget, renting(*jobs), ENDS, by=by, how=how)
    assert tools_spent(budget) == cost
    assert (len(ran), held(budget)) == (len(jobs), 0)


async def test_the_price_of_units_is_held_while_the_tool_runs() -> None:
    """Two workers cannot both count on the same money."""
    budget = budget_of()
    seen: list[Balance] = []

    def look(state: MessagesState) -> Any:
        seen.append(balance(budget))
        return ToolNode(TOOLS).invoke(state)

    build(budget, [renting("7"), ENDS], tools=look).invoke(asks(), thread())
    assert [each.reserved for each in seen] == [MOST]
    assert held(budget) == 0


def test_the_report_has_what_the_tools_cost(saver: Any) -> None:
    """And so has the next worker, who reads it from the checkpoint."""
    budget = budget_of()
    app = build(budget, [renting("7"), ENDS])
    app.checkpointer = saver
    app.invoke(asks(), thread())
    assert guard_report(app, thread()).session["usd"] == balance(budget).spent > GPU_CALL


def test_tools_of_a_model_without_a_price_are_counted() -> None:
    """Without a usd limit no model needs one, and what tools cost is known all the same."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 9, per="turn")]), MemoryBackend(), tool_prices=PRICES)
    model = ScriptedChatModel([AIMessage([{"type": "server_tool_use", "name": "web_search"}])], model_name="frontier-9")
    budget.model(model).invoke("hi", thread())
    assert balance(budget).spent == SEARCH


# Where there is no room


@both_ways
@pytest.mark.parametrize("by", ["model", "tools"])
async def test_a_tool_that_there_is_no_money_for_never_runs(by: str, how: str) -> None:
    """The run ends as it does for a model: routed, answered, with the reason."""
    budget = budget_of(Limit("usd", 0.025, per="session"))
    messages = await play(budget, SEARCHES, SEARCHES, SEARCHES, ENDS, by=by, how=how)
    guard = messages[-1].response_metadata["guard"]
    assert (ran, tools_spent(budget), held(budget)) == (["web_search"] * 2, 2 * SEARCH, 0)
    assert (guard["status"], guard["unit"], guard["scope"]) == ("limit_cost", "usd", "session")
    assert is_valid(messages)


@both_ways
async def test_a_callback_raises_before_the_tool_runs(how: str) -> None:
    """Where nothing is wrapped there is no route to take."""
    budget = budget_of(Limit("usd", 0.025, per="session"))
    app = build(budget, [SEARCHES], by="callback", tools=ToolNode(TOOLS))
    config = {**thread(), "callbacks": [budget.callback()]}
    with pytest.raises(BudgetExceeded) as denied:
        app.invoke(asks(), config) if how == "invoke" else await app.ainvoke(asks(), config)
    assert (denied.value.unit, denied.value.requested) == ("usd", SEARCH)
    assert (ran, tools_spent(budget), held(budget)) == (["web_search"] * 2, 2 * SEARCH, 0)


async def test_a_refusal_that_a_tools_node_takes_for_an_error_stands() -> None:
    """The model must not be able to go on from "Error: BudgetExceeded"."""
    budget = budget_of(Limit("usd", 0.025, per="session"))
    messages = await play(budget, SEARCHES, by="callback")
    assert ran == ["web_search"] * 2
    assert messages[-1].response_metadata["guard"]["status"] == "limit_cost"


async def test_a_batch_runs_whole_or_not_at_all() -> None:
    """Half of it would be an answer to nobody, and paid for."""
    budget = budget_of(Limit("usd", 0.025, per="session"))
    await play(budget, wants(*(("web_search", {"query": str(n)}) for n in range(3))), ENDS)
    assert (ran, tools_spent(budget), balance(budget, "tool_calls").spent) == ([], 0, 0)


async def test_the_most_that_a_call_can_use_must_fit() -> None:
    """What it will use is not known before."""
    budget = budget_of(Limit("usd", 0.05, per="session"))
    messages = await play(budget, renting("1"), ENDS)
    assert (ran, tools_spent(budget)) == ([], 0)
    assert messages[-1].response_metadata["guard"]["status"] == "limit_cost"


async def test_too_many_tool_calls_cost_no_money() -> None:
    """Calls and money are one reservation: what one of them refuses, the other does not keep."""
    budget = budget_of(Limit("usd", 1, per="session"), Limit("tool_calls", 1, per="turn"))
    messages = await play(budget, SEARCHES, SEARCHES, ENDS)
    assert (ran, tools_spent(budget), held(budget)) == (["web_search"], SEARCH, 0)
    assert messages[-1].response_metadata["guard"]["status"] == "limit_calls"


def test_tools_do_not_use_what_is_kept_for_the_closing_answer() -> None:
    """A run that searched to the last cent could not say what it found."""
    budget = budget_of(Limit("usd", 0.0205, per="session"))
    budget.model(ScriptedChatModel([ENDS]), landing=True)
    build(budget, [SEARCHES, SEARCHES, ENDS]).invoke(asks(), thread())
    assert ran == ["web_search"]


# Ends that nobody tells


async def test_a_cancelled_tool_costs_the_most_that_it_could() -> None:
    """LangChain does not tell of a cancellation; the GPU ran on, for all we know."""
    budget = budget_of()
    started = asyncio.Event()

    async def rent(job: str) -> str:
        """Rent a GPU."""
        started.set()
        await asyncio.Event().wait()
        return job

    app = build(budget, [renting("1")], by="tools", tools=ToolNode([tool("gpu")(rent)]))
    running = asyncio.ensure_future(app.ainvoke(asks(), thread()))
    await started.wait()
    assert held(budget) > 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tools_spent(budget), held(budget)) == (MOST, 0)
    assert budget.callback()._open == {}


def test_a_call_that_is_never_heard_of_again_costs_the_most_when_its_lease_ends() -> None:
    """The run went another way after the model had asked, or the worker died."""
    time = FakeClock()
    budget = budget_of(clock=time)
    build(budget, [renting("1"), ENDS], tools=lambda state: {}).invoke(asks(), thread())
    assert balance(budget).reserved == MOST
    time.advance(301)
    assert (tools_spent(budget), held(budget)) == (MOST, 0)


# Events, and settings


def test_what_tools_cost_is_told_to_who_listens() -> None:
    """The sum of what was settled is what was spent."""
    said: list[tuple[str, Any]] = []
    stop = subscribe(lambda name, facts: said.append((name, facts)))
    budget = budget_of()
    build(budget, [renting("7", "silent"), SEARCHES, ENDS]).invoke(asks(), thread())
    stop()
    settled = [facts for name, facts in said if name == "budget.settled"]
    assert sum(facts["usd"] for facts in settled) == balance(budget).spent
    assert [facts["outcome"] for facts in settled if not facts["model"]] == ["unmeasured", "answered"]


@pytest.mark.parametrize("prices", [{"web_search": 0.01}, ["web_search"]])
def test_a_price_of_another_kind_is_refused_at_once(prices: Any) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError, match="tool_prices"):
        BudgetCheckNode(Budget([]), MemoryBackend(), tool_prices=prices)


def test_messages_of_tools_that_cost_nothing_are_left_alone() -> None:
    """A tool without a price is free, and says what it says."""
    budget = budget_of()
    final = build(budget, [wants(("clock", {})), ENDS]).invoke(asks(), thread())
    (said,) = [message.content for message in final["messages"] if isinstance(message, ToolMessage)]
    assert (said, tools_spent(budget), balance(budget, "tool_calls").spent) == ("noon", 0, 1)
