"""Filters of lists: names are checked, values are values, and nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.checkpoint.core.filters import check_filter, matches
from langgraph_guard.errors import ConfigError

METADATA = {"source": "loop", "step": 3, "parents": {"": "id"}, "score": None, "tags": ["a", "b"], "run_id": "r"}


@pytest.mark.parametrize(
    "name",
    ["x') OR 1=1--", "a\n", "$", "$where", "@x:{*}", "a\tb", "", "a" * 129, "a'b", "a\x00", "*", "a;b", "\ud800"],
)
def test_a_name_that_no_key_can_have_is_refused(name: str) -> None:
    """Three savers were open to injection through such names. It is an error, not a filter that matches nothing."""
    with pytest.raises(ConfigError, match="filter"):
        check_filter({"source": "loop", name: 1})


@pytest.mark.parametrize("wrong", ["source", ["source"], {1: "a"}, {None: 1}, {b"a": 1}, 5], ids=repr)
def test_what_is_no_filter_is_refused(wrong: Any) -> None:
    """A filter that is ignored lists everybody's checkpoints."""
    with pytest.raises(ConfigError, match="filter"):
        check_filter(wrong)


def test_errors_quote_no_names() -> None:
    """A name that does not belong there may be anything."""
    with pytest.raises(ConfigError) as caught:
        check_filter({"sk;canary": 1})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["source", "__proto__", "a.b-c_9", "A" * 128])
def test_an_unknown_name_matches_nothing(name: str) -> None:
    """A saver once dropped what it did not know, and listed everything."""
    assert not matches({"step": 1}, check_filter({name: None}))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        None,
        {"source": "loop"},
        {"step": 3, "run_id": "r"},
        {"parents": {"": "id"}},
        {"score": None},
        {"tags": ("a", "b")},
    ],
    ids=repr,
)
def test_equal_values_match(asked: Any) -> None:
    """Every kind of value, nested ones too; a tuple is a list once it was stored."""
    assert matches(METADATA, check_filter(asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"source": "Loop"},
        {"source": "loo"},
        {"step": "3"},
        {"step": 3, "run_id": "q"},
        {"parents": {}},
        {"tags": ["a"]},
    ],
    ids=repr,
)
def test_unequal_values_do_not(asked: Any) -> None:
    """No case is folded, no text is split, and no number is a text."""
    assert not matches(METADATA, check_filter(asked))


def test_a_filter_is_a_copy() -> None:
    """A list is read page by page; the caller's dict may change meanwhile."""
    given_ = {"step": 3}
    checked = check_filter(given_)
    given_["step"] = 4
    assert matches(METADATA, checked)


names = st.text("abcXYZ019_.-", min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda v: st.lists(v) | st.tuples(v, v),
    max_leaves=4,
)


@given(st.dictionaries(names, values, max_size=3), st.dictionaries(names, values, max_size=3))
def test_a_filter_matches_what_has_all_of_it(metadata: dict[str, Any], more: dict[str, Any]) -> None:
    """Whatever else the metadata has."""
    assert matches({**more, **metadata}, check_filter(metadata))
