"""Key parts: whatever a user calls a thread, it is a key of its own and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard._redis import part
from langgraph_guard.errors import ConfigError

awkward = st.text("ab:{}*?[]-_.\n\0é🦜", max_size=40)
texts = st.text(max_size=40) | awkward | st.binary(max_size=200).map(lambda data: data.decode("latin-1"))


def slices(text: str) -> set[str]:
    """Many texts from one, and such as are alike: that is where an encoding collides."""
    return {text[start:end] for start in range(len(text)) for end in range(start, len(text) + 1, 1 + start)}


@settings(max_examples=1_500, deadline=None)
@given(texts, texts)
def test_two_texts_never_share_a_part(one: str, other: str) -> None:
    """Otherwise one tenant reads another's thread. More than 20,000 texts, each against its neighbours."""
    many = slices(one) | slices(other)
    assert len({part(text) for text in many}) == len(many)


@settings(max_examples=500, deadline=None)
@given(texts)
def test_a_part_means_nothing_to_redis(text: str) -> None:
    """No hash tag, no pattern, no separator, no control character; and short enough for any key."""
    assert all(re.fullmatch(r"[abh][A-Za-z0-9_-]{0,128}", part(each)) for each in slices(text))


@settings(deadline=None)
@given(texts)
def test_a_part_that_looks_like_a_text_is_encoded_again(text: str) -> None:
    """A user who knows the encoding cannot name what another text became."""
    assert part(part(text)) != part(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order-7", "aorder-7"),
        ("a" * 64, "a" + "a" * 64),
        ("", "b"),
        ("user:7 {x}", "bdXNlcjo3IHt4fQ"),
        ("a" * 65, "b" + "YWFh" * 21 + "YWE"),
        ("a" * 97, "h2a2c60fe96afac9151d4bd932fdb45be2c7e175e02b0598426cac15c38511cb4"),
        ("Bob\n", "bQm9iCg"),
    ],
)
def test_what_was_stored_is_found_again(text: str, expected: str) -> None:
    """The encoding is a stored format: keys that were written must be found for ever."""
    assert part(text) == expected


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    """No encoding of it is the text that the user had; the error names the field and not the text."""
    with pytest.raises(ConfigError, match=r"^thread_id: has half of a surrogate pair") as caught:
        part(text, "thread_id")
    assert caught.value.field == "thread_id"
