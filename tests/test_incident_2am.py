"""The 2 a.m. incident as a test: a service that hangs, a model that takes each time-out for "pending" and never tires.

The model would call its tool for as long as it is let. With the guards it makes three calls, the circuit opens, and its
fourth message ends the run: `circuit_open`, because `CircuitBreakerNode` comes before `LoopCheckNode` in `fuse`. The
other way round the loop check has the word first, and spends two more model calls on its ladder.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    CircuitBreaker,
    CircuitBreakerNode,
    FinishNode,
    Limit,
    LoopCheckNode,
    MemoryBackend,
    ToolGuard,
    ToolResult,
    contract,
    fuse,
    guard_report,
)
from langgraph_guard.cli.incident.orders import PATIENCE, Hanging, Server
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, calls, says
from tests.nodes.agents import asks, is_valid, thread

both_ways = pytest.mark.parametrize("how", ["invoke", "ainvoke"])

LONGEST_WAIT = 33
"""Seconds that a circuit stays open with the default settings: 30, give or take a tenth."""

PENDING = calls("get_order_status", {"order_id": "4711"}, text="Order 4711 is still pending. I will check again.")


class Counted(Hanging):
    """The service of the demo, which also says how often it was asked."""

    server: Orders

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        if self.path != "/asked":
            super().do_GET()
            return
        said = str(self.server.asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *said: object) -> None:
        pass


class Orders(Server):
    """Counts connections in the thread that accepts them: whoever asks how many, hears of all that came before."""

    accepted = 0
    looked = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        super().process_request(request, client_address)

    @property
    def asked(self) -> int:
        return self.accepted - self.looked

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def requests(self) -> int:
        """How many requests for orders have reached the service."""
        self.looked += 1
        return int(httpx.get(f"{self.url}/asked", trust_env=False, timeout=30).text)


@pytest.fixture
def orders() -> Iterator[Orders]:
    """The service, on a free port of this machine."""
    with Orders(("127.0.0.1", 0), Counted) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def order_tool(url: str) -> BaseTool:
    """A tool as agents have them: its client gives up after 25 ms, and the exception goes where it goes."""
    patience = httpx.Timeout(5, read=PATIENCE)
    settings: Any = {"base_url": url, "timeout": patience, "trust_env": False, "verify": False}

    def ask(order_id: str) -> str:
        with httpx.Client(**settings) as client:
            return client.get(f"/orders/{order_id}").text

    async def aask(order_id: str) -> str:
        async with httpx.AsyncClient(**settings) as client:
            return (await client.get(f"/orders/{order_id}")).text

    made = StructuredTool.from_function(ask, aask, "get_order_status", "Where an order is.")
    return contract(timeout=5, side_effects="read")(made)


def calling(model: Any) -> Any:
    """The model node, sync and async."""

    async def acall_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    return RunnableLambda(call_model, acall_model)


def played(app: Any, how: str, start: Any, config: Any) -> Any:
    """The state that a run ends with."""
    return app.invoke(start, config) if how == "invoke" else asyncio.run(app.ainvoke(start, config))


def tireless() -> ScriptedChatModel:
    """Whatever it reads: the order is pending, and the tool is called again."""
    return ScriptedChatModel([PENDING], repeat_last=True, model_name="gpt-4o")


def plain() -> ScriptedChatModel:
    """Writes the closing answer, and says nothing but what the tools' answers say."""

    def repeat(messages: list[BaseMessage]) -> Reply:
        said = [ToolResult.parse(each) for each in messages if isinstance(each, ToolMessage)]
        return says(" ".join(each.message for each in said if each))

    return ScriptedChatModel(repeat, model_name="gpt-4o-mini")


def breaker_first(breaker: CircuitBreaker, clock: FakeClock) -> Any:
    """What stands before the tools: one superstep, and who comes first has the word."""
    return fuse(CircuitBreakerNode(breaker), LoopCheckNode(clock=clock))


