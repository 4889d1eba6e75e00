"""Metering from outside: models and tools that nobody wrapped are seen through LangChain's callbacks.

A callback cannot lower a call's output limit, so its bound is weaker: a call may pass the limit by what it answers
beyond the estimate, once; the next one is refused. A model that `budget.model` wrapped is left to it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphInterrupt

from langgraph_guard.flow import run
from langgraph_guard.nodes.attempt import answered_by, read_usage
from langgraph_guard.nodes.held import Held, call_of, charging, metering
from langgraph_guard.nodes.metering import LedgerFlow, Meter
from langgraph_guard.nodes.pricing import ModelRef
from langgraph_guard.nodes.tools import NO_RESULT, ToolBatch, ToolCall, ToolCalls
from langgraph_guard.policies.calls import DEFAULT_MAX_OUTPUT, MIN_OUTPUT, Call
from langgraph_guard.policies.outcomes import Outcome, outcome_of
from langgraph_guard.state.views import peek

OUTPUT_NAMES: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample")


class Made(NamedTuple):
    """A tool call that is being made, in the batch that it was reserved with."""

    batch: ToolBatch
    id: Hashable


class UnderWay(NamedTuple):
    """What a call that has not ended holds, and LangChain's id of the chain around it."""

    call: Held | Made
    parent: UUID | None


class BudgetCallback(BaseCallbackHandler):
    """Put it into `config={"callbacks": […]}` of a run, and every model and tool call in it counts, subgraphs included.

    Raises `BudgetExceeded` before a call for which there is no room.
    """

    raise_error = True

    def __init__(self, meter: Meter, tools: ToolCalls) -> None:
        self._meter = meter
        self._tools = tools
        self._lock = threading.Lock()
        self._open: dict[UUID, UnderWay | None] = {}

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        if self._meter in metering.get() or not self._first(run_id):
            return
        held = Held(uuid.uuid4().hex, self._model(kwargs), call=call_of(kwargs.get("metadata"), run_id.hex))
        said = kwargs.get("invocation_params") or {}
        call = self._call(held.model, [message for batch in messages for message in batch], said)
        with self._forgetting(run_id, held):
            self._run(self._meter.admit(held, call, ensure_config()))
            self._note(run_id, UnderWay(held, parent_run_id))

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tool_call_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if (self._meter, tool_call_id) in charging.get():
            return
        config = ensure_config()
        around = self._meter.run_of(config)
        if around is not None:
            self._tools.recall(around, peek(config, "guard_asked").get("guard_asked"))
        counted = around is not None and tool_call_id in around.asked_for
        batch = around.unsettled.get(tool_call_id) if around is not None and counted else None
        if (counted and batch is None) or not self._first(run_id):
            return
        with self._forgetting(run_id):
            call = Made(batch, tool_call_id) if batch else self._made(serialized, run_id, config)
            self._note(run_id, UnderWay(call, parent_run_id))

    def _made(self, serialized: Any, run_id: UUID, config: RunnableConfig) -> Made:
        """A tool call that nobody asked for by its id: it is a batch of its own."""
        call = ToolCall(run_id, (serialized or {}).get("name") or "")
        return Made(self._run(self._tools.make(call, config)), run_id)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._end_of_tool(run_id, output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if not isinstance(error, GraphInterrupt):
            self._end_of_tool(run_id, NO_RESULT)
        elif isinstance(call := self._take(run_id), Made):
            self._run(self._tools.interrupted(call.batch))

    def _end_of_tool(self, run_id: UUID, result: Any) -> None:
        call = self._take(run_id)
        if isinstance(call, Made):
            self._run(self._tools.end(call.batch, call.id, result))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.close_within(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.close_within(run_id)

    def close_within(self, chain: UUID) -> None:
        """Close the calls that a chain left open: LangChain does not tell when a call is cancelled."""
        with self._lock:
            left = [run_id for run_id, call in self._open.items() if call is not None and call.parent == chain]
        for run_id in left:
            self._run(self.left_open(run_id))

    def left_open(self, run_id: UUID, *, runs_again: bool = False) -> LedgerFlow:
        """Close a call whose end nobody told; what was asked for stays open if it `runs_again`."""
        match self._take(run_id):
            case Held() as held:
                yield from self._meter.settle(held, None, "uncertain")
            case Made(batch, _) if runs_again and batch.asked:
                return
            case Made(batch, id):
                yield from self._tools.end(batch, id, NO_RESULT)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        under_way = self._open.get(run_id)
        if under_way is not None and isinstance(under_way.call, Held):
            self._run(self._meter.keep(under_way.call))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        held = self._take(run_id)
        if isinstance(held, Held):
            self._run(self._settle(held, response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        held = self._take(run_id)
        if not isinstance(held, Held):
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
        outcome: Outcome = "unmeasured" if usage is None else "answered"
        ran = self._meter.pricing.ran(message) if message else ()
        yield from self._meter.settle(held, usage, outcome, ran)

    def _model(self, kwargs: dict[str, Any]) -> ModelRef:
        told = kwargs.get("metadata") or {}
        said = kwargs.get("invocation_params") or {}
        name = told.get("ls_model_name") or said.get("model_name") or said.get("model") or ""
        return ModelRef(name, told.get("ls_provider"))

    def _call(self, model: ModelRef, messages: list[BaseMessage], said: dict[str, Any]) -> Call:
        most = next((said[name] for name in OUTPUT_NAMES if said.get(name)), DEFAULT_MAX_OUTPUT)
        read = self._meter.size.to_hold(messages, said.get("tools") or (), model=model.name or None)
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

    def _note(self, run_id: UUID, call: UnderWay) -> None:
        """Keep a call where its end will be looked for, told or not."""
        self._open[run_id] = call
        self._meter.scope().opened.add(run_id)

    def _take(self, run_id: UUID) -> Held | Made | None:
        self._meter.scope().opened.discard(run_id)
        with self._lock:
            found = self._open.pop(run_id, None)
        return found.call if found else None

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

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_llm_new_token(*args, **kwargs)

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
