"""The replay itself: the copy runs on, and what it does is compared with what the thread did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt

from langgraph_guard.cli.replay.apart import apart
from langgraph_guard.cli.replay.forking import Fork, messages_of, saver_of, stored
from langgraph_guard.cli.replay.held import HeldBack
from langgraph_guard.cli.replay.loading import needs_loop
from langgraph_guard.cli.replay.people import Answers, RecordedDesk
from langgraph_guard.cli.replay.trail import Stage, trail
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.tools.guard.replayed import REPLAY, Recordings

App = Pregel[Any, Any, Any, Any]

WHOSE: Final = ("user_id", "user", "tenant_id", "tenant")
"""Where `configurable` has ids of whom a run is for."""

MOST_ANSWERS: Final = 1_000
"""Answers that a replay gives: a run that asks for more is a loop."""


@dataclass(frozen=True)
class Outcome:
    """What came of it. `error`: what ended the replay before its end."""

    fork: Fork
    then: Sequence[Stage]
    now: Sequence[Stage]
    steps: Sequence[Step]
    waits: bool
    error: Exception | None


@dataclass(frozen=True)
class Past:
    """What the thread knows: what its tools answered, and what people said."""

    messages: Sequence[Sequence[BaseMessage]]
    answers: Answers

    @classmethod
    def of(cls, graph: App, fork: Fork) -> Past:
        found = stored(saver_of(graph), fork.start.thread)
        return cls(messages_of(fork.start.history, found), Answers(found))


def replay(
    graph: App, fork: Fork, configurable: Mapping[str, Any], *, live: bool = False, redactor: Redactor
) -> Outcome:
    """Run the copy to its end. Without `live`, tools behind a guard answer from the thread's history, and so do people;
    no other tool runs. `redactor`: for the steps; the stages are as they were."""
    past = None if live else Past.of(graph, fork)
    steps: list[Step] = []
    error: Exception | None = None
    with closing(StepRecorder(steps, redactor=redactor)) as recorder:
        try:
            _go(graph, fork, configurable, past, recorder)
        except Exception as raised:
            error = raised
    history = list(graph.get_state_history({"configurable": {"thread_id": fork.thread}}))
    last = graph.get_state({"configurable": {"thread_id": fork.thread}})
    then = trail(fork.start.history, fork.start.at)
    now = trail(history, graph.get_state(fork.config))
    return Outcome(fork, then, now, steps, bool(last.interrupts), error)


def _go(graph: App, fork: Fork, configurable: Mapping[str, Any], past: Past | None, recorder: StepRecorder) -> None:
    where = fork.config.get("configurable") or {}
    here: RunnableConfig = {"configurable": {"thread_id": fork.thread}}
    given: dict[str, Any] = {} if past is None else {REPLAY: Recordings(past.messages)}
    held = HeldBack()

    def config(at: Mapping[str, Any]) -> RunnableConfig:
        listening: list[BaseCallbackHandler] = [recorder] if past is None else [recorder, held]
        return {"configurable": {**_whose(fork), **configurable, **at, **given}, "callbacks": listening}

    with apart(None if past is None else _desk(fork, past)):
        _run(graph, None, config(where), held)
        for _ in range(MOST_ANSWERS):
            said = {} if past is None else past.answers.to(_asked(graph, here))
            if not said:
                return
            _run(graph, Command(resume=said), config(here["configurable"]), held)


def _whose(fork: Fork) -> dict[str, str]:
    """Whose run it was, as LangGraph keeps it with a checkpoint: limits per user need to know."""
    known: Mapping[str, Any] = fork.start.at.metadata or {}
    return {name: id for name in WHOSE if isinstance(id := known.get(name), str)}


def _desk(fork: Fork, past: Past) -> Callable[..., RecordedDesk]:
    messages = [message for each in past.messages for message in each]
    return lambda production, clock: RecordedDesk(fork.start.thread, messages, production, clock)


def _asked(graph: App, config: RunnableConfig) -> Sequence[Interrupt]:
    return graph.get_state(config).interrupts


def _run(graph: App, given: Any, config: RunnableConfig, held: HeldBack) -> None:
    if needs_loop(graph):
        _on_a_loop(graph.astream(given, config, durability="sync"), held)
        return
    for _ in _checked(graph.stream(given, config, durability="sync"), held):
        pass


def _checked(parts: Iterator[Any], held: HeldBack) -> Iterator[Any]:
    """What a node made of a tool that was held back is no answer to go on from."""
    for part in parts:
        if held.missed is not None:
            raise held.missed
        yield part


def _on_a_loop(parts: AsyncIterator[Any], held: HeldBack) -> None:
    """In a thread, because a loop may be running in this one: a notebook's."""
    raised: list[BaseException] = []

    async def drained() -> None:
        async for _ in parts:
            if held.missed is not None:
                raise held.missed

    def run() -> None:
        try:
            asyncio.run(drained())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="langgraph-guard-replay")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
