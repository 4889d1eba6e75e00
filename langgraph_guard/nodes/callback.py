"""Metering from outside: models and tools that nobody wrapped are seen through LangChain's callbacks.

A callback cannot lower a call's output limit, so its bound is weaker: a call may pass the limit by what it answers
beyond the estimate, once; the next one is refused. A model that `budget.model` wrapped is left to it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import ensure_config
from langchain_core.tracers.context import register_configure_hook

from langgraph_guard.flow import run
from langgraph_guard.nodes.attempt import answered_by, read_usage
from langgraph_guard.nodes.metering import Held, LedgerFlow, Meter, ModelRef, metering
from langgraph_guard.policies.calls import DEFAULT_MAX_OUTPUT, MIN_OUTPUT, Call
from langgraph_guard.policies.outcomes import outcome_of

OUTPUT_NAMES: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample")


class BudgetCallback(BaseCallbackHandler):
    """Put it into `config={"callbacks": […]}` of a run, and every model and tool call in it counts, subgraphs included.

    Raises `BudgetExceeded` before a call for which there is no room.
    """

    raise_error = True

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._open: dict[UUID, Held | None] = {}
        self._within: dict[UUID, set[UUID]] = {}

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        if self._meter in metering.get() or not self._first(run_id):
            return
        held = Held(uuid.uuid4().hex, self._model(kwargs))
        call = self._call([message for batch in messages for message in batch], kwargs.get("invocation_params") or {})
        with self._forgetting(run_id, held):
            self._run(self._meter.admit(held, call, ensure_config()))
            self._open[run_id] = held
            self._meter.scope().opened[run_id] = held
            if (parent := kwargs.get("parent_run_id")) is not None:
                self._within.setdefault(parent, set()).add(run_id)

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        config = ensure_config()
        around = self._meter.run_of(config)
        counted = around is not None and kwargs.get("tool_call_id") in around.asked_for
        if not counted and self._first(run_id):
            with self._forgetting(run_id):
                self._run(self._meter.tool_calls(1, config))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._take(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._take(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.close_within(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.close_within(run_id)

    def close_within(self, chain: UUID) -> None:
        """Close the calls that a chain left open: LangChain does not tell when a call is cancelled."""
        for run_id in self._within.pop(chain, ()):
            self._run(self.left_open(run_id))

    def left_open(self, run_id: UUID) -> LedgerFlow:
        """Close a call whose end nobody told."""
        held = self._take(run_id)
        if held is not None:
            yield from self._meter.settle(held, None, "uncertain")

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        held = self._take(run_id)
        if held is not None:
            self._run(self._settle(held, response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        held = self._take(run_id)
        if held is None:
            return
        outcome = outcome_of(error)
        if outcome == "uncertain":
            self._run(self._meter.settle(held, None, outcome))
        else:
            self._run(self._meter.release(held, outcome))

    def _settle(self, held: Held, response: LLMResult) -> LedgerFlow:
        message = _message(response)
        reported: Any = message.usage_metadata if message else None
        if reported and reported.get("total_cost") == 0:
            yield from self._meter.release(held, "cached")
            return
        held.answered_by = answered_by(message.response_metadata if message else {}, held.model)
        usage = read_usage(reported)
        yield from self._meter.settle(held, usage, "unmeasured" if usage is None else "answered")

    def _model(self, kwargs: dict[str, Any]) -> ModelRef:
        told = kwargs.get("metadata") or {}
        said = kwargs.get("invocation_params") or {}
        name = told.get("ls_model_name") or said.get("model_name") or said.get("model") or ""
        return ModelRef(name, told.get("ls_provider"))

    def _call(self, messages: list[BaseMessage], said: dict[str, Any]) -> Call:
        most = next((said[name] for name in OUTPUT_NAMES if said.get(name)), DEFAULT_MAX_OUTPUT)
        read = self._meter.count(messages, said.get("tools") or ())
        return Call(read, most, min(most, MIN_OUTPUT))

    def _first(self, run_id: UUID) -> bool:
        """Whether this call is seen for the first time: a handler may hang in one call's managers twice."""
        with self._lock:
            return run_id not in self._open and self._open.setdefault(run_id) is None

    @contextmanager
    def _forgetting(self, run_id: UUID, held: Held | None = None) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._take(run_id)
            if held is not None:
                self._run(self._meter.abandon(held))
            raise

    def _take(self, run_id: UUID) -> Held | None:
        self._meter.scope().opened.pop(run_id, None)
        with self._lock:
            return self._open.pop(run_id, None)

    def _run(self, flow: LedgerFlow) -> Any:
        return run(flow, self._meter.backend.ledger.execute)


class TrackedCalls(BaseCallbackHandler):
    """The callbacks of the tracked nodes around a call, as the one handler that a context variable can hold."""

    raise_error = True

    def __init__(self, callbacks: tuple[BudgetCallback, ...]) -> None:
        self.callbacks = callbacks

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_chat_model_start(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_llm_end(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_llm_error(*args, **kwargs)

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_tool_start(*args, **kwargs)

    def on_tool_end(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_tool_end(*args, **kwargs)

    def on_tool_error(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_tool_error(*args, **kwargs)


_tracked: ContextVar[TrackedCalls | None] = ContextVar("langgraph_guard_tracked", default=None)
register_configure_hook(_tracked, inheritable=True)


@contextmanager
def tracking(callback: BudgetCallback) -> Iterator[None]:
    """Have `callback` see every model and tool call that is made in this context."""
    around = _tracked.get()
    outer = around.callbacks if around else ()
    token = _tracked.set(around if callback in outer else TrackedCalls((*outer, callback)))
    try:
        yield
    finally:
        _tracked.reset(token)


def _message(response: LLMResult) -> AIMessage | None:
    for batch in response.generations:
        for generation in batch:
            message = getattr(generation, "message", None)
            if isinstance(message, AIMessage):
                return message
    return None
