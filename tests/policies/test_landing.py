"""Landing: why a run ended, in words that its user can act on."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.policies.landing import clip, how_to_continue, reason_of


def halt(**facts: Any) -> dict[str, Any]:
    """A halt of a budget, with figures."""
    usual = {"reason": "limit_cost", "unit": "usd", "scope": "session", "window": None, "guard": "budget"}
    return {**usual, "limit": 50_000, "spent": 49_300, "requested": 0, "retry_after": None, **facts}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "limit_cost: 0.0493 USD of 0.05 USD used per session"),
        ({"requested": 1_200}, "limit_cost: 0.0493 USD of 0.05 USD used per session, 0.0012 USD more needed"),
        ({"requested": 1_201}, "limit_cost: 0.0493 USD of 0.05 USD used per session, 0.0013 USD more needed"),
        (
            {"unit": "model_calls", "spent": 0, "limit": 1, "requested": 9},
            "limit_cost: 0 model calls of 1 model call used per session, 9 model calls more needed",
        ),
        (
            {"aside": 2_500, "requested": 1_200},
            (
                "limit_cost: 0.0493 USD of 0.05 USD used per session, 0.0025 USD kept for this answer,"
                " 0.0012 USD more needed"
            ),
        ),
        ({"scope": "user", "window": "day"}, "limit_cost: 0.0493 USD of 0.05 USD used per user today"),
        ({"scope": "team", "window": "month"}, "limit_cost: 0.0493 USD of 0.05 USD used per team this month"),
        ({"scope": "global", "window": "hour"}, "limit_cost: 0.0493 USD of 0.05 USD used by everybody this hour"),
        ({"scope": "global"}, "limit_cost: 0.0493 USD of 0.05 USD used by everybody"),
        (
            {"reason": "limit_calls", "unit": "model_calls", "scope": "turn", "limit": 25, "spent": 25},
            "limit_calls: 25 model calls of 25 model calls used per turn",
        ),
        (
            {"reason": "limit_time", "unit": "seconds", "scope": "turn", "limit": 120_000, "spent": 121_500},
            "limit_time: 121.5 seconds of 120 seconds used per turn",
        ),
        (
            {"reason": "frozen", "frozen": True, "limit": 0},
            "frozen: spending per session was stopped by hand",
        ),
        (
            {"reason": "frozen", "frozen": True, "scope": "global", "window": "day"},
            "frozen: spending by everybody was stopped by hand",
        ),
        (
            {"reason": "limit_steps", "unit": "steps", "scope": "run", "limit": 25, "spent": 23},
            "limit_steps: the run came near the graph's recursion limit",
        ),
    ],
)
def test_the_reason_starts_with_its_word_and_gives_the_figures(facts: dict[str, Any], reason: str) -> None:
    """Programs read the first word, people the rest."""
    assert reason_of(halt(**facts)) == reason


def test_another_guards_reason_names_the_guard() -> None:
    """Guards without figures end runs too."""
    assert reason_of({"guard": "loop", "route": "halt", "reason": "repeats"}) == "repeats: loop said halt"
    assert reason_of({"guard": "loop", "route": "halt", "reason": ""}) == "stopped: loop said halt"


def test_an_end_without_a_halt_is_the_graphs_own() -> None:
    """Any edge may lead to the finish."""
    assert reason_of({}) == "stopped: the graph routed to its end"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"scope": "call"}, "Send a shorter message"),
        ({"scope": "turn"}, "Send another message"),
        ({"scope": "run"}, "Send another message"),
        ({"scope": "session"}, "Start a new session"),
        ({"scope": "user"}, "Ask for the limit to be raised."),
        ({"scope": "team"}, "Ask for the limit to be raised."),
        ({"scope": "user", "window": "day"}, "There is room again when today is over (UTC)."),
        ({"scope": "user", "window": "hour"}, "There is room again when this hour is over (UTC)."),
        ({"reason": "circuit_open", "scope": "", "retry_after": 27.6}, "Try again in 28 seconds."),
        ({"reason": "circuit_open", "scope": ""}, "Ask for it to be switched on again."),
        ({"reason": "frozen", "frozen": True}, "Ask for it to be allowed again."),
        ({"reason": "frozen", "frozen": True, "window": "day"}, "Ask for it to be allowed again."),
        ({"window": "minute", "retry_after": 0.2}, "There is room again in 1 second."),
        ({"window": "minute", "retry_after": 59.6}, "There is room again in 60 seconds."),
        ({"window": "hour", "retry_after": 600.0}, "There is room again in about 10 minutes."),
        ({"window": "day", "retry_after": 5 * 3_600.0}, "There is room again in about 5 hours."),
        ({"window": "month", "retry_after": 9 * 86_400.0}, "There is room again in about 9 days."),
    ],
)
def test_it_says_how_to_go_on(facts: dict[str, Any], says: str) -> None:
    """The person in front of it can wait, write, or ask; which of them helps is known here."""
    assert how_to_continue(halt(**facts)).startswith(says)


@pytest.mark.parametrize(
    ("text", "most", "clipped"),
    [
        ("short", 10, "short"),
        ("exactly ten", 11, "exactly ten"),
        ("much too long", 6, "much …"),
        ("a\n  b\tc", 9, "a b c"),
    ],
)
def test_text_is_clipped_to_one_line(text: str, most: int, clipped: str) -> None:
    """What was done is told in a list, not in transcripts."""
    assert clip(text, most) == clipped
    assert len(clip(text, most)) <= most
