"""The laws of the pack's own reducers: what replays, retries and parallel branches rest on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.nodes import verdicts
from langgraph_guard.policies.turns import SEEN_TURNS
from langgraph_guard.state import (
    KEPT_ASKED,
    KEPT_DECISIONS,
    REDUCERS,
    append_decisions,
    first_halt,
    latest_turn,
    merge_artifacts,
    merge_asked,
    merge_calls,
    merge_tools,
    merge_usage,
    merge_verdicts,
)
from langgraph_guard.state.calls import KEPT_ARTIFACTS, KEPT_CHARS, KEPT_VERDICTS
from tests.state.strategies import DECISIONS, FULL_STATE, VALUES

COMMUTING = sorted(REDUCERS.keys() - {"guard_verdicts"})

every_key = pytest.mark.parametrize("key", sorted(REDUCERS))


def _taken(key: str, update: Any) -> Any:
    """What is kept of a single update."""
    return REDUCERS[key](type(update)(), update)


@every_key
@given(data=st.data())
def test_it_does_not_matter_how_updates_are_grouped(key: str, data: st.DataObject) -> None:
    """Associative: fused guards merge among themselves first, LangGraph merges one by one; both must agree."""
    merge = REDUCERS[key]
    a, b, c = (data.draw(VALUES[key]) for _ in range(3))

    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@pytest.mark.parametrize("key", COMMUTING)
@given(data=st.data())
def test_it_does_not_matter_who_comes_first(key: str, data: st.DataObject) -> None:
    """Commutative: branches of a superstep are applied in the order of their nodes' names, which mean nothing."""
    a, b = data.draw(VALUES[key]), data.draw(VALUES[key])

    assert REDUCERS[key](a, b) == REDUCERS[key](b, a)


@every_key
@given(data=st.data())
def test_an_update_applied_again_changes_nothing(key: str, data: st.DataObject) -> None:
    """Idempotent: a node that is retried or replayed from a checkpoint writes the same thing again."""
    merge = REDUCERS[key]
    a, b = data.draw(VALUES[key]), data.draw(VALUES[key])
    once = merge(a, b)

    assert merge(once, b) == once
    assert merge(once, once) == once


@every_key
@given(data=st.data())
def test_nothing_yet_is_neutral(key: str, data: st.DataObject) -> None:
    """A key starts empty, and a host may hold None for it; neither is a value that could win."""
    update = data.draw(VALUES[key])
    kept = _taken(key, update)

    for nothing in (type(update)(), None):
        assert REDUCERS[key](nothing, kept) == kept == REDUCERS[key](kept, nothing)


@every_key
def test_two_nothings_are_nothing(key: str) -> None:
    """A reducer that invents fields would make an untouched thread look like one with a turn."""
    empty = type(FULL_STATE[key])()
    assert REDUCERS[key](empty, empty) == empty == REDUCERS[key](None, None)


@every_key
@given(data=st.data())
def test_inputs_are_left_as_they_were(key: str, data: st.DataObject) -> None:
    """Pure: conditional edges apply a node's writes to a copy that shares the value, and then again for good."""
    a, b, c = (data.draw(VALUES[key]) for _ in range(3))
    before = deepcopy((a, b, c))

    first = REDUCERS[key](a, b)
    kept = deepcopy(first)
    REDUCERS[key](first, c)

    assert (a, b, c) == before
    assert first == kept


@every_key
@given(data=st.data())
def test_the_result_is_a_new_object(key: str, data: st.DataObject) -> None:
    """A node that edits the value it read must not edit the one that another checkpoint's channel holds."""
    a, b = data.draw(VALUES[key]), data.draw(VALUES[key])

    merged = REDUCERS[key](a, b)

    assert merged is not a
    assert merged is not b


def _all_orders(merge: Callable[[Any, Any], Any], updates: list[Any]) -> list[Any]:
    return [reduce(merge, order) for order in permutations(updates)]


def test_a_later_turn_replaces_an_earlier_one() -> None:
    """Figures of a turn that is over must not leak into the next: its limits start anew."""
    earlier = {"id": "one", "seq": 1, "steps": 40, "active_ms": 90_000}
    later = {"id": "two", "seq": 2, "steps": 0, "active_ms": 0, "seen": ["one"]}

    assert _all_orders(latest_turn, [earlier, later]) == [later, later]


def test_views_of_one_turn_join() -> None:
    """A tracked node knows only the time; the gate knows the steps. Neither may undo what the other said."""
    gate = {"id": "one", "seq": 1, "opened_at": 5, "active_ms": 10, "steps": 4, "cycle": 3, "seen": ["zero"]}
    tracked = {"id": "one", "seq": 1, "active_ms": 70}

    assert _all_orders(latest_turn, [gate, tracked]) == [{**gate, "active_ms": 70}] * 2


