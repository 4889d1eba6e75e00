"""What counts as the same call, and as the same result."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.policies.loops import digests
from langgraph_guard.policies.loops.digests import LONG, TYPED, exact, failure, near, shape, success

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Odd:
    """What no serialiser knows, and whose author made a mistake."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_digests_are_the_same_in_every_process() -> None:
    """They are kept in checkpoints, and another worker goes on with them. Python's own `hash` would differ."""
    code = "from langgraph_guard.policies.loops.digests import *; print(exact('t', {'q': 1}), success('x'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert other == [exact("t", {"q": 1}), success("x")]


def test_the_stored_digests_are_pinned() -> None:
    """A release that computes them in another way would forget what running turns have done."""
    args = {"order": "Order #4711", "page": 2}
    assert (exact("t", args), near("t", args), shape("t", args)) == ("f713f21093c3", "fb8970a3da69", "09e553dd1089")
    assert (success("pending"), failure("timeout"), failure(None, "boom")) == (
        "8794a167ef2d",
        "!timeout",
        "!7ff3b32ab6b3",
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, OrderedDict(b=2, a=1)),
        ({"page": 1}, {"page": 1.0}),
        ({"q": "kites"}, {"q": "  kites\n"}),
        ({"x": {"b": [1, {"c": 2}], "a": 0}}, {"x": {"a": 0.0, "b": (1.0, {"c": 2})}}),
        ({"of": {"a", "b"}}, {"of": frozenset(["b", "a"])}),
    ],
)
def test_spellings_of_the_same_arguments_are_one_call(one: Any, other: Any) -> None:
    """A model writes the same arguments in many ways; none of them is a change."""
    assert exact("search", one) == exact("search", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"q": "kites"}, {"q": "kite"}),
        ({"q": "1"}, {"q": 1}),
        ({"q": True}, {"q": 1}),
        ({"q": None}, {}),
        ({"q": [1, 2]}, {"q": [2, 1]}),
        ({"a": "b"}, {"b": "a"}),
        ({"q": uuid.UUID(int=1)}, {"q": uuid.UUID(int=2)}),
        ({"q": Decimal("1.0")}, {"q": Decimal("1.5")}),
        ({"q": datetime(2026, 1, 1, tzinfo=UTC)}, {"q": datetime(2026, 1, 2, tzinfo=UTC)}),
    ],
)
def test_other_arguments_are_another_call(one: Any, other: Any) -> None:
    """What is taken for the same is blocked; to take too much for the same breaks healthy runs."""
    assert exact("search", one) != exact("search", other)


def test_the_tool_is_part_of_the_call() -> None:
    """`read(x)` and `delete(x)` are two things."""
    assert exact("read", {"x": 1}) != exact("delete", {"x": 1})
    assert near("read", {"x": 1}) != near("delete", {"x": 1})
    assert shape("read", {"x": 1}) != shape("delete", {"x": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 4711", "Order #4711"),
        ("New York", "new-york"),
        ("STRASSE", "straße"),
        ("4711", 4711),
        ("ｏｒｄｅｒ", "order"),
        ("what's up?", "Whats up"),
    ],
)
def test_near_spellings_are_near(one: Any, other: Any) -> None:
    """The usual way of a model that tries again: another spelling, the same question."""
    assert near("search", {"q": one}) == near("search", {"q": other})
    assert exact("search", {"q": one}) != exact("search", {"q": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [("order 4711", "order 4712"), (2, 3), ("1.5", "15"), ("10-1", "101"), ("+", "-"), ("kites", "kite")],
)
def test_other_words_and_numbers_are_not_near(one: Any, other: Any) -> None:
    """The next page, the next order, another operator: each is a question of its own."""
    assert near("search", {"q": one}) != near("search", {"q": other})


def test_a_long_text_is_near_to_itself_alone() -> None:
    """Two versions of a file may differ in a bracket, and to fold megabytes costs time."""
    text = "f(x) " * TYPED
    assert near("write", {"text": text}) != near("write", {"text": text.replace("(", "[", 1)})


@pytest.mark.parametrize(("one", "other"), [({"page": 2}, {"page": 30}), ({"q": "order 1"}, {"q": "Order #22"})])
def test_numbers_alone_make_no_other_shape(one: Any, other: Any) -> None:
    """How a call that counts up is told from one that asks for something else."""
    assert shape("search", one) == shape("search", other)
    assert shape("search", one) != shape("search", {**one, "more": "words"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pending at 2026-11-21T02:17:00Z", "pending at 2026-11-21T02:17:31.5+00:00"),
        ("pending (checked 02:17:00)", "pending (checked 2:18:09)"),
        (f"job {uuid.UUID(int=7)} waits", f"job {uuid.UUID(int=8)} waits"),
        ("failed, request id: 8f3a-11", "failed, request id: 77-ab"),
        ("failed (req_8f3a11c0)", "failed (req_99aa77bb)"),
        ("<object at 0x7f3a11c0>", "<object at 0x7f3a99ff>"),
        ('{"b": 1, "a": 2, "ts": 7}', '{"a": 2.0, "b": 1, "ts": 8}'),
        ('{"state": {"is": "x", "request_id": "1", "elapsed_ms": 4}}', '{"state": {"is": "x", "request_id": "2"}}'),
        ([{"type": "text", "text": "a  b"}], [{"text": "a b\n", "type": "text"}]),
        ("two  words\n", "two words"),
    ],
)
def test_what_changes_with_every_call_is_no_news(one: Any, other: Any) -> None:
    """A clock in the answer must not make a loop look like progress."""
    assert success(one) == success(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("41 %", "42 %"),
        ("order 4711: pending", "order 4712: pending"),
        ('{"items": [1]}', '{"items": [2]}'),
        ('{"items": []}', '{"items": [], "next": 2}'),
        ("due 2026-11-21", "due 2026-11-22"),
        ("Pending", "pending"),
        ("", "null"),
    ],
)
def test_everything_else_that_changes_is_news(one: Any, other: Any) -> None:
    """To miss progress is worse than to miss a loop: it stops a run that gets on."""
    assert success(one) != success(other)


