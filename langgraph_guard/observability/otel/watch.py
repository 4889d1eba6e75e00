"""What only the run itself shows: how long it took, how many are under way, how old the oldest is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from opentelemetry.metrics import Meter, Observation

from langgraph_guard.observability.otel import names
from langgraph_guard.observability.otel.metrics import Sessions, gauge, histogram
from langgraph_guard.observability.relay import PREFIX

MOST: Final = 10_000
"""Calls under way that are kept."""


@dataclass(frozen=True, slots=True)
class _Began:
    """A run, a model call or a tool call under way."""

    at: float
    labels: Mapping[str, str]
    session: str = ""


class RunWatch(BaseCallbackHandler):
    """A handler that keeps what is under way and records what has ended. It reads no contents."""

    run_inline = True  # it touches no context variable, and a thread for each callback would cost more than it does

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._runs: dict[UUID, _Began] = {}
        self._calls: dict[UUID, _Began] = {}
        self._sessions = Sessions()
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
            agent = str(kwargs.get("name") or (serialized or {}).get("name") or "graph")
            session = str((metadata or {}).get("thread_id") or "")
            with self._lock:
                self._runs[run_id] = _Began(time.monotonic(), {names.AGENT_NAME: agent}, session)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        if parent_run_id is None:
            self._run_ended(run_id, {})

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        if parent_run_id is None:
            self._run_ended(run_id, {names.ERROR_TYPE: type(error).__name__})

    def _run_ended(self, run_id: UUID, how: Mapping[str, str]) -> None:
        with self._lock:
            run = self._runs.pop(run_id, None)
        if run is None:
            return
        self._of_runs.record(time.monotonic() - run.at, {**run.labels, **how})
        if cost := self._sessions.of(run.session):
            self._cost.record(cost / 1_000_000, {"agent": run.labels[names.AGENT_NAME]})

    def on_custom_event(
        self, name: str, data: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        session = str((metadata or {}).get("thread_id") or "")
        if name == f"{PREFIX}budget.settled" and session and data["usd"]:
            self._sessions.add(session, data["usd"])

    # Calls

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        told = kwargs.get("metadata") or {}
        model, provider = told.get("ls_model_name"), told.get("ls_provider")
        labels = {names.OPERATION: "chat", names.REQUEST_MODEL: model, names.PROVIDER: provider}
        self._call_began(run_id, {name: str(label) for name, label in labels.items() if label})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._call_ended(run_id, self._of_models, {})
        message = getattr(response.generations[-1][-1], "message", None)
        usage = getattr(message, "usage_metadata", None)
        if call is not None and usage:
            for side in ("input", "output"):
                self._tokens.record(usage[f"{side}_tokens"], {**call.labels, names.TOKEN_TYPE: side})

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._call_ended(run_id, self._of_models, {names.ERROR_TYPE: type(error).__name__})

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        tool = str(kwargs.get("name") or (serialized or {}).get("name") or "")
        self._call_began(run_id, {names.OPERATION: "execute_tool", names.TOOL_NAME: tool})

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        failed = isinstance(output, ToolMessage) and output.status == "error"
        self._call_ended(run_id, self._of_tools, {names.ERROR_TYPE: "tool_error"} if failed else {})

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._call_ended(run_id, self._of_tools, {names.ERROR_TYPE: type(error).__name__})

    def _call_began(self, run_id: UUID, labels: Mapping[str, str]) -> None:
        with self._lock:
            self._calls[run_id] = _Began(time.monotonic(), labels)
            if len(self._calls) > MOST:  # nobody tells when a call is cancelled
                del self._calls[next(iter(self._calls))]

    def _call_ended(self, run_id: UUID, durations: Any, how: Mapping[str, str]) -> _Began | None:
        with self._lock:
            call = self._calls.pop(run_id, None)
        if call is not None:
            durations.record(time.monotonic() - call.at, {**call.labels, **how})
        return call

    # Gauges

    def _active(self) -> list[Observation]:
        with self._lock:
            agents = Counter(run.labels[names.AGENT_NAME] for run in self._runs.values())
        return [Observation(count, {"agent": agent}) for agent, count in agents.items()]

    def _oldest(self) -> list[Observation]:
        now = time.monotonic()
        oldest: dict[str, float] = {}
        with self._lock:
            for run in self._runs.values():
                agent = run.labels[names.AGENT_NAME]
                oldest[agent] = max(oldest.get(agent, 0.0), now - run.at)
        return [Observation(age, {"agent": agent}) for agent, age in oldest.items()]
