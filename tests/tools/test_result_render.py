"""What the model reads of a result: short, the same bytes each time, and what to do next."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, UserDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from langgraph_guard.tools.results.advice import ERROR_TYPES, WAITS, ErrorType, next_step
from langgraph_guard.tools.results.plain import DEEPEST, plain
from langgraph_guard.tools.results.result import MOST_MESSAGE, ToolResult


def data_of(value: object) -> Any:
    """What the model finds under `data`."""
    return json.loads(ToolResult.success(value).render())["data"]


@pytest.mark.parametrize(
    ("result", "bytes_"),
    [
        (ToolResult.success({"b": 1, "a": [None, "é"]}), '{"status":"success","data":{"a":[null,"é"],"b":1}}'),
        (ToolResult.success(), '{"status":"success"}'),
        (
            ToolResult.error("rate_limit", "Too many.", retry_after=60),
            (
                '{"status":"error","error_type":"rate_limit","retry_safe":true,"retry_after":60,"message":"Too many.",'
                '"next":"Do not call it before 60 s have passed; go on with something else, or tell the user that the'
                ' service is busy."}'
            ),
        ),
        (
            ToolResult.error("permanent", "No order 17.", data={"order": 17}),
            (
                '{"status":"error","error_type":"permanent","retry_safe":false,"message":"No order 17.",'
                '"data":{"order":17},'
                '"next":"Do not call it again with these arguments; go on without it, or tell the user."}'
            ),
        ),
    ],
)
def test_what_the_model_reads_is_pinned(result: ToolResult, bytes_: str) -> None:
    """Prompt caches and recorded tests compare bytes."""
    assert result.render() == bytes_


def test_the_order_in_which_a_tool_built_its_data_does_not_show() -> None:
    """Results in another order made another answer: the article's debugging story."""
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert ToolResult.success(one).render() == ToolResult.success(other).render()


@pytest.mark.parametrize(
    ("kind", "safe", "after", "what"),
    [
        ("transient", True, None, "Call it once more with the same arguments"),
        ("transient", False, None, "may have taken effect"),
        ("transient", True, 3.2, "before 4 s have passed"),
        ("timeout", True, None, "Do not take this for a result"),
        ("timeout", True, 5.0, "never take this for a result"),
        ("timeout", False, None, "its outcome is not known"),
        ("timeout", False, 5.0, "Do not call it again"),
        ("rate_limit", True, 60.0, "before 60 s have passed"),
        ("rate_limit", True, None, "Do not call it again at once"),
        ("rate_limit", False, 60.0, "Do not call it again"),
        ("validation", False, None, "Correct the call as the message says, and make it once more"),
        ("circuit_open", False, None, "say that it is unavailable"),
        ("circuit_open", False, 12.0, "before 12 s have passed; answer without it"),
        ("denied", False, None, "Do not call it again"),
        ("denied", False, 60.0, "before 60 s have passed"),
        ("permanent", False, None, "Do not call it again with these arguments"),
    ],
)
def test_each_failure_says_what_to_do_next(kind: ErrorType, safe: bool, after: float | None, what: str) -> None:
    """A model that is told does; one that is not told tries again."""
    assert what in next_step(kind, safe, after)


@pytest.mark.parametrize("kind", ERROR_TYPES)
@pytest.mark.parametrize("after", [None, 0.0, 1.5])
def test_the_advice_is_one_short_order(kind: ErrorType, after: float | None) -> None:
    """It is read at each failure, and paid for."""
    said = next_step(kind, False, after if kind in WAITS else None)
    assert said.startswith(("Do not ", "Call ", "Correct ")), said
    assert (said.endswith("."), len(said) < 200) == (True, True)


@pytest.mark.parametrize("kind", ["timeout", "transient", "rate_limit"])
def test_what_must_not_be_repeated_never_reads_like_an_invitation(kind: ErrorType) -> None:
    """Half of all loops start with "please try again"."""
    said = next_step(kind, False, None)
    assert ("once more" in said, "Do not call it again" in said) == (False, True)


class Colour(Enum):
    """An enum of strings."""

    RED = "red"


class Size(StrEnum):
    """An enum that is a string."""

    BIG = "big"


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: Any