def test_a_turn_opened_when_it_was_first_seen() -> None:
    """A worker with a late clock must not move the start of the turn, and with it the end of its time."""
    first, again = {"id": "one", "seq": 1, "opened_at": 5}, {"id": "one", "seq": 1, "opened_at": 8}

    assert _all_orders(latest_turn, [first, again]) == [first, first]


def test_a_turn_remembers_a_bounded_number_of_earlier_ones() -> None:
    """A thread of a year has thousands of turns, and the key is stored with each checkpoint."""
    seen = [f"turn-{number}" for number in range(SEEN_TURNS + 5)]

    assert latest_turn({}, {"id": "now", "seq": 99, "seen": seen})["seen"] == seen[5:]


def test_a_field_of_a_later_release_is_kept() -> None:
    """A rolling deployment has old and new workers on the same thread."""
    turn = {"id": "one", "seq": 1, "steps": 1}

    assert latest_turn({**turn, "new_field": "x"}, turn)["new_field"] == "x"


def test_spending_of_a_session_never_shrinks() -> None:
    """A fork, or a branch that read the ledger earlier, brings lower totals: money spent is spent."""
    older = {"session": {"usd": 5, "tokens": 90}, "turn": {}, "turn_id": "two", "turn_seq": 2}
    newer = {"session": {"usd": 9}, "turn": {}, "turn_id": "two", "turn_seq": 2}

    assert merge_usage(newer, older)["session"] == {"usd": 9, "tokens": 90}


def test_spending_of_a_turn_starts_anew_with_the_turn() -> None:
    """Otherwise a per-turn limit would hold for the whole session."""
    first = {"session": {"usd": 9}, "turn": {"usd": 9}, "turn_id": "one", "turn_seq": 1}
    second = {"session": {"usd": 11}, "turn": {"usd": 2}, "turn_id": "two", "turn_seq": 2}

    assert _all_orders(merge_usage, [first, second]) == [second, second]


def test_a_guards_newest_word_stands() -> None:
    """A verdict is about now: `ok` after `warn` is what the edge has to read."""
    before = {"budget": {"route": "warn"}, "loop": {"route": "ok"}}

    assert merge_verdicts(before, {"budget": {"route": "ok"}}) == {"budget": {"route": "ok"}, "loop": {"route": "ok"}}


def test_verdicts_of_different_guards_commute() -> None:
    """Two guards in parallel branches each write their own entry."""
    one, other = {"budget": {"route": "warn"}}, {"loop": {"route": "halt"}}

    assert merge_verdicts(one, other) == merge_verdicts(other, one) == {**one, **other}


@given(decisions=st.lists(DECISIONS, max_size=6), more=st.integers(0, 2 * KEPT_DECISIONS))
def test_the_newest_decisions_stay_and_no_more(decisions: list[dict[str, Any]], more: int) -> None:
    """State is stored with each checkpoint: a list that only grows makes long threads slow, then impossible."""
    many = [{"id": f"later-{number:03}", "at": 100 + number} for number in range(more)]

    kept = append_decisions(decisions, many)

    assert len(kept) <= KEPT_DECISIONS
    assert kept[len(kept) - min(more, KEPT_DECISIONS) :] == many[-KEPT_DECISIONS:]


def test_the_bound_holds_however_updates_are_grouped() -> None:
    """What a bound drops early must not be what a later merge would have kept."""
    lists = [[{"id": f"{part}-{at}", "at": at} for at in range(KEPT_DECISIONS - 10)] for part in "abc"]
    a, b, c = lists

    grouped = append_decisions(append_decisions(a, b), c)

    assert grouped == append_decisions(a, append_decisions(b, c))
    assert _all_orders(append_decisions, lists) == [grouped] * 6


def test_a_decision_is_told_once() -> None:
    """A replayed node writes it again; an audit that shows two refusals for one is wrong."""
    decision = {"id": "x", "at": 1, "route": "warn"}

    assert append_decisions([decision], [decision]) == [decision]


def test_decisions_without_an_id_are_told_apart_by_what_they_say() -> None:
    """Someone may write one by hand with `update_state`; it must not swallow another."""
    one, other = {"at": 1, "route": "warn"}, {"at": 2, "route": "exceeded"}

    assert append_decisions([one, one], [other]) == [one, other]


def test_decisions_read_in_the_order_of_time() -> None:
    """`guard_report` shows them to people, oldest first."""
    late, early = {"id": "a", "at": 2}, {"id": "b", "at": 1}

    assert append_decisions([late], [early]) == [early, late]


