"""What a ToolGuard adds to a tool call, against LangGraph's bare ToolNode; and what each of its features costs alone.

A graph of one tools node answers a message with one call, and one with 32 parallel calls, sync and async. The tool
returns a short JSON text at once, so that all that is measured is around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from benchmarks.measure import Batch, Row, interleaved, show
from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend
from langgraph_guard.tools.breaker import CircuitBreaker
from langgraph_guard.tools.guard.guard import ToolGuard

GOAL: Final = 100e-6
RUNS: Final = 10

CONFIG: Final[Any] = {"configurable": {"thread_id": "one"}}
READ: Final = {"timeout": 30, "side_effects": "read"}


@tool
def look(order: int) -> str:
    """Looks up an order."""
    return '{"id": 4711, "state": "shipped", "carrier": "post", "lines": [{"sku": "b"}, {"sku": "a"}]}'


@tool
async def alook(order: int) -> str:
    """Looks up an order."""
    return '{"id": 4711, "state": "shipped", "carrier": "post", "lines": [{"sku": "b"}, {"sku": "a"}]}'


def rows(rounds: int = 40) -> Iterator[Row]:
    for mode in ("sync", "async"):
        for calls in (1, 32):
            yield added(f"guarded: a call of {calls}, {mode}: as it comes", ToolGuard(), mode, calls, rounds, goal=GOAL)
            guard = ToolGuard(contract(), breaker=CircuitBreaker(MemoryBackend()))
            what = f"guarded: a call of {calls}, {mode}: contract with a timeout, and breaker"
            yield added(what, guard, mode, calls, rounds, goal=GOAL)
    for name, guard in features().items():
        yield added(f"guarded: a call of 32, sync: {name}", guard, "sync", 32, rounds)


def features() -> Mapping[str, ToolGuard]:
    """One feature each, on top of a guard that has none."""
    limits = Budget([Limit("tool_calls", 10**9, per="session")])
    return {
        "the guard alone": ToolGuard(artifacts=None),
        "artifacts": ToolGuard(),
        "breaker": ToolGuard(breaker=CircuitBreaker(MemoryBackend()), artifacts=None),
        "budget": ToolGuard(budget=BudgetCheckNode(limits, MemoryBackend()), artifacts=None),
        "timeout": ToolGuard(contract(), artifacts=None),
        "max_calls_per_session": ToolGuard(contract(max_calls_per_session=1_000), artifacts=None),
        "side effects, once": ToolGuard(contract(side_effects="write"), artifacts=None),
        "keep and sort_key": ToolGuard(contract(keep=["id", "lines.sku"], sort_key="lines.sku"), artifacts=None),
        "untrusted: cleaned and fenced": ToolGuard(contract(trust="untrusted"), artifacts=None),
        "answered from what is kept": ToolGuard(contract(idempotent=True, cache_ttl=60), artifacts=None),
    }


def contract(**fields: Any) -> dict[str, Any]:
    return {"look": {**READ, **fields}}


def added(claim: str, guard: ToolGuard, mode: str, calls: int, rounds: int, goal: float | None = None) -> Row:
    used = look if mode == "sync" else alook.model_copy(update={"name": "look"})
    batches = runs(guard.node([used]), mode, calls), runs(ToolNode([used]), mode, calls)
    timing = interleaved(*batches, rounds=rounds, calls=(RUNS if rounds > 1 else 1) * calls)
    if goal is not None:
        return timing.adds_less_than(goal, claim)
    ours = f"{show(timing.ours)} ({'+' if timing.added > 0 else '-'}{show(abs(timing.added))})"
    return Row(claim, ours, show(timing.peer), timing.ratio)


def runs(node: Any, mode: str, calls: int) -> Batch:
    """Runs of a graph whose one node answers `calls` calls."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", node)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    app = graph.compile()
    asked = [{"name": "look", "args": {"order": n}, "id": f"call-{n}", "type": "tool_call"} for n in range(calls)]
    question, numbers = HumanMessage("where?", id="h"), count()

    def given() -> dict[str, Any]:
        """A message of its own each time, so that nothing is the same step again."""
        return {"messages": [question, AIMessage("", tool_calls=asked, id=f"a{next(numbers)}")]}

    def batch(total: int) -> None:
        for _ in range(total // calls):
            app.invoke(given(), CONFIG)

    async def abatch(total: int) -> None:
        for _ in range(total // calls):
            await app.ainvoke(given(), CONFIG)

    return batch if mode == "sync" else lambda total: asyncio.run(abatch(total))
