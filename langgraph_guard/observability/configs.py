"""`run_config` and its async twin: what a run that is watched is called with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_guard.observability import runs
from langgraph_guard.observability.setting_up import current


def run_config(
    graph: runs.Graph | None = None,
    *,
    thread_id: str | None = None,
    user_id: str | int | None = None,
    session_id: str | None = None,
    tags: Sequence[str] | None = None,
    **config: Any,
) -> RunnableConfig:
    """The config of a run that is watched: callbacks, who and which session, and a trace id. `user_id` is in its
    `configurable` as well, where limits per user and approvals look for it.

    While `graph`'s thread has work that is not done, at an interrupt for one, the id is that of the trace it belongs
    to: an interrupt and its resume are one trace, in whichever process. `config`: more of a run's config.
    """
    asked = runs.thread_config(thread_id, config, user_id)
    told = _Told(user_id, session_id, tags)
    return told.config(asked, runs.open_trace(graph, asked))


async def arun_config(
    graph: runs.Graph | None = None,
    *,
    thread_id: str | None = None,
    user_id: str | int | None = None,
    session_id: str | None = None,
    tags: Sequence[str] | None = None,
    **config: Any,
) -> RunnableConfig:
    """`run_config` for checkpointers that are read in an event loop."""
    asked = runs.thread_config(thread_id, config, user_id)
    told = _Told(user_id, session_id, tags)
    return told.config(asked, await runs.aopen_trace(graph, asked))


@dataclass(frozen=True, slots=True)
class _Told:
    user_id: str | int | None
    session_id: str | None
    tags: Sequence[str] | None

    def config(self, asked: RunnableConfig, trace_id: str) -> RunnableConfig:
        seen = current()
        thread_id = asked.get("configurable", {}).get("thread_id")
        if seen is not None and thread_id:
            seen.traces.note(str(thread_id), trace_id)
        handlers = seen.handlers if seen is not None else ()
        return runs.watched(asked, trace_id, handlers, user_id=self.user_id, session_id=self.session_id, tags=self.tags)
