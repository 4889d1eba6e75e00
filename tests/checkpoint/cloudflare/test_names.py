"""Parts of keys: two names never share one, and newer ids come first, as Workers KV cannot list backwards."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.checkpoint.cloudflare.names import LONGEST, Stamps, id_of, moment_of, newest_first, part
from langgraph_guard.errors import CorruptCheckpoint
from langgraph_guard.testing import FakeClock

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(one=texts, other=texts)
def test_two_texts_have_two_parts(one: str, other: str) -> None:
    """A shared part would show one user the other's conversation."""
    assert (part(one) == part(other)) == (one == other)


@given(texts | st.text("é/%.", min_size=100, max_size=2_000))
def test_a_part_means_nothing_to_a_url_or_a_proxy(text: str) -> None:
    """No slash, no dot, no percent sign; and it leaves room for the rest of the key."""
    assert re.fullmatch(rf"[A-Za-z0-9_=-]{{1,{LONGEST}}}", part(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("order-7", "order-7"), ("user:7/é", "user=3A7=2F=C3=A9"), ("", "="), ("..", "=2E=2E"), ("%2F", "=252F")],
)
def test_parts_are_what_the_format_says(text: str, expected: str) -> None:
    """They are in stored keys, for ever."""
    assert part(text) == expected


def test_a_long_text_is_its_digest() -> None:
    """And no text is spelled as one."""
    assert re.fullmatch(r"==[0-9a-f]{64}", part("x" * 97))
    assert part("==") == "=3D=3D"


@given(st.lists(texts, max_size=20))
def test_encoded_ids_sort_as_ids_do_backwards(ids: list[str]) -> None:
    """Prefixes, surrogate pairs and ids of any other form than UUIDs among them."""
    assert sorted(ids, key=newest_first) == sorted(ids, reverse=True)


@given(texts)
def test_an_id_comes_back_from_its_key(id: str) -> None:
    """Lists tell ids, and no value is read for them."""
    assert id_of(newest_first(id)) == id


@pytest.mark.parametrize("encoded", ["", "~~", "0", "zz~", "00"])
def test_what_is_no_id_is_said_to_be_none(encoded: str) -> None:
    """A key that another program wrote."""
    with pytest.raises(CorruptCheckpoint):
        id_of(encoded)


def test_stamps_of_a_process_grow_though_its_clock_does_not() -> None:
    """Of a task's ordinary writes the first call's stay: their order is all that tells which it was."""
    clock = FakeClock()
    stamps = Stamps(clock.now)
    made = [stamps.next() for _ in range(100)]
    clock.set(clock.now() - 3_600)
    made.append(stamps.next())
    assert made == sorted(made)


def test_what_a_process_has_read_comes_before_what_it_writes() -> None:
    """Its clock may be behind; the second answer to a question is the one that counts."""
    ahead, behind = FakeClock(), FakeClock()
    ahead.advance(30)
    one, other = Stamps(ahead.now), Stamps(behind.now)
    asked = one.next()
    other.saw(moment_of(asked))
    assert other.next() > asked


def test_a_clock_that_is_far_off_is_not_followed() -> None:
    """One broken machine would drag all others into its future."""
    clock = FakeClock()
    stamps = Stamps(clock.now)
    stamps.saw(clock.now() + 3_601)
    assert moment_of(stamps.next()) == pytest.approx(clock.now())


def test_a_stamp_tells_when_it_was_made() -> None:
    """By it, writes of a moment ago are told from those of a run that died."""
    clock = FakeClock()
    assert moment_of(Stamps(clock.now).next()) == pytest.approx(clock.now())
