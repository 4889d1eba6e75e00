"""`StepRecorder`: put it into `config={"callbacks": […]}`, and each unit of a run becomes a record when it ends."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, ParamSpec
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent, GraphResumeEvent
from langgraph.constants import START

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.charges import EVENTS
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.relay import PREFIX, charged, shared
from langgraph_guard.observability.steps import guards
from langgraph_guard.observability.steps.drafts import Clerk, Draft
from langgraph_guard.observability.steps.models import ModelCalls
from langgraph_guard.observability.steps.prompts import Prompts
from langgraph_guard.observability.steps.records import Records
from langgraph_guard.observability.steps.sinks import Lines, sink_of
from langgraph_guard.observability.steps.step import Kind, Step
from langgraph_guard.observability.steps.store import Store
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.tools import ToolCalls
from langgraph_guard.observability.steps.writer import Writer
from langgraph_guard.prices import PriceBook, price_book

_log = logging.getLogger(__name__)

P = ParamSpec("P")

NODE: Final = "graph:step:"
"""The tag that LangGraph gives the run of a node."""

CLOSING: Final = 2.0
"""Seconds that the end of a process waits for its records."""


def _quietly(method: Callable[P, None]) -> Callable[P, None]:
    """Nothing that watches a run may stop it."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            _told(type(error).__name__)

    return called


@functools.cache
def _told(kind: str) -> None:
    _log.warning("a step was not recorded: %s", kind)


