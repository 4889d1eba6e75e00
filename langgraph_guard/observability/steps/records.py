"""From what is under way to records: where a unit belongs, how it ended, what it came to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from langgraph.errors import GraphBubbleUp, GraphInterrupt

from langgraph_guard.observability.steps.bills import Bills
from langgraph_guard.observability.steps.step import Kind, Status, Step
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.units import Unit, Units, first
from langgraph_guard.prices import Usage

NOT_ENDED: Final = "NotEnded"
"""The error type of what was under way when the run around it ended: cancelled, or given up."""


class Records:
    """Makes the records of runs, and hands them to `put`."""

    def __init__(self, shown: Shown, put: Callable[[Step], None]) -> None:
        self.units = Units()
        self.bills = Bills(self._unclaimed)
        self._shown = shown
        self._put = put

    def begin(
        self, kind: Kind, name: object, run_id: UUID, around: Unit | None, metadata: Mapping[str, Any] | None
    ) -> Unit:
        ts, began = self.units.now()
        if around is None:
            thread = first(metadata, "thread_id")
            trace_id = self._shown.name(first(metadata, "guard_trace_id") or str(run_id))
            thread_id = None if thread is None else self._shown.name(str(thread))
        else:
            trace_id, thread_id = around.trace_id, around.thread_id
        node = first(metadata, "langgraph_node")
        unit = Unit(
            run_id,
            kind,
            self._shown.name(name),
            ts,
            began,
            around,
            trace_id,
            thread_id,
            None if node is None else self._shown.name(node),
            first(metadata, "langgraph_step"),
            first(metadata, "langgraph_checkpoint_ns", "checkpoint_ns"),
        )
        self.units.open(unit)
        return unit

    def end(
        self,
        unit: Unit,
        status: Status,
        error_type: str | None = None,
        error: str | None = None,
        *,
        result: str | None = None,
        usage: Usage | None = None,
        cost: int | None = None,
        ended: float | None = None,
    ) -> None:
        if unit.around is None:
            for left in self.units.left_below(unit):
                self.end(left, "error", NOT_ENDED)
        if unit.kind in ("run", "node"):
            self.bills.close(unit)
        if unit.kind == "chain" and status == "ok" and not unit.has_parts:
            return  # Routers and parsers, several to each node.
        self._put(
            Step(
                ts=unit.ts,
                trace_id=unit.trace_id,
                thread_id=unit.thread_id,
                id=str(unit.id),
                parent_id=unit.recorded_parent,
                kind=unit.kind,
                name=unit.name,
                node=unit.node,
                step=unit.step,
                checkpoint_ns=unit.checkpoint_ns,
                status=status,
                duration_ms=round(((self.units.now()[1] if ended is None else ended) - unit.began) * 1_000, 3),
                model=unit.model and self._shown.name(unit.model),
                input_tokens=usage.input_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                cache_read_tokens=usage.cache_read_tokens if usage else None,
                cost_micro_usd=cost,
                error_type=error_type,
                error=error,
                tool_call_id=unit.tool_call_id,
                args=unit.args,
                result=result,
                attrs=unit.attrs,
            )
        )

    def moment(
        self, unit: Unit, kind: Kind, name: str, status: Status, attrs: Mapping[str, Any], **fields: Any
    ) -> None:
        """A record of something that takes no time, within `unit`."""
        unit.has_parts = True
        self._put(
            Step(
                ts=self.units.now()[0],
                trace_id=unit.trace_id,
                thread_id=unit.thread_id,
                id=uuid.uuid4().hex,
                parent_id=str(unit.id),
                kind=kind,
                name=name,
                node=unit.node,
                step=unit.step,
                checkpoint_ns=unit.checkpoint_ns,
                status=status,
                attrs=attrs,
                **fields,
            )
        )

    def failure(self, error: BaseException) -> tuple[Status, str | None, str | None]:
        """An interrupt is no failure, and neither is a jump to another graph."""
        if isinstance(error, GraphInterrupt):
            return "interrupted", None, None
        if isinstance(error, GraphBubbleUp):
            return "ok", None, None
        return "error", self._shown.name(type(error).__name__), self._shown.error(error)

    def _unclaimed(self, unit: Unit, usd: int) -> None:
        """A charge that is no model call's: what tools cost."""
        self.moment(unit, "guard", "budget.settled", "allow", {}, cost_micro_usd=usd)
