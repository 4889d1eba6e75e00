"""The words of decisions: few, and one for every event of the schema."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.events import SCHEMA
from langgraph_guard.observability.decisions import decided

EXAMPLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a verdict that allows": ({"event": "budget.verdict", "route": "ok"}, "allow", "DEFAULT"),
    "a verdict that warns": ({"event": "budget.verdict", "route": "warn"}, "warn", "WARNING"),
    "a verdict that stops": ({"event": "budget.verdict", "route": "exceeded"}, "block", "ERROR"),
    "a circuit that opens": ({"event": "breaker.transition", "after": "open"}, "trip", "ERROR"),
    "a circuit that is tried": ({"event": "breaker.transition", "after": "half_open"}, "probe", "DEFAULT"),
    "a circuit that closes": ({"event": "breaker.transition", "after": "closed"}, "recover", "DEFAULT"),
    "a registry that is away": ({"event": "breaker.registry", "reachable": False}, "degrade", "WARNING"),
    "a tool that answered": ({"event": "tool.answered", "status": "success"}, "allow", "DEFAULT"),
    "a tool that failed": ({"event": "tool.answered", "status": "error"}, "fail", "DEFAULT"),
    "an effect that stands": ({"event": "effect.found", "state": "done"}, "reuse", "DEFAULT"),
    "an effect in doubt": ({"event": "effect.found", "state": "in_doubt"}, "block", "ERROR"),
    "a recorded answer": ({"event": "tool.replayed", "status": "error"}, "reuse", "DEFAULT"),
    "a loop that is told": ({"event": "loop.found", "rung": "nudge"}, "warn", "WARNING"),
    "a loop that is ended": ({"event": "loop.found", "rung": "halt"}, "block", "ERROR"),
    "a person who agrees": ({"event": "approval.decided", "decision": "approve"}, "approve", "DEFAULT"),
    "a person who does not": ({"event": "approval.decided", "decision": "reject"}, "reject", "ERROR"),
    "an event of tomorrow": ({"event": "weather.changed"}, "report", "DEFAULT"),
}


@pytest.mark.parametrize(("said", "word", "level"), EXAMPLES.values(), ids=EXAMPLES)
def test_an_event_is_a_word_and_a_level(said: dict[str, Any], word: str, level: str) -> None:
    """Alerts count by level, dashboards group by word."""
    decision = decided(said["event"], said)
    assert (decision.decision, decision.level) == (word, level)


@pytest.mark.parametrize("event", SCHEMA)
def test_every_event_of_the_schema_can_be_read(event: str) -> None:
    """Also where a guard left everything open."""
    decision = decided(event, dict.fromkeys(SCHEMA[event]))
    assert decision.guard == event.partition(".")[0]
    assert decision.sentence.startswith(decision.decision)


def test_a_reason_is_one_of_the_packs_own_words() -> None:
    """The unit that ran out, the state of a circuit, the kind of an error: never a text that somebody wrote."""
    assert decided("budget.denied", {"unit": "usd", "scope": "session"}).sentence == "block budget: usd"
    assert decided("breaker.refused", {"key": "search", "state": "open"}).sentence == "block breaker search: open"