class Night:
    """DESIGN's graph with default settings: gate, tracked metered model, guards before the tools, tools, finish."""

    def __init__(
        self,
        orders: Orders,
        how: str = "invoke",
        *,
        closing: ScriptedChatModel | None = None,
        before_tools: Callable[[CircuitBreaker, FakeClock], Any] = breaker_first,
    ) -> None:
        self.how = how
        self.clock = clock = FakeClock()
        self.model = tireless()
        backend = MemoryBackend(clock=clock)
        budget = BudgetCheckNode(Budget([Limit("usd", 0.05, per="session")]), backend)
        self.breaker = CircuitBreaker(backend)
        tools = [order_tool(orders.url)]
        guard = ToolGuard(budget=budget, breaker=self.breaker)
        before = before_tools(self.breaker, clock)

        graph = StateGraph(MessagesState)
        graph.add_node("budget", budget)
        graph.add_node("model", budget.track(calling(budget.model(self.model.bind_tools(tools)))))
        graph.add_node("before_tools", before)
        graph.add_node("tools", guard.node(tools))
        graph.add_node("finish", FinishNode(budget.model(closing, landing=True) if closing else None))
        graph.add_edge(START, "budget")
        graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
        graph.add_conditional_edges(
            "model", budget.after_model, budget.paths(tools="before_tools", end=END, exceeded="finish")
        )
        graph.add_conditional_edges(
            "before_tools", before.route, before.paths(ok="tools", open="finish", revise="budget", halt="finish")
        )
        graph.add_edge("tools", "budget")
        graph.add_edge("finish", END)
        self.app: Any = graph.compile(checkpointer=InMemorySaver())

    def ask(self, customer: str = "customer-1") -> list[BaseMessage]:
        """One customer's question; the whole conversation."""
        state = played(self.app, self.how, asks("Where is my order 4711?"), thread(customer))
        messages: list[BaseMessage] = state["messages"]
        return messages

    def spent(self, customer: str = "customer-1") -> float:
        return guard_report(self.app, thread(customer)).session["usd"] / 1e6


def results(messages: list[BaseMessage]) -> list[ToolResult]:
    """What the answers to the calls say, in order."""
    found = [ToolResult.parse(each) for each in messages if isinstance(each, ToolMessage)]
    return [each for each in found if each is not None]


def status(messages: list[BaseMessage]) -> str:
    """How the run ended, for programs."""
    said: str = messages[-1].response_metadata["guard"]["status"]
    return said


# --- without guards ---