@pytest.mark.parametrize("at", [0, LONG // 2, LONG + 5])
def test_a_long_result_is_compared_whole(at: int) -> None:
    """The page that differs in its middle is another page."""
    text = "x" * (LONG + 10)
    assert success(text) != success(text[:at] + "y" + text[at + 1 :])
    assert success(text) == success("x" * (LONG + 10))


def test_a_long_result_is_not_taken_apart() -> None:
    """Megabytes of JSON are not read by a guard between two steps; at worst a loop is found later."""
    for long, same in ((9, True), (LONG, False)):
        text = "x" * long
        assert (success(f'{{"a": 1, "b": "{text}"}}') == success(f'{{"b": "{text}", "a": 1}}')) is same


def test_errors_of_a_type_are_the_same_whatever_they_say() -> None:
    """ "no answer after 5.02 s", "no answer after 5.01 s": the service is as down as before."""
    assert failure("timeout", "no answer after 5.02 s") == failure("timeout", "gone") != failure("transient", "gone")


def test_errors_without_a_type_are_the_same_but_for_their_numbers() -> None:
    """What LangGraph's own ToolNode writes for an exception."""
    assert failure(None, "Error: timed out after 5.02 s") == failure(None, "Error: timed out after 17.3 s")
    assert failure(None, "Error: timed out") != failure(None, "Error: not found")


def test_an_error_is_never_the_same_as_a_success() -> None:
    """A tool that says "timeout" and one that had one are two things."""
    assert failure(None, "x") != success("x")
    assert failure("timeout") != success("timeout")


@settings(deadline=None)
@given(args=JSON, tool=st.text())
def test_any_json_has_its_digests(args: Any, tool: str) -> None:
    """A guard that fails on odd arguments fails the run that it guards."""
    for digest in (exact(tool, args), near(tool, args), shape(tool, args), success(args)):
        assert len(digest) == 12


@settings(deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_a_result(text: str) -> None:
    """Half JSON, half a surrogate pair, a thousand brackets: tools return all of it."""
    assert success(text) == success(text)
    assert failure(None, text).startswith("!")


def deep() -> Any:
    """A list in a list in a list, far deeper than Python calls functions."""
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


def endless() -> Any:
    """A list that holds itself, twice."""
    value: list[Any] = []
    value += [value, value]
    return value


@pytest.mark.parametrize(
    "args",
    [
        Odd(),
        {Odd(): Odd()},
        {1: "a", "1": "b"},
        {(1, 2): b"\xff"},
        deep(),
        endless(),
        10**5_000,
        float("inf"),
        float("nan"),
        "\ud800",
        {"x": "[" * 100_000},
    ],
    ids=range(11),
)
def test_odd_values_have_a_digest_too(args: Any) -> None:
    """In-process models and tests put anything into arguments."""
    assert exact("t", args) == exact("t", args)
    assert near("t", args) == near("t", args)
    assert len(success(args)) == len(digests.digest("")) == 12


def test_brackets_without_end_are_a_result() -> None:
    """JSON's own reader gives up on them with a RecursionError."""
    assert success("[" * 40_000) != success("[" * 40_001)
