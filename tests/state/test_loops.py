"""What the loop check keeps: the laws are in test_reducers.py, here is what they are for."""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.policies.loops import KEPT_CALLS
from langgraph_guard.state import merge_loops
from tests.state.strategies import FULL_STATE


def loops(turn: str = "t", seq: int = 1, calls: Any = None, told: Any = None) -> dict[str, Any]:
    """An update of a turn."""
    return {"turn": turn, "turn_seq": seq, "calls": calls or {}, "told": told or {}}


def in_any_order(*updates: dict[str, Any]) -> list[dict[str, Any]]:
    """What is kept, whoever comes first."""
    return [reduce(merge_loops, order) for order in permutations(updates)]


def test_a_later_turn_replaces_an_earlier_one() -> None:
    """A new message of the person starts anew, and the state stays small."""
    before = loops("one", 1, {"a": {"round": 9}}, {"get": {"rung": "halt", "round": 9}})
    now = loops("two", 2, {"b": {"round": 1}})

    assert in_any_order(before, now) == [now, now]


def test_a_result_joins_its_call_later() -> None:
    """A branch that read the state before the tools ran must not take it away again."""
    asked, answered = (loops(calls={"a": {"round": 1, "tool": "get", "result": result}}) for result in ("", "!timeout"))

    assert in_any_order(asked, answered, asked) == [answered] * 6


def test_the_newest_calls_stay() -> None:
    """The key is stored with each checkpoint, and a turn may have ten thousand calls."""
    many = {f"{at:05}-0000": {"round": at} for at in range(KEPT_CALLS + 50)}

    kept = reduce(merge_loops, [loops(calls={key: call}) for key, call in many.items()])

    assert list(kept["calls"]) == list(many)[50:]


def test_of_one_message_the_last_places_stay() -> None:
    """Five hundred calls at once: the message is known again by its last one."""
    many = {f"m-{at:04}": {"round": 1, "result": "x" if at % 2 else ""} for at in range(500)}

    assert list(merge_loops({}, loops(calls=many))["calls"]) == list(many)[-KEPT_CALLS:]


def test_a_tool_does_not_come_down_the_ladder() -> None:
    """Within a turn: parallel branches may have told it less."""
    nudged, blocked = (loops(told={"get": {"rung": rung, "round": at}}) for rung, at in (("nudge", 9), ("block", 3)))

    assert in_any_order(nudged, blocked) == [blocked, blocked]


def test_a_rung_that_this_release_does_not_know_is_kept() -> None:
    """A rolling deployment has old and new workers on the same thread."""
    told = loops(told={"get": {"rung": "ask", "round": 3}})

    assert merge_loops({}, told) == told


def test_every_saver_keeps_it() -> None:
    """Builtins alone: strict msgpack refuses anything else."""
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)

    assert strict.loads_typed(strict.dumps_typed(FULL_STATE["guard_loops"])) == FULL_STATE["guard_loops"]
