"""What a metered model adds to a call: reserve, cap, settle, on three limits. Measured inside a node of a graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.agent import CONFIG, GOAL, MODEL, guard, history, usage
from benchmarks.measure import Batch, Row, Timing, interleaved, times
from langgraph_guard import Price
from langgraph_guard.testing import ScriptedChatModel, says

CALLS = 20


def rows(rounds: int = 100) -> Iterator[Row]:
    for name, llm in {"ScriptedChatModel": scripted, "GenericFakeChatModel": generic}.items():
        for how, batch in {"invoke": invokes, "ainvoke": ainvokes}.items():
            timing = in_a_node(compare(batch, llm, rounds))
            yield timing.adds_less_than(GOAL, f"meter: budget.model(llm).{how} against the bare {name}")


def compare(batch: Callable[[Any], Batch], llm: Callable[[], Any], rounds: int) -> Callable[[], Timing]:
    prices = {MODEL: Price("0.15", "0.60")} if llm is generic else None  # no list has a fake provider
    ours, peer = batch(guard(prices=prices).model(llm())), batch(llm())
    return lambda: interleaved(ours, peer, rounds=rounds, calls=CALLS)


def scripted() -> Any:
    return ScriptedChatModel([says("It has shipped.", usage=(1_500, 20))], repeat_last=True, model_name=MODEL)


def generic() -> Any:
    answer = AIMessage("It has shipped.", usage_metadata=usage(1_500, 20))
    return GenericFakeChatModel(messages=repeat(answer)).bind(model=MODEL)


def invokes(model: Any) -> Batch:
    messages = history()
    return times(lambda: model.invoke(messages))


def ainvokes(model: Any) -> Batch:
    messages = history()

    async def calls(number: int) -> None:
        for _ in range(number):
            await model.ainvoke(messages)

    return lambda number: asyncio.run(calls(number))


def in_a_node(measure: Callable[[], Timing]) -> Timing:
    """Run `measure` as a node, so that models find the run that they belong to."""
    measured: list[Timing] = []

    def node(state: MessagesState) -> dict[str, Any]:
        measured.append(measure())
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("model", node)
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    graph.compile().invoke({"messages": history()}, CONFIG)
    return measured[0]
