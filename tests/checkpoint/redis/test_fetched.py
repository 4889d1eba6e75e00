"""What was fetched of a log is had, in whatever pieces it came."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.checkpoint.redis.fetched import Fetched
from langgraph_guard.checkpoint.redis.layout import Range, ThreadKeys
from langgraph_guard.checkpoint.redis.memory import Plan

LENGTH = 80
OFF = 5
LOG = [b"%d" % (OFF + at) for at in range(LENGTH)]
KEYS = ThreadKeys("m", "e", "l", "b")

ranges = st.tuples(st.integers(OFF, OFF + LENGTH - 1), st.integers(1, LENGTH)).map(
    lambda each: (each[0], min(each[1], OFF + LENGTH - each[0]))
)
plans = st.lists(ranges, min_size=1, max_size=4)


def answered(command: tuple[Any, ...]) -> list[bytes]:
    """What LRANGE returns."""
    name, _, start, stop = command
    assert name == "LRANGE"
    return LOG[start:] if stop == -1 else LOG[start : stop + 1]


def fetch(fetched: Fetched, wanted: list[Range], *, open_end: bool = False) -> None:
    """One trip for what is not here."""
    plan = Plan(tuple(wanted))
    fetched.take([answered(command) for command in fetched.ask(plan, open_end=open_end)])


def had(wanted: list[Range]) -> list[bytes]:
    """The elements themselves."""
    return [b"%d" % at for start, n in wanted for at in range(start, start + n)]


@given(st.lists(st.tuples(plans, st.booleans()), min_size=1, max_size=6))
def test_what_was_fetched_is_had_whatever_was_fetched_before(trips: list[tuple[list[Range], bool]]) -> None:
    """A reader guesses, and then asks for what it lacks: a piece may cover others, overlap them, or leave a gap."""
    fetched = Fetched(KEYS, OFF)
    for wanted, open_end in trips:
        fetch(fetched, wanted, open_end=open_end)
        assert not fetched.lacks(Plan(tuple(wanted)))
        assert fetched.elements(wanted) == had(wanted)


def test_a_small_piece_does_not_hide_the_big_one_around_it() -> None:
    """Two writers of one thread: the newest's elements were guessed, and lie between those of the one that is read."""
    fetched = Fetched(KEYS, OFF)
    fetch(fetched, [(9, 2), (70, 1)])
    fetch(fetched, [(5, 2), (12, 1)])
    assert fetched.elements([(5, 2), (12, 1)]) == had([(5, 2), (12, 1)])