def test_decisions_of_a_millisecond_read_in_the_order_in_which_they_were_made() -> None:
    """A random id must not put the refusal before the warning that led to it."""
    verdict = verdicts.Verdict("warn")
    made = [verdicts.decide("budget", verdict, "turn", seq, now_ms=7) for seq in (1, 1, 1, 2, 2)]

    assert append_decisions(made[3:], made[:3]) == made


def test_a_decision_of_a_later_turn_reads_later() -> None:
    """Whatever the ids say: two processes count on their own."""
    before, after = {"id": "z", "at": 7, "turn_seq": 1}, {"id": "a", "at": 7, "turn_seq": 2}

    assert append_decisions([after], [before]) == [before, after]


def test_a_batch_of_calls_that_is_settled_stays_settled() -> None:
    """A branch that did not hear of it yet writes that it is open."""
    held, settled = ({"id": "x", "calls": {"1": "gpu"}, "open": held, "at": 7} for held in (True, False))

    assert _all_orders(merge_asked, [[held], [settled]]) == [[settled]] * 2


def test_the_newest_batches_of_calls_stay() -> None:
    """A run of ten thousand calls has ten thousand batches, and the key is stored with each checkpoint."""
    many = [{"id": f"{number:05}", "at": 7} for number in range(3 * KEPT_ASKED)]

    assert reduce(merge_asked, [[each] for each in many]) == many[-KEPT_ASKED:]


def test_the_first_halt_of_a_turn_is_the_reason_that_people_see() -> None:
    """What comes after a halt is its consequence, and would hide the cause."""
    first, second = ({"id": id, "turn": "one", "turn_seq": 1, "at": at} for id, at in (("z", 1), ("a", 2)))

    assert _all_orders(first_halt, [first, second]) == [first, first]


def test_a_halt_of_a_later_turn_replaces_an_earlier_one() -> None:
    """The person asked again; yesterday's halt is not why today's run stopped."""
    before = {"id": "a", "turn": "one", "turn_seq": 1, "at": 1}
    now = {"id": "b", "turn": "two", "turn_seq": 2, "at": 9}

    assert _all_orders(first_halt, [before, now]) == [now, now]


def test_verdicts_of_several_guards_on_one_call_stand_side_by_side() -> None:
    """The breaker lets a call pass that the loop check refused: the later word must not undo the earlier guard's."""
    loop, breaker = {"1": {"loop": {"verdict": "refuse", "at": 1}}}, {"1": {"breaker": {"verdict": "note", "at": 2}}}

    assert _all_orders(merge_calls, [loop, breaker]) == [{"1": {**loop["1"], **breaker["1"]}}] * 2


def test_the_newest_verdicts_on_calls_stay() -> None:
    """The key is stored with each checkpoint that changes it, and a thread of a year refuses many calls."""
    many = [{f"{number:04}": {"loop": {"at": number}}} for number in range(KEPT_VERDICTS + 50)]

    kept = reduce(merge_calls, many)

    assert sorted(kept) == [f"{number:04}" for number in range(50, KEPT_VERDICTS + 50)]


def test_a_call_that_ran_is_counted_once() -> None:
    """A node that is replayed, or retried with a sibling, must not use up what a session may call."""
    one, both = ({"pay": {"calls": ids, "repairs": [], "turn": "a", "turn_seq": 1}} for ids in (["1"], ["1", "2"]))

    assert [merged["pay"]["calls"] for merged in _all_orders(merge_tools, [one, both])] == [["1", "2"]] * 2


def test_repairs_start_anew_with_the_turn() -> None:
    """What a model got wrong yesterday must not cost it today's attempts; the calls of the session stay."""
    before = {"pay": {"calls": ["1"], "repairs": ["2", "3"], "turn": "a", "turn_seq": 1}}
    now = {"pay": {"calls": [], "repairs": ["4"], "turn": "b", "turn_seq": 2}}

    merged = {"pay": {"calls": ["1"], "repairs": ["4"], "turn": "b", "turn_seq": 2}}
    assert _all_orders(merge_tools, [before, now]) == [merged] * 2


def test_artifacts_are_bounded_by_their_number() -> None:
    """An agent that reads the web all day would carry it along in every checkpoint."""
    many = [{"id": f"{number:04}", "text": "x", "at": number} for number in range(KEPT_ARTIFACTS + 7)]

    assert merge_artifacts(many[:100], many[100:]) == many[7:]


def test_artifacts_are_bounded_by_their_size_and_the_newest_always_stays() -> None:
    """What was just offloaded is what the model is about to read."""
    half, more = ({"id": id, "text": "x" * size, "at": at} for id, size, at in (("a", KEPT_CHARS // 2, 1), ("b", 9, 2)))
    huge = {"id": "c", "text": "x" * (KEPT_CHARS + 1), "at": 3}

    assert merge_artifacts([half], [more]) == [half, more]
    assert merge_artifacts([half, more], [huge]) == [huge]
