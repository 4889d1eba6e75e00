"""What an event decided, in a few words that dashboards can group by: never contents, never who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Level = Literal["DEFAULT", "WARNING", "ERROR"]

LEVELS: Final[Mapping[str, Level]] = {
    "warn": "WARNING",
    "wait": "WARNING",
    "escalate": "WARNING",
    "degrade": "WARNING",
    "block": "ERROR",
    "trip": "ERROR",
    "reject": "ERROR",
}
"""Decisions that are no news are `DEFAULT`."""

QUIET: Final = frozenset({"allow", "note"})
"""`allow`: nothing was in the way, metrics alone count it. `note`: bookkeeping that shows in another record."""

NOTES: Final = frozenset({"budget.reserved", "budget.settled", "budget.released", "effect.claimed", "tool.offloaded"})

FIXED: Final[Mapping[str, str]] = {
    "budget.denied": "block",
    "budget.waited": "wait",
    "budget.away": "degrade",
    "budget.back": "recover",
    "breaker.refused": "block",
    "approval.asked": "escalate",
    "approval.expired": "reject",
    "effect.refused": "block",
    "tool.retried": "retry",
    "tool.replayed": "reuse",
    "tool.cleaned": "sanitize",
    "context.repaired": "repair",
    "context.compacted": "summarize",
    "context.fallback": "degrade",
    "context.halted": "block",
    "run.finished": "land",
}

ROUTES: Final[Mapping[str, str]] = {"ok": "allow", "warn": "warn"}
STATES: Final[Mapping[str, str]] = {"open": "trip", "forced_open": "trip", "half_open": "probe", "closed": "recover"}
RUNGS: Final[Mapping[str, str]] = {"nudge": "warn", "block": "block", "halt": "block"}
ANSWERS: Final[Mapping[str, str]] = {
    "approve": "approve",
    "approved": "approve",
    "edit": "edit",
    "edited": "edit",
    "reject": "reject",
    "rejected": "reject",
    "expired": "reject",
    "withdrawn": "reject",
}

REASONS: Final = (
    "unit",
    "reason",
    "state",
    "error_type",
    "kind",
    "mode",
    "status",
    "outcome",
    "error",
    "after",
    "route",
)
"""Where an event says why; all of them are words of the pack's own."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a guard decided. `target`: the tool, model or circuit that it is about."""

    event: str
    decision: str
    reason: str
    target: str

    @property
    def guard(self) -> str:
        """The kind of guard: `budget`, `breaker`, `approval` …"""
        return self.event.partition(".")[0]

    @property
    def level(self) -> Level:
        return LEVELS.get(self.decision, "DEFAULT")

    @property
    def quiet(self) -> bool:
        return self.decision in QUIET

    @property
    def sentence(self) -> str:
        """`block budget: usd`"""
        about = f" {self.target}" if self.target else ""
        return f"{self.decision} {self.guard}{about}" + (f": {self.reason}" if self.reason else "")


def decided(event: str, attributes: Mapping[str, Any]) -> Decision:
    """What `event` with its attributes decided. An event that came later than this table is shown as `report`."""
    target = attributes.get("tool") or attributes.get("key") or attributes.get("model") or ""
    return Decision(event, _word(event, attributes), _reason(attributes), target if isinstance(target, str) else "")


def _word(event: str, attributes: Mapping[str, Any]) -> str:
    if event in NOTES:
        return "note"
    if event == "budget.verdict":
        return ROUTES.get(str(attributes.get("route")), "block")
    if event == "breaker.transition":
        return STATES.get(str(attributes.get("after")), "report")
    if event == "breaker.registry":
        return "recover" if attributes.get("reachable") else "degrade"
    if event == "tool.answered":
        return "allow" if attributes.get("status") in ("ok", "success") else "fail"
    if event == "effect.ended":
        return "allow" if attributes.get("state") == "done" else "fail"
    if event == "effect.found":
        return "reuse" if attributes.get("state") == "done" else "block"
    if event == "loop.found":
        return RUNGS.get(str(attributes.get("rung")), "warn")
    if event.startswith("approval.") and event not in FIXED:
        return ANSWERS.get(str(attributes.get("decision", attributes.get("verdict"))), "report")
    return FIXED.get(event, "report")


def _reason(attributes: Mapping[str, Any]) -> str:
    said = (attributes.get(name) for name in REASONS)
    return next((reason for reason in said if isinstance(reason, str) and reason), "")
