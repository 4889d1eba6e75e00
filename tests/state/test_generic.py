"""Reducers for a user's own keys: the laws that their table promises, and what they refuse."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langgraph_guard.errors import ConfigError
from langgraph_guard.state import (
    first_wins,
    highest,
    last,
    last_by_id,
    max_by_key,
    monotone_labels,
    sum_by_key,
    union_by_key,
)

LADDER = ("public", "internal", "secret")
KEYS = st.sampled_from("abc")
COUNTS = st.dictionaries(KEYS, st.integers(-3, 3))
ITEMS = st.lists(st.fixed_dictionaries({"id": KEYS | st.integers(0, 2), "text": KEYS}), max_size=5)

CASES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "sum_by_key": (sum_by_key, COUNTS),
    "max_by_key": (max_by_key, st.dictionaries(KEYS, st.integers(-3, 3) | st.floats(-3, 3))),
    "union_by_key": (union_by_key, st.dictionaries(KEYS, st.none() | st.integers(0, 12) | COUNTS)),
    "monotone_labels": (monotone_labels, st.lists(KEYS)),
    "highest": (highest(LADDER), st.sampled_from(["", *LADDER])),
    "first_wins": (first_wins, st.sampled_from([None, "", 0, False, [], {}, "a", 1, [0], {"a": 1}])),
    "last": (last(3), st.lists(st.integers(0, 3), max_size=5)),
    "last_by_id": (last_by_id(3), ITEMS),
}
COMMUTING = {"sum_by_key", "max_by_key", "union_by_key", "monotone_labels", "highest"}
IDEMPOTENT = CASES.keys() - {"sum_by_key", "last"}


def of(names: set[str]) -> pytest.MarkDecorator:
    """The test, once for each reducer."""
    return pytest.mark.parametrize("name", sorted(names))


@of(set(CASES))
@given(data=st.data())
def test_it_does_not_matter_how_updates_are_grouped(name: str, data: st.DataObject) -> None:
    """Associative: merged in a subgraph first or one by one, the parent reads the same."""
    merge, values = CASES[name]
    a, b, c = (data.draw(values) for _ in range(3))

    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@of(COMMUTING)
@given(data=st.data())
def test_it_does_not_matter_who_comes_first(name: str, data: st.DataObject) -> None:
    """Commutative: renaming a node must not change what parallel branches add up to."""
    merge, values = CASES[name]
    a, b = data.draw(values), data.draw(values)

    assert merge(a, b) == merge(b, a)


@of(set(IDEMPOTENT))
@given(data=st.data())
def test_an_update_applied_again_changes_nothing(name: str, data: st.DataObject) -> None:
    """Idempotent: a replayed node writes the same thing again."""
    merge, values = CASES[name]
    a, b = data.draw(values), data.draw(values)
    once = merge(a, b)

    assert merge(once, b) == once
    assert merge(once, once) == once


@of(set(CASES))
@given(data=st.data())
def test_inputs_are_left_as_they_were(name: str, data: st.DataObject) -> None:
    """Pure: conditional edges apply a node's writes to a copy that shares the value, and then again for good."""
    merge, values = CASES[name]
    a, b, c = (data.draw(values) for _ in range(3))
    before = deepcopy((a, b, c))
    first = merge(a, b)
    kept = deepcopy(first)

    merge(first, c)

    assert ((a, b, c), first) == (before, kept)


@of(set(CASES))
@given(data=st.data())
def test_nothing_yet_is_neutral(name: str, data: st.DataObject) -> None:
    """A key starts at its type's empty value, or at None in a host with an optional field."""
    merge, values = CASES[name]
    update = data.draw(values)
    kept = merge(type(update)(), update) if update is not None else None

    assert merge(None, kept) == kept == merge(kept, None)


def test_a_sum_counts_a_replay_twice_and_says_where_to_go() -> None:
    """It cannot know better; a user must be told before the invoice does."""
    assert sum_by_key(sum_by_key({}, {"search": 1}), {"search": 1}) == {"search": 2}
    assert "max_by_key" in (sum_by_key.__doc__ or "")


def test_sums_of_integers_are_exact() -> None:
    """Money in micro-USD passes through here; as floats the last digits would go."""
    assert sum_by_key({"usd": 2**53}, {"usd": 1}) == {"usd": 2**53 + 1}


def test_a_clash_in_a_union_is_settled_by_value() -> None:
    """Two branches that wrote the same id must agree on a winner that no node name decides."""
    one, other = {"doc": {"score": 1}}, {"doc": {"score": 2}}

    assert union_by_key(one, other) == union_by_key(other, one) == other


def test_labels_are_a_sorted_list_whatever_was_written() -> None:
    """A set is what people write; a list is what every saver and every UI brings back."""
    assert monotone_labels(["web"], {"web", "mail"}) == ["mail", "web"]


@pytest.mark.parametrize("said", ["x", 1, -0.5, True, [0], {"a": None}, HumanMessage("")])
def test_the_first_value_that_says_something_stays(said: object) -> None:
    """The goal of a thread is what its first message said, whatever a later branch thinks."""
    assert first_wins(first_wins("", said), "later") is said


