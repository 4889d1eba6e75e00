"""From what has ended to its record: the work that the thread behind the queue does, so that no run waits for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypedDict

from langgraph_guard.observability.steps.answers import usage_of
from langgraph_guard.observability.steps.step import CHARGED, Status, Step
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.units import Unit, first
from langgraph_guard.prices import PriceBook, Usage

_log = logging.getLogger(__name__)

LISTED: Final = "listed"
Cost = int | None | Literal["listed"]
"""Micro-USD if the ledger said so, `LISTED` where no budget meters the call: what the price list says."""


class Draft(NamedTuple):
    """A unit that has ended. `result` and its `args` are beginnings that `Shown.text` has still to make fit."""

    unit: Unit
    ended: float
    status: Status
    error_type: str | None = None
    error: str | None = None
    result: Any = None
    usage: Mapping[str, Any] | None = None
    cost: Cost = None
    charged: int | None = None

    @property
    def chars(self) -> int:
        """About what it takes in memory beside a few small objects."""
        unit = self.unit
        said = (unit.args, self.result, *unit.attrs.values())
        return sum(len(each) for each in said if isinstance(each, str))


class Place(TypedDict):
    """Where in a run a record belongs."""

    trace_id: str
    thread_id: str | None
    node: str | None
    step: int | None
    checkpoint_ns: str | None


class Clerk:
    """Makes records of drafts."""

    def __init__(self, shown: Shown, prices: PriceBook) -> None:
        self._shown = shown
        self._prices = prices

    def finished(self, record: Draft | Step) -> Step:
        return self._step(record) if isinstance(record, Draft) else record

    def _step(self, draft: Draft) -> Step:
        unit, usage = draft.unit, usage_of(draft.usage)
        return Step(
            ts=unit.ts,
            id=unit.key,
            parent_id=unit.around.key if unit.around else None,
            kind=unit.kind,
            name=self._shown.name(unit.name),
            **self.place(unit),
            status=draft.status,
            duration_ms=round((draft.ended - unit.began) * 1_000, 3),
            model=unit.model and self._shown.name(unit.model),
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cache_read_tokens=usage.cache_read_tokens if usage else None,
            cost_micro_usd=self._listed(unit, usage) if draft.cost == LISTED else draft.cost,
            error_type=draft.error_type,
            error=draft.error,
            tool_call_id=unit.tool_call_id and self._shown.name(unit.tool_call_id),
            args=self._shown.text(unit.args),
            result=self._shown.text(draft.result),
            attrs=unit.attrs if usage or not draft.charged else {**unit.attrs, CHARGED: draft.charged},
        )

    def place(self, unit: Unit) -> Place:
        said, run = unit.metadata, unit.root
        thread, node = first(run.metadata, "thread_id"), said.get("langgraph_node")
        return {
            "trace_id": self._shown.name(first(run.metadata, "guard_trace_id") or run.key),
            "thread_id": None if thread is None else self._shown.name(str(thread)),
            "node": None if node is None else self._shown.name(node),
            "step": said.get("langgraph_step"),
            "checkpoint_ns": self._shown.namespace(first(said, "langgraph_checkpoint_ns", "checkpoint_ns")),
        }

    def _listed(self, unit: Unit, usage: Usage | None) -> int | None:
        if usage is None or unit.model is None:
            return None
        try:
            rates = self._prices.rates(unit.model, unit.provider, tier=usage.tier, at=unit.ts)
            return rates.cost(usage) if rates else None
        except Exception as error:  # A table of the user's own: the step is worth more than its price.
            _log.debug("a model call has no price: %s", type(error).__name__)
            return None
