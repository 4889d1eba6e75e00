"""What a guard's event says of a run: as a status, and whether it is worth a record at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langgraph_guard.observability.decisions import decided
from langgraph_guard.observability.steps.step import Status

FOLDED: Final = ("tool.answered",)
"""Parts of the record of the call that they belong to, as charges are."""

_STATUS: Final[Mapping[str, Status]] = {
    "block": "block",
    "reject": "block",
    "fail": "block",
    "trip": "trip",
    "warn": "warn",
    "wait": "warn",
    "degrade": "warn",
    "retry": "warn",
    "sanitize": "warn",
    "repair": "warn",
    "land": "warn",
    "escalate": "waiting",
}
"""By the decision; of any other, the run just went on."""


def status_of(event: str, said: Mapping[str, Any]) -> Status | None:
    """The status of an event's record; `None` when it gets none, because nothing was in the way."""
    decision = decided(event, said).decision
    return None if decision == "allow" else _STATUS.get(decision, "allow")
