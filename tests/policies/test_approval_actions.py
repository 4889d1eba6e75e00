"""What people agree to has one text and one digest, and everything else has another."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import ActionRefused
from langgraph_guard.policies.approval.actions import DEEPEST, Action, approval_id, hashed

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(args=st.dictionaries(st.text(), plain, max_size=4))
def test_the_order_of_keys_does_not_matter(args: dict[str, Any]) -> None:
    """A store, or a user interface, may sort them."""
    backwards = OrderedDict(reversed(args.items()))
    assert Action("pay", backwards).digest == Action("pay", args).digest


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "é", "e\u0301", None, "null", [], {}, [1], ["1"], "\ud800"])
def test_what_differs_has_another_digest(value: Any) -> None:
    """Look-alikes and values that are equal in Python among them."""
    others = [1, 1.0, True, "1", "é", "e\u0301", None, "null", [], {}, [1], ["1"], "\ud800"]
    same = [each for each in others if Action("t", {"a": each}).digest == Action("t", {"a": value}).digest]
    assert [(type(each), each) for each in same] == [(type(value), value)]


def test_a_digest_is_of_the_tool_too() -> None:
    """An approval to send is none to delete."""
    assert Action("send", {"id": 1}).digest != Action("delete", {"id": 1}).digest


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "args.a is not a finite number"),
        (float("inf"), "args.a is not a finite number"),
        (b"secret", "args.a is a bytes"),
        ({1, 2}, "args.a is a set"),
        (object(), "args.a is a object"),
        ({"b": {1: 2}}, "args.a.b has a key that is a int"),
        ([0, b"secret"], "args.a.1 is a bytes"),
        (10**5_000, "args have a number with more digits"),
    ],
    ids=["nan", "inf", "bytes", "set", "object", "key", "inside", "digits"],
)
def test_what_has_no_one_text_is_refused(value: Any, told: str) -> None:
    """Nobody can say what they agree to; and the error does not quote it."""
    with pytest.raises(ActionRefused) as caught:
        Action("pay", {"a": value})
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [{"b": 10**30}]], ids=["large", "small", "inside"])
def test_an_edit_is_what_a_checkpoint_can_keep(value: Any) -> None:
    """The next reviewer is asked about it, and a run whose question cannot be stored would fail for ever."""
    with pytest.raises(ActionRefused, match="64 bits"):
        Action.edited("pay", {"a": value})


def test_an_edit_may_have_the_largest_number_that_is_kept() -> None:
    """Both ends of what 64 bits can say."""
    args = {"a": [2**64 - 1, -(2**63), True]}
    assert Action.edited("pay", args) == Action("pay", args)


def test_a_value_that_holds_itself_is_refused() -> None:
    """It has no end; a hundred thousand levels are no better."""
    args: dict[str, Any] = {}
    args["a"] = args
    with pytest.raises(ActionRefused, match=f"deeper than {DEEPEST}"):
        Action("pay", args)


def test_a_document_is_refused() -> None:
    """A megabyte of arguments is reviewed by nobody."""
    with pytest.raises(ActionRefused, match="the limit is"):
        Action("send", {"body": "x" * 1_000_001})


@given(parts=st.lists(st.text(max_size=3), max_size=4), others=st.lists(st.text(max_size=3), max_size=4))
def test_parts_do_not_run_together(parts: list[str], others: list[str]) -> None:
    """`["a", "bc"]` and `["ab", "c"]` are two things."""
    assert (hashed(*parts) == hashed(*others)) == (parts == others)


def test_an_approval_id_is_bound_to_all_that_it_is_about() -> None:
    """To whom it belongs, where it was asked, which call it is and what it does."""
    parts = ["tenant", "thread", "ns", "call", "digest"]
    ids = {approval_id(*parts)} | {approval_id(*parts[:at], "other", *parts[at + 1 :]) for at in range(5)}
    assert len(ids) == 6
    assert approval_id(*parts) == approval_id(*parts)


@pytest.mark.parametrize(
    "tool", ["", "x" * 1_001, "half a pair \ud83e", None, 7], ids=["empty", "long", "half", "none", "int"]
)
def test_a_tool_has_a_name_that_a_store_can_keep(tool: Any) -> None:
    """A model may name what does not exist; it is told so, and the run goes on."""
    with pytest.raises(ActionRefused, match="its name ") as caught:
        Action(tool, {})
    assert len(str(caught.value)) < 250