@both_ways
def test_without_guards_nothing_ends_it_but_the_step_limit(orders: Orders, how: str) -> None:
    """LangGraph's own `ToolNode`, which tells the model of the error: the loop goes on for as long as it may."""
    tool, calls_allowed = order_tool(orders.url), 15
    graph = StateGraph(MessagesState)
    graph.add_node("model", calling(tireless().bind_tools([tool])))
    graph.add_node("tools", ToolNode([tool], handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    app: Any = graph.compile()

    with pytest.raises(GraphRecursionError):
        played(app, how, asks(), {"recursion_limit": 2 * calls_allowed})

    assert orders.requests() == calls_allowed


# --- with them ---


@both_ways
def test_three_tool_calls_and_four_model_calls_end_it(orders: Orders, how: str) -> None:
    """The line of the issue: tens of thousands of potential calls come to this."""
    night = Night(orders, how)

    night.ask()

    assert (orders.requests(), night.model.call_count) == (3, 4)


@both_ways
def test_a_model_that_writes_the_answer_is_asked_once(orders: Orders, how: str) -> None:
    """The hand-over is worth a cheap call of its own; the agent's model is not asked again for it."""
    closing = plain()
    night = Night(orders, how, closing=closing)

    night.ask()

    assert (orders.requests(), night.model.call_count, closing.call_count) == (3, 4, 1)


@both_ways
def test_the_run_says_that_the_circuit_ended_it(orders: Orders, how: str) -> None:
    """A program that reads the status knows that the service is down, and not that the customer spent too much."""
    messages = Night(orders, how).ask()
    assert status(messages) == "circuit_open"
    assert "Try again in" in messages[-1].text


@both_ways
def test_each_call_is_answered_exactly_once(orders: Orders, how: str) -> None:
    """A history with an open call is refused by every provider: the conversation would be over."""
    messages = Night(orders, how).ask()
    asked = [call["id"] for each in messages if isinstance(each, AIMessage) for call in each.tool_calls]
    answered = [each.tool_call_id for each in messages if isinstance(each, ToolMessage)]
    assert answered == asked
    assert len(set(asked)) == 4
    assert is_valid(messages)


@both_ways
def test_the_answers_say_what_happened(orders: Orders, how: str) -> None:
    """Three time-outs, and a fourth call that was not made: no text leaves room for "pending"."""
    said = results(Night(orders, how).ask())
    assert [each.error_type for each in said] == ["timeout"] * 3 + ["circuit_open"]
    assert all("nothing is known" in each.message for each in said[:3])
    assert "do not retry before 2026-01-01T00:00:" in said[3].message
    assert said[3].retry_after == pytest.approx(30, rel=0.11)


@both_ways
def test_the_answer_does_not_say_that_the_order_is_pending(orders: Orders, how: str) -> None:
    """Nobody knows where the order is. A model that repeats what the tools said cannot say otherwise."""
    answer = Night(orders, how, closing=plain()).ask()[-1].text
    assert "pending" not in answer
    assert "nothing is known of the outcome" in answer


@both_ways
def test_the_answer_without_a_model_does_not_say_so_either(orders: Orders, how: str) -> None:
    """What the model said beside its calls was a guess, and the guess was wrong."""
    assert "pending" not in Night(orders, how).ask()[-1].text


@both_ways
def test_the_call_that_opens_the_circuit_tells_the_model_when_to_come_back(orders: Orders, how: str) -> None:
    """The model reads it before it decides on the next call: one that obeys never makes the fourth."""
    third = results(Night(orders, how).ask())[2]
    assert third.retry_after == pytest.approx(30, rel=0.11)
    assert third.next.startswith("Do not call it before ")


@both_ways
def test_the_third_result_carries_the_note_of_the_loop_check(orders: Orders, how: str) -> None:
    """Both guards see the loop; the nudge is free, and it is the first thing that a model gets to read of it."""
    third = [each for each in Night(orders, how).ask() if isinstance(each, ToolMessage)][2]
    assert "Do not repeat this call" in third.text


@both_ways
def test_the_night_costs_less_than_a_cent(orders: Orders, how: str) -> None:
    """The incident was $847. The budget would have stopped it, too; the breaker stops it before money matters."""
    night = Night(orders, how, closing=plain())
    night.ask()
    assert 0 < night.spent() < 0.01


# --- the next customer ---


@both_ways
def test_the_next_conversation_makes_no_call_while_the_circuit_is_open(orders: Orders, how: str) -> None:
    """What one customer's run has learned, the others on the same backend need not learn again."""
    night = Night(orders, how)
    night.ask()

    messages = night.ask("customer-2")

    assert (orders.requests(), night.model.call_count) == (3, 5)
    assert (status(messages), is_valid(messages)) == ("circuit_open", True)


@both_ways
def test_after_the_open_time_one_call_is_let_through(orders: Orders, how: str) -> None:
    """One customer finds out whether the service is back; it is not, and nobody else asks for twice as long."""
    night = Night(orders, how)
    night.ask()
    night.clock.advance(LONGEST_WAIT + 1)

    night.ask("customer-2")
    night.clock.advance(LONGEST_WAIT + 1)
    night.ask("customer-3")

    assert orders.requests() == 4
    assert night.breaker.state("get_order_status").opened == 2


# --- each guard by itself ---


@both_ways
@pytest.mark.parametrize(
    ("guard", "ended"),
    [
        (lambda breaker, clock: fuse(CircuitBreakerNode(breaker)), "circuit_open"),
        (lambda breaker, clock: fuse(LoopCheckNode(clock=clock)), "loop"),
        (lambda breaker, clock: fuse(LoopCheckNode(clock=clock), CircuitBreakerNode(breaker)), "loop"),
    ],
    ids=["breaker alone", "loop check alone", "loop check first"],
)
def test_either_guard_stops_the_calls_at_three(orders: Orders, how: str, guard: Any, ended: str) -> None:
    """Defence in depth: whoever leaves one of them out, or turns them round, pays no more for it."""
    night = Night(orders, how, before_tools=guard)

    messages = night.ask()

    assert orders.requests() == 3
    assert night.model.call_count <= 4
    assert (status(messages), is_valid(messages)) == (ended, True)
