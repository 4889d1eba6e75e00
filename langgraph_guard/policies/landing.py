"""How a run that hit a limit ends: the reason in words, and how to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from langgraph_guard.errors import show

_NEXT = {
    "call": "Send a shorter message, or split it into parts.",
    "turn": "Send another message to go on: each message has a fresh allowance.",
    "run": "Send another message to go on from here.",
    "session": "Start a new session, or ask for this one's limit to be raised.",
}


def reason_of(halt: Mapping[str, Any]) -> str:
    """Why the run ended, in one clause that starts with the machine-readable status."""
    if not halt:
        return "stopped: the graph routed to its end"
    unit, scope, window = halt.get("unit", ""), halt.get("scope", ""), halt.get("window")
    if scope == "run":
        return f"{halt['reason']}: the run came near the graph's recursion limit"
    if not unit:
        why = halt.get("detail") or f"{halt.get('guard', 'a guard')} said {halt.get('route', 'stop')}"
        return f"{halt.get('reason') or 'stopped'}: {why}"
    whose = "by everybody" if scope == "global" else f"per {scope}"
    if halt.get("frozen"):
        return f"{halt['reason']}: spending {whose} was stopped by hand"
    period = f" {_now(window)}" if window else ""
    figures = f"{show(unit, halt['spent'])} of {show(unit, halt['limit'])} used {whose}{period}"
    kept = f", {show(unit, halt['aside'])} kept for this answer" if halt.get("aside") else ""
    more = f", {show(unit, _about(halt['requested']))} more needed" if halt.get("requested") else ""
    return f"{halt['reason']}: {figures}{kept}{more}"


def how_to_continue(halt: Mapping[str, Any]) -> str:
    """What the person in front of it can do."""
    scope, window = halt.get("scope", ""), halt.get("window")
    if halt.get("reason") == "circuit_open":
        later = halt.get("retry_after")
        return "Ask for it to be switched on again." if later is None else f"Try again in {_span(later)}."
    if halt.get("frozen"):
        return "Ask for it to be allowed again."
    if halt.get("reason") == "loop":
        return "Send another message: say what to try instead, or give what is missing."
    if window is None:
        return _NEXT.get(scope, "Ask for the limit to be raised.")
    if (seconds := halt.get("retry_after")) is not None:
        return f"There is room again in {_span(seconds)}."
    return f"There is room again when {_now(window)} is over (UTC)."


def _now(window: str) -> str:
    """The period that is running, as people say it."""
    return "today" if window == "day" else f"this {window}"


def clip(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def _about(amount: int) -> int:
    """`amount`, rounded up to two digits: what a call may need is an estimate, and should read like one."""
    step: int = 10 ** max(0, len(str(amount)) - 2)
    return -(-amount // step) * step


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"about {round(seconds / length)} {unit}s"
    whole = max(1, math.ceil(seconds))  # who comes back a moment too early is refused again
    return f"{whole} second{'s' if whole > 1 else ''}"
