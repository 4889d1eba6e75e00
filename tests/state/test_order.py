"""Choosing between two values without asking who came first."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.state.order import larger, order

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(a=JSON, b=JSON, c=JSON)
def test_the_choice_is_the_same_in_every_order(a: object, b: object, c: object) -> None:
    """Any JSON value may meet any other: a branch that failed writes a string where another writes a number."""
    assert order(larger(larger(a, b), c)) == order(larger(c, larger(b, a)))


@given(a=JSON, b=JSON)
def test_values_that_rank_equal_are_equal(a: object, b: object) -> None:
    """Only then does it not matter which of the two is kept."""
    assert (order(a) == order(b)) <= (repr(a) == repr(b) or a == b)


@pytest.mark.parametrize(
    ("small", "large"), [(9, 10), (-1, 0.5), (2**53, 2**53 + 1), (1e308, 10**400), (None, 0), ("10", "9")]
)
def test_numbers_go_by_size_and_the_rest_by_text(small: object, large: object) -> None:
    """As text, 9 would be larger than 10."""
    assert larger(small, large) == larger(large, small) == large


def test_a_nan_never_beats_a_number() -> None:
    """A comparison with NaN is false both ways, which would make the winner a matter of order."""
    assert larger(math.nan, 0) == larger(0, math.nan) == 0
