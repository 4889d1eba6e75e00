"""The replay itself: the copy runs on, and what it does is compared with what the thread did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from langgraph_guard.cli.replay.forking import Fork, messages_in
from langgraph_guard.cli.replay.trail import Stage, trail
from langgraph_guard.observability.steps import Step, StepRecorder
from langgraph_guard.tools.guard.replayed import REPLAY, Recordings


@dataclass(frozen=True)
class Outcome:
    """What came of it. `error`: what ended the replay before its end."""

    fork: Fork
    then: Sequence[Stage]
    now: Sequence[Stage]
    steps: Sequence[Step]
    waits: bool
    error: Exception | None


def replay(
    graph: Pregel[Any, Any, Any, Any], fork: Fork, configurable: Mapping[str, Any], *, live: bool = False
) -> Outcome:
    """Run the copy to its end. Without `live`, tools behind a guard answer from the thread's history."""
    recorded = {} if live else {REPLAY: Recordings(map(messages_in, reversed(fork.start.history)))}
    where = fork.config.get("configurable") or {}
    config: RunnableConfig = {"configurable": {**configurable, **where, **recorded}}
    steps: list[Step] = []
    error: Exception | None = None
    with closing(StepRecorder(steps)) as recorder:
        try:
            _run(graph, {**config, "callbacks": [recorder]})
        except Exception as raised:
            error = raised
    history = list(graph.get_state_history({"configurable": {"thread_id": fork.thread}}))
    last = graph.get_state({"configurable": {"thread_id": fork.thread}})
    then = trail(fork.start.history, fork.start.at)
    now = trail(history, graph.get_state(fork.config))
    return Outcome(fork, then, now, steps, bool(last.interrupts), error)


def _run(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> None:
    if any(getattr(node.bound, "func", graph) is None for node in graph.nodes.values()):
        asyncio.run(_drained(graph, config))  # A node that is a coroutine runs on a loop alone.
        return
    for _ in graph.stream(None, config, durability="sync"):
        pass


async def _drained(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> None:
    async for _ in graph.astream(None, config, durability="sync"):
        pass
