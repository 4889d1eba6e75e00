"""Where a history may be cut, what is wrong with a broken one, and when it is worth beginning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.compaction import Faults, Item, Segment, Waters, faults, oldest, segments, waterline

SYSTEM, HUMAN, AI = Item("system"), Item("human"), Item("ai")
SUMMARY = Item("human", ours=True)


def asks(*ids: str) -> Item:
    """A message with calls."""
    return Item("ai", asks=ids)


def answer(id: str) -> Item:
    """What a tool said to one."""
    return Item("tool", answers=id)


ITEMS = st.lists(
    st.one_of(
        st.sampled_from([SYSTEM, HUMAN, AI, SUMMARY, Item("other")]),
        st.builds(lambda ids: asks(*ids), st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=4)),
        st.builds(answer, st.sampled_from(["", "a", "b", "c", "d"])),
    ),
    max_size=20,
)


def repaired(items: list[Item]) -> list[Item]:
    """The history without its faults, as a host would make it."""
    found = faults(items)
    kept = []
    for at, item in enumerate(items):
        missed = found.unanswered.get(at, {})
        asked = tuple(id for place, id in enumerate(item.asks) if place not in missed)
        if at not in found.strays:
            kept.append(Item(item.kind, asked, item.answers, item.ours) if missed else item)
    return kept


# Segments


def test_a_segment_is_a_message_with_all_that_its_tools_answered() -> None:
    """A cut between a call and its answer is what providers refuse."""
    found = segments([HUMAN, asks("a", "b"), answer("b"), answer("a"), AI])
    assert [(each.start, each.end) for each in found] == [(0, 1), (1, 4), (4, 5)]


@given(ITEMS)
def test_segments_are_the_whole_history_in_order(items: list[Item]) -> None:
    """What is in no segment would be forgotten, and what is in two would be said twice."""
    whole = repaired(items)
    found = segments(whole)
    assert [at for each in found for at in range(each.start, each.end)] == list(range(len(whole)))


@given(ITEMS)
def test_no_segment_leaves_an_answer_behind(items: list[Item]) -> None:
    """Whichever segments go, the rest is a history that providers take."""
    whole = repaired(items)
    for gone in segments(whole):
        assert not faults([*whole[: gone.start], *whole[gone.end :]]).strays


def test_the_front_the_first_and_the_last_person_and_open_calls_are_pinned() -> None:
    """Who the agent is, why it runs, what it is asked now, and what is on its way."""
    items = [SYSTEM, SYSTEM, HUMAN, AI, HUMAN, SYSTEM, SUMMARY, HUMAN, AI, asks("a", "b"), answer("a")]
    assert [each.start for each in segments(items) if each.pinned] == [0, 1, 2, 7, 9]


def test_a_call_that_was_answered_is_not_open() -> None:
    """Else nothing of a long run of tools could ever leave."""
    assert [each.open for each in segments([asks("a"), answer("a"), asks("b")])] == [False, True]


def test_a_summary_is_no_person() -> None:
    """The first request must not be taken for one that a summary repeats, nor the last."""
    assert [each.pinned for each in segments([SUMMARY, HUMAN, SUMMARY])] == [False, True, False]


def test_what_its_owner_pins_is_pinned_with_its_segment() -> None:
    """A pinned result without its call would be a stray."""
    items = [asks("a"), Item("tool", answers="a", pinned=True), AI]
    assert [each.pinned for each in segments(items)] == [True, False]


# Repair


def test_a_history_in_order_has_no_faults() -> None:
    """Repair must not touch what is right: parallel calls are answered in any order."""
    assert not faults([HUMAN, asks("a", "b"), answer("b"), answer("a"), AI, asks("a"), answer("a")])


def test_calls_of_the_last_message_may_still_be_answered() -> None:
    """Tools are running, or a person has to approve."""
    assert not faults([HUMAN, asks("a", "b"), answer("b")])


def test_an_answer_to_nothing_is_a_stray() -> None:
    """Its call was cut away by somebody else."""
    assert faults([HUMAN, answer("a"), AI]) == Faults(frozenset({1}), {})


def test_a_second_answer_is_a_stray() -> None:
    """A tools node that ran again."""
    assert faults([asks("a"), answer("a"), answer("a")]).strays == {2}


def test_two_calls_of_one_id_take_two_answers() -> None:
    """Some models give the same id again and again."""
    assert not faults([asks("a", "a"), answer("a"), answer("a")])


def test_a_call_that_something_else_follows_is_unanswered() -> None:
    """The run died before its tools did."""
    assert faults([asks("a", "b"), answer("a"), HUMAN]).unanswered == {0: {1: None}}


def test_an_answer_that_came_too_late_is_known_to_its_call() -> None:
    """Who forgets that a payment went through pays twice."""
    assert faults([asks("a"), HUMAN, answer("a")]) == Faults(frozenset({2}), {0: {0: 2}})


@given(ITEMS)
def test_a_repaired_history_has_no_faults(items: list[Item]) -> None:
    """One pass is enough, whatever arrives."""
    assert not faults(repaired(items))


@given(ITEMS)
def test_what_a_person_wrote_is_never_at_fault(items: list[Item]) -> None:
    """Repair takes away answers and calls; words of people stay."""
    found = faults(items)
    assert not [at for at in (*found.strays, *found.unanswered) if items[at].kind == "human"]


# Waters


def test_the_promise_is_below_the_high_water() -> None:
    """With a large reserve the room ends before the trigger does: the work must begin there."""
    waters = Waters(1_000, 400, trigger=0.8, target=0.7)
    assert (waters.room, waters.high, waters.low) == (600, 600, 600)


def test_the_oldest_go_until_it_is_enough() -> None:
    """What is new is what the model works on."""
    parts = segments([SYSTEM, HUMAN, AI, AI, AI, AI, HUMAN, AI])
    assert oldest(parts, [10] * 8, excess=15, keep=2) == [2, 3]


def test_neither_the_pinned_nor_the_newest_go() -> None:
    """However much there is to gain."""
    parts = segments([SYSTEM, HUMAN, AI, HUMAN, AI, AI])
    assert oldest(parts, [10] * 6, excess=1_000, keep=2) == [2]
    assert oldest(parts, [10] * 6, excess=1_000, keep=0) == [2, 4, 5]
    assert oldest([Segment(0, 1, False, False)], [10], excess=0, keep=0) == []


@given(st.lists(st.integers(0, 1_000), min_size=1), st.integers(0, 5_000))
def test_under_the_waterline_all_have_room(sizes: list[int], room: int) -> None:
    """Sixty results of one message: the large ones pay, and the small ones stay whole."""
    line = waterline(sizes, room)
    assert sum(min(size, line) for size in sizes) <= room
    assert line >= min(max(sizes), room // len(sizes))
