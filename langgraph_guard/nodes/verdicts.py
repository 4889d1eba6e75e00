"""Verdicts as state: what a guard decided, why, and with which figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.nodes.guard import Update
from langgraph_guard.nodes.ids import growing_id
from langgraph_guard.policies.budget import STATUS, Standing
from langgraph_guard.state.views import opener, read


@dataclass(frozen=True, slots=True)
class Verdict:
    """A route and the figures behind it."""

    route: str
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


OK: Final = Verdict("ok")


def of(route: str, standing: Standing) -> Verdict:
    limit = standing.limit
    return Verdict(
        route,
        STATUS[limit.unit],
        {
            "unit": limit.unit,
            "scope": limit.per,
            "window": limit.window,
            "limit": limit.amount,
            "spent": standing.spent,
            "reserved": standing.reserved,
            "requested": 0,
            "aside": limit.amount - standing.ceiling,
            "retry_after": None,
        },
    )


def denied(error: BudgetExceeded) -> Verdict:
    names = ("unit", "scope", "window", "limit", "spent", "reserved", "requested", "aside", "retry_after")
    return Verdict("exceeded", STATUS[error.unit], {name: getattr(error, name) for name in names})


def landing(turn: Mapping[str, Any], remaining: int) -> Verdict:
    """LangGraph's own recursion limit is near."""
    facts = {"unit": "steps", "scope": "run", "window": None, "limit": turn["steps"] + remaining}
    return Verdict("exceeded", STATUS["steps"], {**facts, "spent": turn["steps"], "reserved": 0, "requested": 0})


def update(state: Any, guard: str, verdict: Verdict, turn: tuple[str, int], now_ms: int) -> Update:
    """The state update that says `verdict`: always the route, and a decision when it is news."""
    before = (read(state, "guard_verdicts") or {}).get(guard) or {}
    said = {"route": verdict.route, "reason": verdict.reason, "turn": turn[0]}
    if {name: before.get(name) for name in said} == said:
        return {}
    news: Update = {"guard_verdicts": {guard: {**said, "at": now_ms}}}
    if verdict.route == "ok":
        return news
    decision = decide(guard, verdict, *turn, now_ms)
    news["guard_decisions"] = [decision]
    return {**news, "guard_halt": decision} if verdict.route == "exceeded" else news


def decide(guard: str, verdict: Verdict, turn: str, seq: int, now_ms: int) -> dict[str, Any]:
    """`verdict` as a record that can be kept, merged and read by people."""
    return {
        "id": growing_id(),
        "guard": guard,
        "route": verdict.route,
        "reason": verdict.reason,
        **verdict.facts,
        "turn": turn,
        "turn_seq": seq,
        "at": now_ms,
    }


def halted(state: Any, messages: Sequence[BaseMessage]) -> Mapping[str, Any] | None:
    """The halt of the turn that `state` is in; one of an earlier turn is over."""
    halt = read(state, "guard_halt")
    if not halt:
        return None
    verdict = (read(state, "guard_verdicts") or {}).get(halt.get("guard")) or {}
    if verdict.get("route", halt.get("route")) != halt.get("route"):
        return None  # Its guard has changed its mind since.
    turn = (read(state, "guard_turn") or {}).get("id") or opener(messages)
    return halt if turn is None or halt.get("turn") in (turn, "") else None
