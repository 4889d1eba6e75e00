"""What only the run itself shows: how long it took, how many are under way, how old the oldest is."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp
from opentelemetry.metrics import Meter, Observation

from langgraph_guard.forks import Lock
from langgraph_guard.observability.otel import names
from langgraph_guard.observability.otel.metrics import Calls, Sessions, gauge, histogram
from langgraph_guard.observability.relay import PREFIX

MOST: Final = 10_000
"""Runs under way that are kept, and calls under way: of some, nobody tells the end."""


@dataclass(frozen=True, slots=True)
class _Began:
    """A run, a model call or a tool call under way."""

    at: float
    labels: Mapping[str, str]
    session: str = ""
    below: set[UUID] = field(default_factory=set)
    """Of a run: the nodes and calls in it that have not ended."""
    task: weakref.ref[asyncio.Task[Any]] | None = None
    """Of a run in a loop: what it began in."""

    @property
    def task_is_over(self) -> bool:
        task = self.task() if self.task is not None else None
        return self.task is not None and (task is None or task.done())


class RunWatch(BaseCallbackHandler):
    """A handler that keeps what is under way and records what has ended. It reads no contents. `shown`: a label as it
    may be shown."""

    run_inline = True  # it touches no context variable, and a thread for each callback would cost more than it does

    def __init__(self, meter: Meter, shown: Callable[[str], str] = str, *, most: int = MOST) -> None:
        self._shown = shown
        self._most = most
        self._lock = Lock()
        self._runs: dict[UUID, _Began] = {}
        self._calls: dict[UUID, _Began] = {}
        self._roots: dict[UUID, UUID] = {}
        self._empty: set[UUID] = set()
        """Runs in which nothing has begun yet."""
        self._sessions = Sessions()
        self._counted = Calls()
        self._cost = histogram(meter, "langgraph_guard.session.cost")
        self._tokens = histogram(meter, "gen_ai.client.token.usage")
        self._of_models = histogram(meter, "gen_ai.client.operation.duration")
        self._of_tools = histogram(meter, "gen_ai.execute_tool.duration")
        self._of_runs = histogram(meter, "gen_ai.invoke_agent.duration")
        gauge(meter, "langgraph_guard.runs.active", self._active)
        gauge(meter, "langgraph_guard.runs.oldest_age", self._oldest)

    # Runs

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if parent_run_id is None:
            agent = self._shown(str(kwargs.get("name") or (serialized or {}).get("name") or "graph"))
            session = str((metadata or {}).get("thread_id") or "")
            with self._lock:
                self._runs[run_id] = _Began(time.monotonic(), {names.AGENT_NAME: agent}, session, task=_task())
                self._roots[run_id] = run_id
                self._empty.add(run_id)
                if len(self._runs) > self._most:
                    self._forget(next(iter(self._runs)))
        else:
            with self._lock:
                self._put_below(parent_run_id, run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        if parent_run_id is None:
            self._run_ended(run_id, {})
        else:
            with self._lock:
                self._take_away(run_id)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        if parent_run_id is None:
            self._run_ended(run_id, _failed(error))
        else:
            with self._lock:
                self._take_away(run_id)

    def _put_below(self, parent: UUID | None, run_id: UUID) -> None:
        """Remember which run it is in. Call with the lock held, as all that reads or changes what is under way."""
        root = self._roots.get(parent) if parent is not None else None
        if root is not None:
            self._empty.discard(root)
            self._roots[run_id] = root
            self._runs[root].below.add(run_id)

    def _take_away(self, run_id: UUID) -> None:
        root = self._roots.pop(run_id, None)
        if root is not None:
            self._runs[root].below.discard(run_id)

    def _run_ended(self, run_id: UUID, how: Mapping[str, str]) -> None:
        with self._lock:
            run = self._forget(run_id)
        if run is None:
            return
        self._of_runs.record(time.monotonic() - run.at, {**run.labels, **how})
        if cost := self._sessions.of(run.session):
            self._cost.record(cost / 1_000_000, {"agent": run.labels[names.AGENT_NAME]})

    def _forget(self, run_id: UUID) -> _Began | None:
        run = self._runs.pop(run_id, None)
        self._empty.discard(run_id)
        for each in (run_id, *(run.below if run is not None else ())):  # nobody tells when a call is cancelled
            self._roots.pop(each, None)
            self._calls.pop(each, None)
        return run

    def on_custom_event(
        self, name: str, data: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        session = str((metadata or {}).get("thread_id") or "")
        if name == f"{PREFIX}budget.settled" and session and data["usd"] and self._counted.is_new(data):
            self._sessions.add(session, data["usd"])

    # Calls

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        told = kwargs.get("metadata") or {}
        model, provider = told.get("ls_model_name"), told.get("ls_provider")
        labels = {names.OPERATION: "chat", names.REQUEST_MODEL: model, names.PROVIDER: provider}
        self._call_began(
            run_id, parent_run_id, {name: self._shown(str(label)) for name, label in labels.items() if label}
        )

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._call_ended(run_id, self._of_models, {})
        message = getattr(response.generations[-1][-1], "message", None)
        usage = getattr(message, "usage_metadata", None)
        if call is not None and usage:
            for side in ("input", "output"):
                self._tokens.record(usage[f"{side}_tokens"], {**call.labels, names.TOKEN_TYPE: side})

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._call_ended(run_id, self._of_models, _failed(error))

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        tool = self._shown(str(kwargs.get("name") or (serialized or {}).get("name") or ""))
        self._call_began(run_id, parent_run_id, {names.OPERATION: "execute_tool", names.TOOL_NAME: tool})

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        failed = isinstance(output, ToolMessage) and output.status == "error"
        self._call_ended(run_id, self._of_tools, {names.ERROR_TYPE: "tool_error"} if failed else {})

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._call_ended(run_id, self._of_tools, _failed(error))

    def _call_began(self, run_id: UUID, parent_run_id: UUID | None, labels: Mapping[str, str]) -> None:
        with self._lock:
            self._calls[run_id] = _Began(time.monotonic(), labels)
            self._put_below(parent_run_id, run_id)
            if len(self._calls) > self._most:
                del self._calls[next(iter(self._calls))]

    def _call_ended(self, run_id: UUID, durations: Any, how: Mapping[str, str]) -> _Began | None:
        with self._lock:
            call = self._calls.pop(run_id, None)
            self._take_away(run_id)
        if call is not None:
            durations.record(time.monotonic() - call.at, {**call.labels, **how})
        return call

    # Gauges

    def _under_way(self) -> list[_Began]:
        """Without those that were cancelled while they began: LangGraph tells nobody, and looks after what comes later.
        A task that is over is none of it by itself, since a stream may be read in many."""
        with self._lock:
            return [run for id, run in self._runs.items() if not (id in self._empty and run.task_is_over)]

    def _active(self) -> list[Observation]:
        agents = Counter(run.labels[names.AGENT_NAME] for run in self._under_way())
        return [Observation(count, {"agent": agent}) for agent, count in agents.items()]

    def _oldest(self) -> list[Observation]:
        now = time.monotonic()
        oldest: dict[str, float] = {}
        for run in self._under_way():
            agent = run.labels[names.AGENT_NAME]
            oldest[agent] = max(oldest.get(agent, 0.0), now - run.at)
        return [Observation(age, {"agent": agent}) for agent, age in oldest.items()]


def _failed(error: BaseException) -> Mapping[str, str]:
    """Why it failed; nothing for a question to a person, or a word to the graph above: those are no failures."""
    return {} if isinstance(error, GraphBubbleUp) else {names.ERROR_TYPE: type(error).__name__}


def _task() -> weakref.ref[asyncio.Task[Any]] | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return weakref.ref(task) if task is not None else None