@pytest.mark.parametrize("blank", [None, "", 0, 0.0, False, [], {}, set()])
def test_a_builtin_that_is_empty_says_nothing(blank: object) -> None:
    """LangGraph starts a key at `typ()`; if that could win, nothing else ever would."""
    assert first_wins(blank, "said") == "said"
    assert first_wins("said", blank) == "said"


def test_a_label_only_climbs() -> None:
    """What has touched a secret stays secret, in whatever order the branches report."""
    assert {reduce(highest(LADDER), labels) for labels in permutations(LADDER)} == {"secret"}


@given(lists=st.lists(st.lists(st.integers(), max_size=9), max_size=5), n=st.integers(1, 7))
def test_the_newest_n_stay(lists: list[list[int]], n: int) -> None:
    """A bounded list is what was written, cut at the old end."""
    assert reduce(last(n), lists, []) == [item for each in lists for item in each][-n:]


def test_an_item_that_comes_again_stands_once_and_newest() -> None:
    """A retried node writes its log line again, and a corrected line replaces the old one."""
    first, again = {"id": 1, "text": "running"}, {"id": 1, "text": "done"}

    assert last_by_id(5)([first, {"id": 2}], [again]) == [{"id": 2}, again]


def test_objects_are_told_apart_by_their_id() -> None:
    """Messages and records of the user's own have `.id`, not a key."""
    message = HumanMessage("hello", id="m1")

    assert last_by_id(5)([message], [message]) == [message]


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (last(3), last(3), last(4)),
        (last_by_id(3), last_by_id(3), last(3)),
        (highest(LADDER), highest(list(LADDER)), highest(("a", "b"))),
    ],
)
def test_a_factory_returns_the_same_function_for_the_same_argument(one: Any, same: Any, other: Any) -> None:
    """LangGraph accepts a key in a second schema only with the very same reducer."""
    assert one is same
    assert one is not other


def test_more_settings_than_a_cache_usually_holds_stay_the_same_functions() -> None:
    """An evicted function would make the next declaration of its key a "different type"."""
    before = last(1)
    for n in range(1, 1_000):
        last(n)
    assert last(1) is before


@pytest.mark.parametrize("make", [last, last_by_id])
@pytest.mark.parametrize("n", [0, -1, True, 1.0, "3", None])
def test_a_bound_that_is_none_is_refused(make: Any, n: object) -> None:
    """`[-0:]` keeps everything: a bound of 0 would be no bound."""
    last(1)  # True and 1.0 are equal to 1, which a cache must not mistake for permission.
    with pytest.raises(ConfigError, match=r"\(n\): must be"):
        make(n)


@pytest.mark.parametrize("ladder", ["public", (), ("a", "a"), ("a", ""), ("a", 1), None, {"a"}])
def test_a_ladder_without_an_order_is_refused(ladder: Any) -> None:
    """At construction, where the line that is wrong is on the stack."""
    with pytest.raises(ConfigError, match="ladder"):
        highest(ladder)


@pytest.mark.parametrize("reducer", [sum_by_key, max_by_key])
@pytest.mark.parametrize("value", [True, "3", None, float("nan"), float("inf"), [1], 1j])
def test_a_figure_that_is_none_is_refused_by_the_name_of_its_key(reducer: Any, value: object) -> None:
    """One NaN, once added, makes a sum NaN for ever; the message must lead to who wrote it."""
    with pytest.raises(ConfigError, match=r"_by_key\['search'\]: must be"):
        reducer({"fetch": 1}, {"search": value})


def test_a_sum_that_overflows_is_refused() -> None:
    """Infinity would be refused one write later, and the blame would fall on an innocent write."""
    with pytest.raises(ConfigError, match="must be finite"):
        sum_by_key({"x": 1e308}, {"x": 1e308})


@pytest.mark.parametrize(
    ("reducer", "value"),
    [
        (sum_by_key, [1]),
        (max_by_key, 1),
        (union_by_key, [{"id": 1}]),
        (last(3), "abc"),
        (last(3), {"a": 1}),
        (last_by_id(3), {"id": 1}),
        (last_by_id(3), [{"name": "x"}]),
        (last_by_id(3), [{"id": ["x"]}]),
        (last_by_id(3), [HumanMessage("without an id")]),
        (monotone_labels, "abc"),
        (monotone_labels, [1]),
        (highest(LADDER), "top-secret"),
        (highest(LADDER), 1),
        (highest(LADDER), ["secret"]),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(reducer: Any, value: object) -> None:
    """A str is a sequence of characters: taken as a list it would fill the key with letters."""
    with pytest.raises(ConfigError):
        reducer(None, value)


def test_a_refusal_does_not_quote_what_was_written() -> None:
    """Errors travel to logs, and a label or a figure may be anything, a person's data included."""
    cases: list[tuple[Any, Any]] = [(highest(LADDER), "hunter2"), (sum_by_key, {"x": "hunter2"}), (last(3), "hunter2")]
    for reducer, value in cases:
        with pytest.raises(ConfigError) as refused:
            reducer(None, value)
        assert "hunter2" not in str(refused.value)
