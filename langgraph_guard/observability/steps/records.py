"""From what LangChain says to what is to be recorded: where a unit belongs, that it ended, how."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from langgraph.errors import GraphBubbleUp, GraphInterrupt

from langgraph_guard.observability.steps.bills import Bills
from langgraph_guard.observability.steps.drafts import Clerk, Cost, Draft
from langgraph_guard.observability.steps.step import Kind, Status, Step
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.units import Unit, Units

NOT_ENDED: Final = "NotEnded"
"""The error type of what was under way when the run around it ended: cancelled, or given up."""


class Records:
    """The units under way and what comes of them, handed to `put`: as a draft, or as a step where it takes no time."""

    def __init__(self, shown: Shown, clerk: Clerk, put: Callable[[Draft | Step], None]) -> None:
        self.units = Units()
        self.bills = Bills(self._unclaimed)
        self._shown = shown
        self._clerk = clerk
        self._put = put

    def begin(
        self, kind: Kind, name: object, run_id: UUID, around: Unit | None, metadata: Mapping[str, Any] | None
    ) -> Unit:
        ts, began = self.units.now()
        unit = Unit(run_id, kind, name, metadata or {}, ts, began, around, around and around.root)
        self.units.open(unit)
        return unit

    def end(
        self,
        unit: Unit,
        status: Status,
        error_type: str | None = None,
        error: str | None = None,
        *,
        result: Any = None,
        usage: Mapping[str, Any] | None = None,
        cost: Cost = None,
        charged: int | None = None,
        ended: float | None = None,
    ) -> None:
        """`result`: the beginning of it, as `Shown.part` gives it. `charged`: tokens that the ledger charged where
        `usage` says none."""
        if unit.around is None:
            for left in self.units.left_below(unit):
                paid, tokens = self.bills.left(left)
                self.end(left, "error", NOT_ENDED, cost=paid, charged=tokens)
        if unit.kind in ("run", "node"):
            self.bills.close(unit)
        if unit.kind == "chain" and status == "ok" and not unit.has_parts:
            return  # Routers and parsers, several to each node.
        ended = self.units.now()[1] if ended is None else ended
        self._put(Draft(unit, ended, status, error_type, error, result, usage, cost, charged))

    def moment(
        self, unit: Unit, kind: Kind, name: str, status: Status, attrs: Mapping[str, Any], **fields: Any
    ) -> None:
        """A record of something that takes no time, within `unit`."""
        unit.has_parts = True
        self._put(
            Step(
                ts=self.units.now()[0],
                id=uuid.uuid4().hex,
                parent_id=unit.key,
                kind=kind,
                name=name,
                **self._clerk.place(unit),
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
