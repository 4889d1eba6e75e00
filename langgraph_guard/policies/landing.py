"""How a run that hit a limit ends: the reason in words, and how to go on."""

from __future__ import annotations

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
        return f"{halt.get('reason') or 'stopped'}: {halt.get('guard', 'a guard')} said {halt.get('route', 'stop')}"
    period = f" in this {window}" if window else ""
    figures = f"{show(unit, halt['spent'])} of {show(unit, halt['limit'])} used per {scope}{period}"
    kept = f", {show(unit, halt['aside'])} kept for this answer" if halt.get("aside") else ""
    more = f", {show(unit, halt['requested'])} more needed" if halt.get("requested") else ""
    return f"{halt['reason']}: {figures}{kept}{more}"


def how_to_continue(halt: Mapping[str, Any]) -> str:
    """What the person in front of it can do."""
    scope, window = halt.get("scope", ""), halt.get("window")
    if window is None:
        return _NEXT.get(scope, "Ask for the limit to be raised.")
    if (seconds := halt.get("retry_after")) is not None:
        return f"There is room again in {_span(seconds)}."
    return f"There is room again when this {window} ends (UTC)."


def clip(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"about {round(seconds / length)} {unit}s"
    return f"{max(1, round(seconds))} seconds"
