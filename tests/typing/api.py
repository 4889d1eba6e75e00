"""What users write, for type checkers alone: mypy and pyright, both strict, read this file; nothing runs it."""

# ruff: noqa: D103 - functions here are what users write, not tests

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, assert_type

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph  # pyright: ignore[reportMissingTypeStubs]  # no py.typed
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    BudgetExceeded,
    BudgetState,
    BudgetUnavailable,
    ConfigError,
    FinishNode,
    GuardError,
    GuardReport,
    GuardState,
    IdentityMissing,
    Limit,
    MemoryBackend,
    Price,
    PriceUnknown,
    SummarizationNode,
    TokenCounter,
    ToolPrice,
    aguard_report,
    count_tokens,
    fuse,
    guard_report,
    price_book,
)
from langgraph_guard.nodes import BudgetCallback, MeteredModel
from langgraph_guard.state import first_wins, highest, last, last_by_id, monotone_labels, sum_by_key, union_by_key
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, calls, fails, says


def any_chat_model() -> BaseChatModel:
    return ScriptedChatModel(["hi", says("hi"), calls("search", {"q": "kites"}), fails(TimeoutError), Reply("hi")])


@tool
def search(q: str) -> str:
    """Search."""
    return q


class Weather(BaseModel):
    city: str


# Limits are data.

limits = [
    Limit("usd", 0.50, per="session"),
    Limit("usd", Decimal(5), per="user", window="day"),
    Limit("tokens", 8_000, per="call"),
    Limit("model_calls", 60, per="global", window="minute", wait=20),
    Limit("tool_calls", 5, per="turn"),
    Limit("steps", 50, per="turn"),
    Limit("seconds", 120, per="turn"),
    Limit("usd", 100, per="team"),
]
plain = Budget(limits[:1])
full = Budget(limits, warn_at=0.9, landing_reserve=0.01, scopes=["team"], lease=60, orphans="release")
assert_type(limits[0].amount, int)
assert_type(full.limits, tuple[Limit, ...])


# A budget on a ledger.


def who(config: RunnableConfig) -> Mapping[str, str]:
    return {"user": "42", "team": "blue"}


clock = FakeClock()
backend = MemoryBackend(tenant="acme", clock=clock)
budget = BudgetCheckNode(
    full,
    backend,
    name="money",
    identity=who,
    prices={"my-model": Price("0.15", 0.60, cache_read=Decimal("0.075"), tiers={200_000: Price(1, 2)})},
    tool_prices={
        "web_search": ToolPrice("0.01"),
        "gpu": ToolPrice(0, per_unit="0.001", most_units=60, units=lambda result: len(result.content)),
    },
    count=TokenCounter("gpt-4o", margin=1.1),
    messages_key="messages",
)
simple = BudgetCheckNode(plain, MemoryBackend())


# A counter and prices of one's own.


def count(messages: Sequence[BaseMessage], tools: Sequence[Any] = (), *, model: str | None = None) -> int:
    return count_tokens(messages, model=model, tools=tools)


BudgetCheckNode(plain, MemoryBackend(), count=count, prices=price_book({"my-model": Price(1, 2)}, unknown="assume"))
assert_type(TokenCounter().estimate([("user", "hi")], model="gpt-4o").total, int)
assert_type(TokenCounter().reserve([("user", "hi")]), int)


# A metered model is used like the model.

llm = any_chat_model()
metered = budget.model(llm)
assert_type(metered, MeteredModel)
assert_type(metered.invoke("hi"), AIMessage)
assert_type(metered.bind_tools([search]), Runnable[LanguageModelInput, AIMessage])
metered.with_structured_output(Weather).invoke("hi")
assert_type(budget.model(metered), MeteredModel)
assert_type(budget.model(llm, landing=True, min_output=64), MeteredModel)

with_tools = budget.model(llm.bind_tools([search]))
assert_type(with_tools, Runnable[LanguageModelInput, AIMessage])
assert_type(with_tools.invoke([("user", "hi")]), AIMessage)

chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | llm | StrOutputParser()
assert_type(budget.model(chain).invoke({"q": "hi"}), str)


async def ask() -> None:
    assert_type(await metered.ainvoke("hi"), AIMessage)
    async for chunk in metered.astream("hi"):
        assert_type(chunk, AIMessage)


# A tracked node keeps its signature.


