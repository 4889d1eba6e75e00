"""Verdicts as state: what a guard decided, why, and with which figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.nodes.guard import Update
from langgraph_guard.nodes.ids import growing_id
from langgraph_guard.policies.budget import FROZEN, STATUS, Standing, scope_of
from langgraph_guard.policies.ledger import TURN, Account, Balance
from langgraph_guard.state.views import opener, read


@dataclass(frozen=True, slots=True)
class Verdict:
    """A route and the figures behind it."""

    route: str
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


OK: Final = Verdict("ok")

HALTS: Final = frozenset({"exceeded", "halt", "open", "expired"})
"""The words of decisions that may end a run."""

APPROVAL_EXPIRED: Final = "approval_expired"
"""The reason of a halt because nobody decided in time."""

CIRCUIT_OPEN: Final = "circuit_open"
"""The reason of a halt because every tool that was asked for is left alone."""


def of(route: str, standing: Standing) -> Verdict:
    limit = standing.limit
    return Verdict(
        route,
        STATUS[limit.unit],
        {
            "unit": limit.unit,
            "scope": limit.per,
            "window": limit.window,
            "limit": limit.amount + standing.credit,
            "spent": standing.spent,
            "reserved": standing.reserved,
            "requested": 0,
            "aside": limit.amount + standing.credit - standing.ceiling,
            "retry_after": None,
        },
    )


def denied(error: BudgetExceeded) -> Verdict:
    names = ("unit", "scope", "window", "limit", "spent", "reserved", "requested", "aside", "retry_after")
    facts = {name: getattr(error, name) for name in names}
    if error.frozen:
        return Verdict("exceeded", FROZEN, {**facts, "frozen": True})
    return Verdict("exceeded", STATUS[error.unit], facts)


def frozen(account: Account, balance: Balance) -> Verdict:
    """Somebody has stopped all spending of the account's owner."""
    window = None if account.window == TURN else account.window
    facts = {"unit": account.unit, "scope": scope_of(account), "window": window, "limit": 0}
    figures = {"spent": balance.spent, "reserved": balance.reserved, "requested": 0, "aside": 0, "retry_after": None}
    return Verdict("exceeded", FROZEN, {**facts, **figures, "frozen": True})


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
    """The halt of the turn that `state` is in; one of an earlier turn is over, and so is one that was overcome."""
    if not (first := read(state, "guard_halt")):
        return None
    # `guard_halt` is the first of a turn. When that is over, a later one may stand.
    later = [each for each in read(state, "guard_decisions") or () if each.get("route") in HALTS]
    verdicts = read(state, "guard_verdicts") or {}
    turn = (read(state, "guard_turn") or {}).get("id") or opener(messages)
    standing: list[Mapping[str, Any]] = [
        halt
        for halt in (first, *later)
        if (turn is None or halt.get("turn") in (turn, "")) and _stands(halt, verdicts, messages)
    ]
    # An open circuit ends a run only where its edge leads to the end: after it, nothing else could have stopped it.
    return next((halt for halt in standing if halt.get("reason") != CIRCUIT_OPEN), standing[0] if standing else None)


def _stands(halt: Mapping[str, Any], verdicts: Mapping[str, Any], messages: Sequence[BaseMessage]) -> bool:
    said = verdicts.get(halt.get("guard", "")) or {}
    if said.get("route", halt.get("route")) != halt.get("route"):
        return False  # Its guard has changed its mind since.
    if halt.get("reason") != CIRCUIT_OPEN:
        return True
    # A model that was heard since has gone on without the tools.
    last = next((each for each in reversed(messages) if isinstance(each, AIMessage)), None)
    return last is None or last.id == halt.get("asked_by") or "guard" in last.response_metadata
