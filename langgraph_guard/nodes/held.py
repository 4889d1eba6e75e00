"""What is held, and who holds it: a reservation under way, and what a call knows of those around it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.events import RESERVATIONS
from langgraph_guard.nodes.pricing import ModelRef
from langgraph_guard.policies.calls import Ask

if TYPE_CHECKING:
    from langgraph_guard.nodes.metering import Meter


@dataclass(slots=True)
class Scope:
    """What happened to a budget within one tracked node."""

    metered: bool = False
    denied: BudgetExceeded | None = None
    opened: set[UUID] = field(default_factory=set)
    """Calls that a callback reserved for and that have not ended, by LangChain's id of the call."""

    @property
    def latched(self) -> BudgetExceeded | None:
        """The denial that stands although the node went on; a call that was too long may be sent again, shorter."""
        return None if self.denied is not None and self.denied.scope == "call" else self.denied


metering: ContextVar[frozenset[Meter]] = ContextVar("langgraph_guard_metering", default=frozenset())
"""The budgets that hold a reservation for the model call that is being made: inner meters of theirs abstain."""

charging: ContextVar[frozenset[tuple[Meter, str]]] = ContextVar("langgraph_guard_charging", default=frozenset())
"""The tool calls that a `ToolGuard` charges to a budget itself: its callback leaves their start and end alone."""

scopes: ContextVar[Mapping[Meter, Scope]] = ContextVar("langgraph_guard_scopes", default={})  # noqa: B039 - never mutated
"""The tracked nodes around the current call, by budget."""


def call_of(metadata: Mapping[str, Any] | None, otherwise: str) -> str:
    """What a model call is known by: the reservation of the first meter around it, or `otherwise`."""
    names = (metadata or {}).get(RESERVATIONS) or (otherwise,)
    return str(names[0])


@dataclass(slots=True)
class Held:
    """A reservation under way. `cap` is the output limit to send; `timeout` the seconds that are left; `priced`:
    whether the price book knew what it costs."""

    id: str
    model: ModelRef
    ask: Ask | None = None
    call: str = ""
    """What listeners know the model call by, the same for all budgets on it; empty for what is none."""
    granted: tuple[int, ...] = ()
    cap: int | None = None
    short: int | None = None
    """The place of the charge that lowered the cap; `None` when the call got all that it asked for."""
    timeout: float | None = None
    asked_at: float = 0.0
    kept_at: float = 0.0
    """When its lease began, or was last extended."""
    answered_by: ModelRef | None = None
    priced: bool = False

    def of(self, unit: str) -> int | None:
        """How much of `unit` is held: where accounts granted more and less, what fits all of them."""
        pairs = zip(self.ask.charges, self.granted, strict=True) if self.ask and self.granted else ()
        return min((amount for charge, amount in pairs if charge.account.unit == unit), default=None)