class StepRecorder(GraphCallbackHandler):
    """Records what runs do. Nothing of it raises into a run, and no sink can slow one.

    `sink`: a file (`steps.db`, `steps.jsonl`), a function of a `Step`, a logger, or a list. All but the list are
    written by a thread of their own; of more than `max_queue` records that wait for it, and of those that it cannot
    write, `dropped` has the number. `redactor`: what is taken out of every text (`Redactor()`: credentials). `price`:
    what models cost that no budget meters; costs of metered ones are the ledger's own. `max_chars`: of arguments and
    results, 0 for none of them. `prompts=True` keeps exact prompts, tool definitions and answers, in files alone.

    Guards are heard from when it is made until it is closed.
    """

    run_inline = True  # In async graphs too: it writes no context variable, and a hop to a thread costs more than it.
    raise_error = False

    def __init__(
        self,
        sink: Any,
        *,
        prompts: bool = False,
        redactor: Redactor | None = None,
        price: PriceBook | None = None,
        max_queue: int = 10_000,
        max_chars: int = 500,
    ) -> None:
        _check(max_queue, max_chars)
        redactor = Redactor() if redactor is None else redactor
        opened = None if isinstance(sink, list) else sink_of(sink)
        if prompts and not isinstance(opened, Store | Lines):
            raise ConfigError("prompts", "are kept in files alone: give a *.db or *.jsonl")
        self._shown = Shown(redactor, max_chars)
        clerk = Clerk(self._shown, _read(price_book(None) if price is None else price))
        self._writer = None if opened is None else Writer(opened, max_queue, clerk.finished)
        # Nothing of it refers to the recorder: one that nobody holds any more ends at once.
        self._put = partial(_into_a_list, sink, clerk) if self._writer is None else partial(_into_a_queue, self._writer)
        self._records = Records(self._shown, clerk, self._put)
        self._tools = ToolCalls(self._records, self._shown)
        self._models = ModelCalls(self._records, self._shown, Prompts(redactor) if prompts else None)
        self._leave = shared.start()
        charged(self)
        weakref.finalize(self, _end, self._leave, self._writer)

    # For people

    @property
    def dropped(self) -> int:
        """Records that were lost: the sink failed, or did not keep up."""
        return self._writer.dropped if self._writer else 0

    def add(self, step: Step) -> None:
        """Take a record that is not a run's: what a user said of an answer."""
        self._put(replace(step, thread_id=step.thread_id and self._shown.name(step.thread_id)))

    def flush(self, timeout: float = CLOSING) -> bool:
        """Whether all is written within `timeout` seconds."""
        return self._writer.flush(timeout) if self._writer else True

    def leave(self) -> None:
        """Listen to guards no more. While others do, runs under way are recorded to their end all the same."""
        self._leave()

    def close(self, timeout: float = CLOSING) -> bool:
        """Flush, and take nothing more."""
        self.leave()
        return self._writer.close(timeout) if self._writer else True

    # Chains: runs, nodes, and what is between

    @_quietly
    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        around = self._records.units.get(parent_run_id)
        name = kwargs.get("name") or (serialized or {}).get("name") or "chain"
        kind: Kind = "run" if around is None else "node" if name != START and _is_node(tags) else "chain"
        self._records.begin(kind, name, run_id, around, metadata)

    @_quietly
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._records.end(unit, unit.status or "ok")

    @_quietly
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._records.end(unit, *self._records.failure(error))

    # Tools

    @_quietly
    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: Any = None,
        tool_call_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        name = (serialized or {}).get("name") or kwargs.get("name") or "tool"
        around = self._records.units.get(parent_run_id)
        self._tools.began(name, input_str if inputs is None else inputs, run_id, around, metadata, tool_call_id)

    @_quietly
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._tools.ended(unit, output)

    @_quietly
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._tools.failed(unit, error)

    # Models

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        self._model_start(messages[0] if messages else [], run_id, **kwargs)

    def on_llm_start(self, serialized: Any, prompts: list[str], *, run_id: UUID, **kwargs: Any) -> None:
        self._model_start(prompts, run_id, **kwargs)

    @_quietly
    def _model_start(
        self,
        prompt: Any,
        run_id: UUID,
        *,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        invocation_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._models.began(prompt, run_id, self._records.units.get(parent_run_id), metadata, invocation_params or {})

    @_quietly
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._models.ended(unit, response)

    @_quietly
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.close(run_id)
        if unit is not None:
            self._models.failed(unit, error)

    # Interrupts

    @_quietly
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        unit = self._records.units.get(event.run_id)
        if unit is None:
            return
        unit.status = "interrupted"
        for each in event.interrupts:
            attrs = {"interrupt_id": each.id, "checkpoint_id": event.checkpoint_id}
            self._records.moment(unit, "interrupt", "interrupt", "waiting", attrs, result=self._shown.value(each.value))

    @_quietly
    def on_resume(self, event: GraphResumeEvent) -> None:
        unit = self._records.units.get(event.run_id)
        if unit is not None:
            self._records.moment(unit, "resume", "resume", "ok", {"checkpoint_id": event.checkpoint_id})

    # Guards

    @_quietly
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        unit = self._records.units.get(run_id)
        if not name.startswith(PREFIX) or not isinstance(data, Mapping):
            return
        event = name.removeprefix(PREFIX)
        if event in EVENTS:
            self._records.bills.said(event, unit, data)
            return
        if unit is None:
            return
        if event in guards.FOLDED:
            self._tools.answered(unit, data)
            return
        if event == "run.finished":
            unit.root.attrs["ended"] = self._shown.name(data.get("status"))
        status = guards.status_of(event, data)
        if status is not None:
            self._records.moment(unit, "guard", self._shown.name(event), status, self._shown.facts(data))

    @_quietly
    def on_charge(self, event: str, said: Mapping[str, Any]) -> None:
        """What a meter says of a call outside the runs of this recorder, or of a call that is a run by itself."""
        self._records.bills.said(event, None, said)


def _into_a_list(steps: list[Step], clerk: Clerk, record: Draft | Step) -> None:
    steps.append(clerk.finished(record))


def _into_a_queue(writer: Writer[Draft | Step], record: Draft | Step) -> None:
    writer.put(record, record.chars if isinstance(record, Draft) else 0)


def _is_node(tags: list[str] | None) -> bool:
    return any(tag.startswith(NODE) for tag in tags) if tags else False


def _end(leave: Callable[[], None], writer: Writer[Any] | None) -> None:
    leave()
    if writer is not None:
        writer.close(CLOSING)


def _check(max_queue: object, max_chars: object) -> None:
    for name, value, least in (("max_queue", max_queue, 1), ("max_chars", max_chars, 0)):
        if type(value) is not int or value < least:
            raise ConfigError(name, f"must be a whole number from {least} up")


def _read(prices: PriceBook) -> PriceBook:
    """A book is read when it is first asked: not within a run."""
    with suppress(Exception):
        prices.rates("gpt-4o", "openai")
    return prices
