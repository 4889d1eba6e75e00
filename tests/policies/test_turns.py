"""Turns: opened by a human message of the input, fixed when a run enters, and landed before the graph's own limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.turns import SEEN_TURNS, enter, must_land, passed


def first(opener: str | None = "m1") -> dict[str, Any]:
    """The first turn of a thread."""
    return enter({}, opener, resuming=False, fresh="run-1", now_ms=1_000)


def test_the_first_message_opens_the_first_turn() -> None:
    """With everything at nothing and the time at now."""
    assert first() == {
        "id": "m1",
        "seq": 1,
        "opened_at": 1_000,
        "active_ms": 0,
        "steps": 0,
        "last_step": 0,
        "cycle": 0,
        "seen": [],
    }


def test_without_a_message_the_run_opens_it() -> None:
    """Graphs without messages have turns too."""
    assert first(None)["id"] == "run-1"


def test_the_same_message_carries_on_its_turn() -> None:
    """A retry, a replay or a second invocation with the same input is no fresh allowance."""
    turn = passed(first(), active_ms=500, steps=3)
    assert enter(turn, "m1", resuming=False, fresh="run-2", now_ms=9_000) == turn


def test_a_new_message_opens_the_next_turn() -> None:
    """Each message has its own allowance, and remembers the one before it."""
    turn = enter(passed(first(), active_ms=500, steps=3), "m2", resuming=False, fresh="run-2", now_ms=9_000)
    assert (turn["id"], turn["seq"], turn["opened_at"], turn["seen"]) == ("m2", 2, 9_000, ["m1"])
    assert (turn["active_ms"], turn["steps"], turn["cycle"]) == (0, 0, 0)


def test_a_resumed_run_stays_in_its_turn_whatever_the_newest_message_is() -> None:
    """An approval, a nudge or a summary that appeared meanwhile opens nothing."""
    turn = first()
    assert enter(turn, "m2", resuming=True, fresh="run-2", now_ms=9_000) == turn


def test_a_run_without_input_stays_in_its_turn() -> None:
    """`invoke(None)` continues."""
    turn = first()
    assert enter(turn, None, resuming=False, fresh="run-2", now_ms=9_000) == turn


def test_an_earlier_message_that_becomes_the_newest_opens_nothing() -> None:
    """A compaction removes the last message; the one before it had its turn already."""
    turn = enter(first(), "m2", resuming=False, fresh="run-2", now_ms=9_000)
    assert enter(turn, "m1", resuming=False, fresh="run-3", now_ms=10_000) == turn


def test_what_is_stored_is_not_changed() -> None:
    """State belongs to the graph."""
    turn = first()
    before = {**turn, "seen": list(turn["seen"])}
    entered = enter(turn, "m1", resuming=False, fresh="x", now_ms=1)
    entered["steps"] = 99
    enter(turn, "m2", resuming=False, fresh="x", now_ms=1)
    passed(turn, active_ms=9, steps=9)
    assert turn == before


@given(st.integers(1, 40))
def test_earlier_turns_are_remembered_within_bounds(turns: int) -> None:
    """State that grows with every message would be written with every step."""
    turn: dict[str, Any] = {}
    for number in range(turns):
        turn = enter(turn, f"m{number}", resuming=False, fresh="x", now_ms=number)
    assert turn["seq"] == turns
    assert turn["seen"] == [f"m{number}" for number in range(turns - 1)][-SEEN_TURNS:]


# Steps and time


def test_a_turn_adds_up_its_steps_and_time() -> None:
    """The longest way between two visits is remembered: the next one may be as long."""
    turn = first()
    found = []
    for steps, active_ms in ((1, 10), (4, 20), (6, 35)):
        turn = passed(turn, active_ms=active_ms, steps=steps)
        found.append((turn["steps"], turn["active_ms"], turn["cycle"]))
    assert found == [(1, 10, 1), (4, 20, 3), (6, 35, 3)]


def test_figures_never_fall() -> None:
    """A fork or a corrected clock may bring smaller ones; what was used is used."""
    turn = passed(passed(first(), active_ms=500, steps=9), active_ms=100, steps=2)
    assert (turn["steps"], turn["active_ms"], turn["cycle"]) == (9, 500, 9)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 200)), max_size=10))
def test_passing_twice_is_passing_once(visits: list[tuple[int, int]]) -> None:
    """A node that runs again after an interrupt says the same."""
    turn = first()
    for active_ms, steps in visits:
        turn = passed(turn, active_ms=active_ms, steps=steps)
        assert passed(turn, active_ms=active_ms, steps=steps) == turn


@pytest.mark.parametrize(
    ("cycle", "remaining", "lands"),
    [(3, 5, False), (3, 4, True), (3, 0, True), (0, 1, False), (0, 0, False), (3, None, False), (1, 2, True)],
)
def test_a_run_lands_while_a_round_and_the_landing_still_fit(cycle: int, remaining: int | None, lands: bool) -> None:
    """LangGraph's own limit raises and loses the answer; ours ends with one."""
    assert must_land({**first(), "cycle": cycle}, remaining) is lands
