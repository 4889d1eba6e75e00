"""The ladder: what is done about a finding, and what the model and the user are told."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.policies.loops import RUNGS, Call, Finding, Kind, Rung, Step, climb, steps
from langgraph_guard.policies.loops.wording import detail, message

LADDERS = [("nudge",), ("block",), ("halt",), ("nudge", "block"), ("nudge", "halt"), ("block", "halt"), RUNGS]


def asked(*tools: str) -> list[Call]:
    """Calls that wait, one of each tool."""
    return [Call(9, tool, f"{tool}-exact", "", "") for tool in tools]


def finding(*tools: str, kind: Kind = "identical", firm: bool = True) -> Finding:
    """A finding that is about calls of `tools`."""
    return Finding(kind, frozenset(tools), 3, frozenset(f"{tool}-exact" for tool in tools), firm)


def rungs(findings: list[Finding], *tools: str, told: Any = None, now: int = 9, ladder: Any = RUNGS) -> list[Any]:
    """What is done, as (rung, kind)."""
    taken = steps(findings, asked(*tools), told or {}, now, ladder)
    return [(step.rung, step.finding.kind) for step in taken]


@pytest.mark.parametrize("ladder", LADDERS)
def test_each_message_climbs_one_rung_and_stays_at_the_top(ladder: tuple[Rung, ...]) -> None:
    """Whichever rungs a host leaves out."""
    told: dict[str, tuple[Rung, int]] = {}
    climbed = []
    for now in range(1, 6):
        (step,) = steps([finding("a")], asked("a"), told, now, ladder)
        climbed.append(step.rung)
        told["a"] = (step.rung, now)
    assert tuple(climbed) == (*ladder, *[ladder[-1]] * (5 - len(ladder)))


def test_the_same_message_looked_at_again_climbs_no_further() -> None:
    """What is fused before an interrupt runs again on resume; a retry does, too."""
    assert rungs([finding("a")], "a", told={"a": ("nudge", 9)}) == [("nudge", "identical")]
    assert rungs([finding("a")], "a", told={"a": ("block", 9)}) == [("block", "identical")]
    assert rungs([finding("a")], "a", told={"a": ("nudge", 8)}) == [("block", "identical")]


FAILING = Finding("identical", frozenset("a"), 4, frozenset(["a-exact"]), failed=True)


def test_what_failed_each_time_halts_when_it_is_asked_for_again() -> None:
    """The model read three time-outs and a warning: to refuse the fourth call would only cost another answer."""
    assert rungs([FAILING], "a") == [("nudge", "identical")]
    assert rungs([FAILING], "a", told={"a": ("nudge", 8)}) == [("halt", "identical")]


def test_what_failed_each_time_does_not_take_others_with_it() -> None:
    """A message that asks for something else as well is a run that gets on: the tool is blocked, the rest is made."""
    assert rungs([FAILING], "a", "b", told={"a": ("nudge", 8)}) == [("block", "identical")]


def test_what_failed_each_time_is_told_first_whatever_the_ladder() -> None:
    """A first word that is the last would be no ladder."""
    assert rungs([FAILING], "a", ladder=("block", "halt")) == [("block", "identical")]
    assert rungs([FAILING], "a", told={"a": ("nudge", 8)}, ladder=("nudge", "block")) == [("block", "identical")]


def test_tools_climb_by_themselves() -> None:
    """What one tool was told says nothing of another."""
    assert rungs([finding("b")], "b", told={"a": ("block", 8)}) == [("nudge", "identical")]


def test_tools_of_one_cycle_climb_together() -> None:
    """Otherwise A-B-A-B would take twice as long to end."""
    assert rungs([finding("a", "b", kind="cycle")], "b", told={"a": ("nudge", 8)}) == [("block", "cycle")]
    told = {"a": ("nudge", 8), "b": ("block", 7)}
    assert rungs([finding("a", "b", kind="cycle")], "b", told=told) == [("halt", "cycle")]


def test_a_blocked_tool_that_is_asked_for_again_halts() -> None:
    """With other arguments too: it was refused, and the model read it."""
    assert rungs([], "a", told={"a": ("block", 8)}) == [("halt", "blocked")]
    assert rungs([finding("a")], "a", told={"a": ("block", 8)}) == [("halt", "identical")]
    assert rungs([], "b", told={"a": ("block", 8)}) == []


def test_a_nudged_tool_may_be_used_otherwise() -> None:
    """That is what the nudge asked for."""
    assert rungs([], "a", told={"a": ("nudge", 8)}) == []


def test_what_may_be_healthy_is_never_more_than_a_nudge() -> None:
    """However often."""
    weak = finding("a", kind="unchanged", firm=False)
    assert rungs([weak], "a", told={"a": ("nudge", 8)}) == [("nudge", "unchanged")]
    assert rungs([weak], "a", ladder=("block", "halt")) == []


def test_the_highest_rung_comes_first() -> None:
    """It decides the route."""
    told = {"b": ("block", 8)}
    assert rungs([finding("a"), finding("b")], "a", "b", told=told) == [("halt", "identical"), ("nudge", "identical")]


@settings(deadline=None)
@given(told=st.sampled_from([None, *RUNGS]), ladder=st.sampled_from(LADDERS))
def test_the_next_rung_is_one_of_the_ladder(told: Rung | None, ladder: tuple[Rung, ...]) -> None:
    """Also when an earlier release, with another ladder, told the tool something else."""
    rung = climb(ladder, told)
    assert rung in ladder
    assert told is None or rung == ladder[-1] or RUNGS.index(rung) > RUNGS.index(told)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_is_said_names_the_tool_and_what_to_do(kind: Kind, rung: Rung) -> None:
    """A model that reads "loop detected" loops on."""
    said = message(Step(rung, finding("search", kind=kind)))
    assert "search" in said
    assert ("use what you have" in said) == (rung == "nudge")
    assert ("not available for the rest of this turn" in said) == (rung != "nudge")
    assert "\n" not in said, "ToolGuard writes it as a line, and the digest of a result leaves that line out"


def test_a_nudge_that_may_be_wrong_says_so() -> None:
    """A run that does as it should must not be talked out of it."""
    said = message(Step("nudge", finding("send", kind="unchanged", firm=False)))
    assert "If you expected that, go on" in said


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_reason_is_a_clause_with_the_tools(kind: Kind) -> None:
    """`FinishNode` writes it behind "loop: ", for the user."""
    clause = detail(finding("b", "a", kind=kind))
    assert "a and b" in clause
    assert not clause.endswith(".")