class Order(BaseModel):
    """A model with a secret and a field that is not for others."""

    id: int
    key: SecretStr = SecretStr("hunter2")
    internal: str = Field(default="hunter2", exclude=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "NaN"),
        (-math.inf, "-Infinity"),
        (b"text", "text"),
        (b"\xff\x00", "<2 bytes>"),
        (bytearray(b"a\0"), "<2 bytes>"),
        (memoryview(b"abc"), "<3 bytes>"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("0.10"), "0.10"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Size.BIG, "big"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a", 1}), ["a", "b", 1]),
        ((1, (2,)), [1, [2]]),
        (deque([1]), [1]),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        (Point(1, Point(2, None)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Order(id=3), {"id": 3, "key": "<SecretStr>"}),
        (2**64, str(2**64)),
        (10**5_000, "<an integer of 16610 bits>"),
        ("\ud800x", "?x"),
        (np.float64(1.5), 1.5),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.int64(3), 3),
        (object(), "<object>"),
        (Point, "<type>"),
        (len, "<builtin_function_or_method>"),
        (iter([1]), "<list_iterator>"),
        (ValueError("hunter2"), "<ValueError>"),
        ({"rows": [object()]}, {"rows": ["<object>"]}),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_every_value_has_a_plain_form(value: object, shown: object) -> None:
    """Tools return what their libraries return."""
    assert data_of(value) == shown


def test_a_cycle_ends_at_the_name_of_its_kind() -> None:
    """The rest of the data is as good as before."""
    order: dict[str, Any] = {"id": 17}
    order["customer"] = {"orders": [order]}
    assert data_of(order) == {"id": 17, "customer": {"orders": ["<dict>"]}}


def test_the_same_part_twice_is_no_cycle() -> None:
    """An address that is billed and shipped to appears in both places."""
    address = {"city": "Ulm"}
    assert data_of({"bill": address, "ship": address}) == {"bill": address, "ship": address}


def test_a_model_that_holds_itself_is_named() -> None:
    """ORM objects do this all the time."""
    point = Point(1, None)
    point.y = point
    assert data_of(point) == {"x": 1, "y": "<Point>"}


def test_nesting_without_end_is_cut() -> None:
    """Parsers and models have limits, and this is below all of them."""
    nested: Any = "bottom"
    for _ in range(100_000):
        nested = [nested]
    assert ToolResult.success(nested).render().count("[") == DEEPEST


def test_a_structure_that_unfolds_into_millions_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten lists of ten lists of …: small in memory, endless on paper."""
    monkeypatch.setattr("langgraph_guard.tools.results.plain.MOST_ITEMS", 1_000)
    bomb: Any = "x"
    for _ in range(20):
        bomb = [bomb] * 10
    assert "<and more>" in ToolResult.success(bomb).render()


class Hostile:
    """Raises whatever one does with it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("hunter2")

    def __repr__(self) -> str:
        raise RuntimeError("hunter2")

    def __iter__(self) -> Any:
        raise RuntimeError("hunter2")


class HostileDict(dict[str, Any]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("hunter2")


class HostileText(str):
    """A text that says something else when asked."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("hunter2")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(Hostile(), "<Hostile>"), (HostileDict(a=1), "<HostileDict>"), (HostileText("fine"), "fine")],
    ids=["object", "mapping", "text"],
)
def test_an_object_that_fights_back_is_named(value: object, shown: str) -> None:
    """One bad field must not cost the answer."""
    assert data_of([value, 1]) == [shown, 1]


def test_ten_megabytes_are_cut_where_the_contract_says() -> None:
    """The whole context of a model is a tenth of that; the artifact has the rest."""
    message = ToolResult.success("é\n" * 5_000_000).to_message("1", max_chars=2_000)
    read = json.loads(str(message.content))
    assert (len(message.content) < 2_100, read["cut"], len(message.artifact["data"])) == (
        True,
        "the first 1332 of 10000000 characters",
        10_000_000,
    )


def test_a_cut_text_is_a_text_and_cut_data_are_the_head_of_their_json() -> None:
    """A page is read from its start; so are rows."""
    page, rows = ToolResult.success("abc" * 100).render(12), ToolResult.success([{"id": 1}] * 100).render(12)
    assert (json.loads(page)["data"], json.loads(rows)["data"]) == ("abcabcabca", '[{"id":1')


def test_a_long_message_is_clipped() -> None:
    """Somebody will put a page of HTML into it."""
    assert len(json.loads(ToolResult.error("permanent", "x" * 100_000).render())["message"]) == MOST_MESSAGE


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.decimals(),
    st.datetimes(),
    st.timedeltas(),
    st.complex_numbers(),
    st.builds(object),
    st.builds(Hostile),
    st.builds(Point, st.integers(), st.text()),
    st.sampled_from([Colour.RED, Size.BIG, len, Point]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none(), st.binary()), inner),
        st.builds(Point, st.integers(), inner),
        st.builds(HostileDict),
    ),
    max_leaves=30,
)
results = st.one_of(
    st.builds(ToolResult.success, values, st.text()),
    st.builds(
        lambda kind, message, after, data: ToolResult.error(
            kind, message, retry_after=after if kind in WAITS else None, data=data
        ),
        st.sampled_from(ERROR_TYPES),
        st.text(st.characters()),
        st.none() | st.floats(0, 1e9),
        values,
    ),
)


ORDER = ("status", "error_type", "retry_safe", "retry_after", "message", "data", "cut", "next")


@given(results, st.integers(-5, 500))
@settings(max_examples=200)
def test_whatever_a_tool_returns_the_model_reads_bounded_json(result: ToolResult, most: int) -> None:
    """Never raises, always JSON, never longer than asked for and the sentences around it, always sendable."""
    shown = result.render(most)
    read = json.loads(shown)
    assert [*read] == [name for name in ORDER if name in read]
    assert len(shown.encode("utf-8")) <= 4 * max(most, 2) + 6 * len(result.message) + 700
    assert shown == result.model_copy().render(most)


@given(results)
@settings(max_examples=200)
def test_whatever_a_tool_returns_is_kept_as_it_is_read(result: ToolResult) -> None:
    """An artifact comes back as what it was, from any checkpointer."""
    artifact = result.artifact()
    assert json.loads(json.dumps(artifact, allow_nan=False)) == artifact
    kept = ToolResult.parse(artifact)
    assert kept is not None
    assert kept.render() == result.render()


@given(values)
def test_plain_values_stay_as_they_are(value: Any) -> None:
    """What was made plain once is plain: artifacts are rendered again after a restart."""
    once = plain(value)
    assert plain(once) == once