class State(MessagesState, BudgetState):
    goal: Annotated[str, first_wins]
    taint: Annotated[list[str], monotone_labels]
    secrecy: Annotated[str, highest(("public", "secret"))]
    tool_usd: Annotated[dict[str, float], sum_by_key]
    notes: Annotated[list[str], last(100)]
    log: Annotated[list[dict[str, str]], last_by_id(100)]
    found: Annotated[dict[str, dict[str, str]], union_by_key]


class Update(TypedDict, total=False):
    messages: list[BaseMessage]


def call_model(state: State) -> Update:
    return {"messages": [metered.invoke(state["messages"])]}


async def acall_model(state: State, config: RunnableConfig) -> Update:
    return {"messages": [await metered.ainvoke(state["messages"], config)]}


def takes_a_node(node: Callable[[State], Update]) -> None: ...
def takes_an_async_node(node: Callable[[State, RunnableConfig], Awaitable[Update]]) -> None: ...


takes_a_node(budget.track(call_model))
takes_an_async_node(budget.track(acall_model))


@budget.track
def summarize(state: State) -> Update:
    return {"messages": []}


takes_a_node(summarize)
budget.track(ToolNode([search])).invoke({"messages": []})


# The graph.

finish = FinishNode(budget.model(llm, landing=True), instruction="Stop.", name="finish")

summary = SummarizationNode(budget.model(llm), max_tokens=128_000, trigger=0.8, target=0.5, keep=4, mode="replace")
SummarizationNode(max_tokens=llm, every_n_steps=20, pin=lambda message: message.id == "m1", tools=[search])
assert_type(summary.paths(ok="model", halt="finish"), dict[Hashable, str])
assert_type(summary.route({}), str)
assert_type(summary.view({"messages": []}), list[BaseMessage])
if (remembered := summary.summary({"messages": []})) is not None:
    assert_type(remembered.of("facts")[0].text, str)
before_model = fuse(summary, budget)

gate = fuse(budget, simple, name="gate")
assert_type(gate.paths(ok="model", exceeded="finish"), dict[Hashable, str])
assert_type(budget.paths(tools="tools", end=END, exceeded="finish"), dict[Hashable, str])
assert_type(budget.after_model({"messages": []}), Literal["tools", "end", "exceeded"])
assert_type(budget.route({}), str)

graph = StateGraph(State)
graph.add_node("gate", gate)
graph.add_node("summary", summary)
graph.add_node("budget", budget)
graph.add_node("model", budget.track(call_model))
graph.add_node("amodel", budget.track(acall_model))
graph.add_node("tools", budget.track(ToolNode([search])))
graph.add_node("finish", finish)
graph.add_edge(START, "gate")
graph.add_conditional_edges("gate", gate.route, gate.paths(ok="model", warn="model", exceeded="finish"))
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
app = graph.compile(checkpointer=InMemorySaver())


class OwnState(TypedDict):
    """A state without the pack's keys: a guard brings its own."""

    chat: list[BaseMessage]


own = StateGraph(OwnState)
own.add_node("budget", BudgetCheckNode(plain, MemoryBackend(), messages_key="chat"))
own.add_node("finish", FinishNode(messages_key="chat"))
own.add_conditional_edges("budget", budget.route, budget.paths(ok=END, exceeded="finish"))


# What happened.

thread: RunnableConfig = {"configurable": {"thread_id": "1"}, "callbacks": [budget.callback()]}
assert_type(budget.callback(), BudgetCallback)

report = guard_report(app, thread)
assert_type(report, GuardReport)
assert_type(report.status, str)
assert_type(report.session["usd"], int)
for decision in report.decisions:
    assert_type(decision["reason"], Any)


async def look() -> None:
    assert_type(await aguard_report(app, thread), GuardReport)


def what_it_used(state: GuardState) -> int:
    return state.get("guard_usage", {}).get("session", {}).get("usd", 0)


# Errors are data.

try:
    metered.invoke("hi")
except BudgetExceeded as error:
    assert_type(error.unit, str)
    assert_type(error.scope, str)
    assert_type(error.limit - error.spent - error.requested, int)
    assert_type(error.window, str | None)
    assert_type(error.retry_after, float | None)
except PriceUnknown as error:
    assert_type(error.model, str)
except (IdentityMissing, BudgetUnavailable):
    pass
except ConfigError as error:
    assert_type(error.field, str)
except GuardError:
    pass


# A scripted model is a chat model, with a record of what it was asked.

scripted = ScriptedChatModel([says("yes", usage=(100, 10))], clock=clock, repeat_last=True, model_name="gpt-4o")
scripted.invoke("hi")
assert_type(scripted.calls[0].max_tokens, int | None)
assert_type(scripted.call_count, int)
clock.advance(60)
