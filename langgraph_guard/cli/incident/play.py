"""Both agents at the same time, each until it ends or the demo has seen enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langsmith import tracing_context

from langgraph_guard.cli.incident.agents import App
from langgraph_guard.cli.incident.models import ORDER
from langgraph_guard.cli.incident.watch import Watch
from langgraph_guard.nodes import GuardReport, guard_report
from langgraph_guard.observability.steps import Step, StepRecorder

ENOUGH: Final = 200
"""Tool calls after which the demo stops an agent that does not stop by itself."""

FRAME: Final = 0.08
"""Seconds between two ticks."""

QUESTION: Final = f"Where is my order {ORDER}?"


@dataclass
class Run:
    """One agent at work. Its own thread writes, the screen reads."""

    title: str
    app: App
    steps: list[Step] | None = None
    """Where to write down what it does."""

    watch: Watch = field(default_factory=Watch)
    ended: str = ""
    """How, once it has."""

    @property
    def config(self) -> RunnableConfig:
        # LangGraph's own limit is its default, said here so that the environment cannot change the outcome.
        return {"configurable": {"thread_id": "customer-1"}, "recursion_limit": 10_007}

    @property
    def report(self) -> GuardReport:
        return guard_report(self.app, self.config)

    @property
    def answer(self) -> BaseMessage:
        """The last message of the conversation."""
        messages: list[BaseMessage] = self.app.get_state(self.config).values["messages"]
        return messages[-1]

    def play(self, stop: threading.Event) -> None:
        start: Any = {"messages": [HumanMessage(QUESTION)]}
        # Whoever has LangSmith configured does not want this in it.
        with tracing_context(enabled=False), self._watching() as watching:
            for _ in self.app.stream(start, {**self.config, "callbacks": watching}):
                if stop.is_set() or self.watch.tool_calls >= ENOUGH:
                    self.ended = "stopped by the demo"
                    return
        self.ended = "ended with an answer"

    @contextmanager
    def _watching(self) -> Iterator[list[BaseCallbackHandler]]:
        if self.steps is None:
            yield [self.watch]
            return
        with closing(StepRecorder(self.steps)) as recorder:
            yield [self.watch, recorder]


def play(runs: Sequence[Run], tick: Callable[[], None]) -> None:
    """Run all to their ends, with a `tick` now and then; Ctrl-C stops them within one step."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(runs)) as pool:
        playing = [pool.submit(run.play, stop) for run in runs]
        try:
            while wait(playing, FRAME).not_done:
                tick()
        finally:
            stop.set()
    tick()
    for future in playing:
        future.result()
