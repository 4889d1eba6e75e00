"""Of a result a model reads the fields of the contract, in an order that no replica decides."""

from __future__ import annotations

import inspect
import json
import pickle
import random
import sys
from collections import UserDict, namedtuple
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.content.reading import MOST_CHARS, MOST_VALUES, UnreadableResult
from langgraph_guard.tools.content.select import ordered, select, selection

ORDER: dict[str, Any] = {
    "id": 7,
    "a.b": "dotted",
    "*": "starred",
    "customer": {"name": "Ada", "mail": "ada@example.org", "address": None},
    "items": [{"id": 2, "price": {"net": 5, "tax": 1}}, {"id": 1, "note": "x"}, "free text"],
    "grid": [[{"id": 1, "x": 0}], [{"id": 2}]],
    "none": [],
}

SELECTED: dict[str, tuple[Any, list[str], Any]] = {
    "a field": (ORDER, ["id"], {"id": 7}),
    "a field of a field": (ORDER, ["customer.name"], {"customer": {"name": "Ada"}}),
    "of each element": (ORDER, ["items.id"], {"items": [{"id": 2}, {"id": 1}]}),
    "of some elements": (ORDER, ["items.note"], {"items": [{}, {"note": "x"}]}),
    "of lists in a list": (ORDER, ["grid.id"], {"grid": [[{"id": 1}], [{"id": 2}]]}),
    "with all that is in it": (ORDER, ["customer"], {"customer": ORDER["customer"]}),
    "null is a value": (ORDER, ["customer.address"], {"customer": {"address": None}}),
    "an empty list stays": (ORDER, ["none.id"], {"none": []}),
    "what is missing is absent": (ORDER, ["id", "nope", "customer.nope", "id.nope"], {"id": 7, "customer": {}}),
    "every value": ({"x": {"v": 1, "w": 2}, "y": {"v": 3}}, ["*.v"], {"x": {"v": 1}, "y": {"v": 3}}),
    "every element": ([{"v": 1, "w": 2}, {"v": 3}], ["*.v"], [{"v": 1}, {"v": 3}]),
    "all": ({"b": 1, "a": 2}, ["*"], {"a": 2, "b": 1}),
    "a star and a name": (
        {"x": {"v": 1, "w": 2}, "y": {"v": 3}},
        ["*.v", "x.w"],
        {"x": {"w": 2, "v": 1}, "y": {"v": 3}},
    ),
    "a dot in a key": (ORDER, [r"a\.b"], {"a.b": "dotted"}),
    "a star that is a key": (ORDER, [r"\*"], {"*": "starred"}),
    "a list at the top": ([{"id": 1, "x": 0}, {"x": 1}], ["id"], [{"id": 1}, {}]),
    "keys that are numbers": ({1: "one", False: "no", None: "none"}, ["1", "null"], {"1": "one", "null": "none"}),
    "no paths": (ORDER, [], ORDER),
    "a number": (5, ["id"], 5),
    "nothing": (None, ["id"], None),
}


@pytest.mark.parametrize("case", SELECTED)
def test_the_fields_of_the_contract_stay(case: str) -> None:
    """200 irrelevant fields around three useful ones poison a context."""
    value, keep, expected = SELECTED[case]

    assert select(value, keep) == expected


class Customer(BaseModel):
    name: str
    key: SecretStr = SecretStr("sk-1")
    inner: str = Field("not for others", exclude=True)


@dataclass
class Line:
    id: int
    customer: Customer
    tags: set[str] = field(default_factory=set)


Point = namedtuple("Point", "x y")

KINDS: dict[str, tuple[Any, list[str], Any]] = {
    "dataclass": (Line(3, Customer(name="Ada")), ["id", "customer.name"], {"id": 3, "customer": {"name": "Ada"}}),
    "model": (Customer(name="Ada"), ["name", "inner"], {"name": "Ada"}),
    "set": (Line(3, Customer(name="Ada"), {"b", "c", "a"}), ["tags"], {"tags": ["a", "b", "c"]}),
    "mapping": (UserDict({"id": 1, "x": 2}), ["id"], {"id": 1}),
    "tuple": (({"id": 1, "x": 2},), ["id"], [{"id": 1}]),
    "named tuple": ([Point(1, 2)], ["*"], [[1, 2]]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_python_have_fields_too(kind: str) -> None:
    """Tools return what their libraries return; what a model leaves out of its dumps stays out."""
    value, keep, expected = KINDS[kind]

    assert select(value, keep) == expected


def test_a_secret_stays_masked() -> None:
    """A contract that keeps a whole object must not unmask what the object masks."""
    assert "sk-1" not in json.dumps(select(Line(3, Customer(name="Ada")), ["customer"]))


def test_a_json_text_is_selected_from_and_stays_a_text() -> None:
    """Many tools return `json.dumps(…)`: to LangChain that is a string like any other."""
    assert select(json.dumps(ORDER, indent=2), ["customer.name"]) == '{"customer":{"name":"Ada"}}'


def test_the_json_in_content_blocks_is_selected_from() -> None:
    """Tools of MCP servers return their JSON in a text block; an image beside it is none of a path's business."""
    image = {"type": "image", "url": "https://example.org/i.png"}

    assert select([{"type": "text", "text": '{"id": 1, "x": 2}'}, image], ["id"]) == [
        {"type": "text", "text": '{"id":1}'},
        image,
    ]


def test_a_list_of_files_is_data_and_not_content() -> None:
    """`file` is a type of content blocks, and of what half of all file tools return."""
    assert select([{"type": "file", "path": "a", "size": 1}], ["path"]) == [{"path": "a"}]


@pytest.mark.parametrize(
    "text", ["", "sunny, 21 °C", '"quoted"', "12", "{not json", "[1, 2", '{"a": 1} trailing', "[" + "1" * 5_000 + "]"]
)
def test_a_text_that_is_no_json_stays_and_says_so(text: str) -> None:
    """Half a text would be worse than all of it, and who keeps fields of it should learn that there are none."""
    found = selection(text, ["id"])

    assert (found.value, found.applied) == (text, False)


def test_paths_that_led_nowhere_are_named() -> None:
    """A service renames a field, and a contract that keeps the old name keeps nothing, silently."""
    keep = ["id", "customer.nope", "items.price.net", "items.nope", "*.name", r"x\.y"]

    assert selection(ORDER, keep).missing == ("customer.nope", "items.nope", r"x\.y")


def test_what_is_inside_a_field_that_is_kept_is_not_missing() -> None:
    """Two paths of which one contains the other are one wish."""
    assert selection({"a": {"b": 1}}, ["a", "a.c", "*", "z.y"]).missing == ()


def test_fields_come_in_the_order_of_the_contract() -> None:
    """Two replicas that send their keys in different orders make the same bytes."""
    one, other = {"id": 1, "name": "x", "z": 0}, {"z": 0, "name": "x", "id": 1}

    assert (
        json.dumps(select(one, ["name", "id"])) == json.dumps(select(other, ["name", "id"])) == '{"name": "x", "id": 1}'
    )


WRONG: dict[str, tuple[Any, str]] = {
    "one text": ("a.b", "keep"),
    "no list": (5, "keep"),
    "a number": ([5], "keep[0]"),
    "a list": ([["a"]], "keep[0]"),
    "empty": (["a", ""], "keep[1]"),
    "two dots": (["a..b"], "keep[0]"),
    "a dot at the end": (["a."], "keep[0]"),
    "a backslash before a letter": ([r"a\b"], "keep[0]"),
    "a backslash at the end": (["a\\"], "keep[0]"),
    "too long": (["a" * 1_001], "keep[0]"),
    "too many": (["a"] * 501, "keep"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_path_that_is_none_is_refused_by_its_place(case: str) -> None:
    """A contract is written by hand."""
    keep, where = WRONG[case]

    with pytest.raises(ConfigError) as refused:
        select({}, keep)
    assert refused.value.field == where


# Order

ORDERED: dict[str, tuple[Any, list[str], Any]] = {
    "the list itself": ([{"id": 2}, {"id": 1}], ["id"], [{"id": 1}, {"id": 2}]),
    "in a field": ({"r": [{"id": 2}, {"id": 1}]}, ["r.id"], {"r": [{"id": 1}, {"id": 2}]}),
    "by a field of a field": ([{"a": {"n": 2}}, {"a": {"n": 1}}], ["a.n"], [{"a": {"n": 1}}, {"a": {"n": 2}}]),
    "by the first path first": (
        [{"s": 1, "id": 2}, {"s": 0, "id": 3}, {"s": 1, "id": 1}],
        ["s", "id"],
        [{"id": 3, "s": 0}, {"id": 1, "s": 1}, {"id": 2, "s": 1}],
    ),
    "the innermost list": (
        {"g": [{"n": "z", "i": [3, 1]}, {"n": "a", "i": [2]}]},
        ["g.i"],
        {"g": [{"i": [1, 3], "n": "z"}, {"i": [2], "n": "a"}]},
    ),
    "both lists": (
        {"g": [{"n": "z", "i": [3, 1]}, {"n": "a", "i": [2]}]},
        ["g.i", "g.n"],
        {"g": [{"i": [2], "n": "a"}, {"i": [1, 3], "n": "z"}]},
    ),
    "by the elements": (["b", "a"], ["*"], ["a", "b"]),
    "lists in every field": ({"x": [2, 1], "y": [4, 3]}, ["*"], {"x": [1, 2], "y": [3, 4]}),
    "mixed": (
        [{"id": 3}, {"id": "b"}, {"id": None}, {"id": 1.5}, {}, {"id": True}],
        ["id"],
        [{"id": "b"}, {"id": None}, {}, {"id": True}, {"id": 1.5}, {"id": 3}],
    ),
    "no such list": ({"b": 1, "a": [2, 1]}, ["nope.id"], {"b": 1, "a": [2, 1]}),
    "a text": ("b a", ["id"], "b a"),
    "json": ('[{"id": 2}, {"id": 1}]', ["id"], '[{"id":1},{"id":2}]'),
}


@pytest.mark.parametrize("case", ORDERED)
def test_lists_are_sorted_by_the_contracts_key(case: str) -> None:
    """A replica that lags returns the same documents in another order, and the agent reasons otherwise."""
    value, sort_key, expected = ORDERED[case]

    assert ordered(value, sort_key) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "r", "a.b", "*"]), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from(["id", "r", "r.id", "*", "*.id", r"a\.b", "r.r.id", r"\*"]), min_size=1, max_size=3)


def _shuffled(value: Any, dice: random.Random) -> Any:
    """The same, as another replica would say it: keys of mappings in another order."""
    if isinstance(value, dict):
        return {key: _shuffled(value[key], dice) for key in dice.sample(sorted(value), len(value))}
    return [_shuffled(each, dice) for each in value] if isinstance(value, list) else value


@given(elements=st.lists(JSON, max_size=6), dice=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_same_elements_make_the_same_bytes(elements: list[Any], dice: random.Random) -> None:
    """Ties between elements are where two replicas would still differ."""
    other = [_shuffled(each, dice) for each in dice.sample(elements, len(elements))]
    # An element that is a list would be the innermost one, and the order of the outer one its own.
    one, two = ([{"e": each} for each in group] for group in (elements, other))

    assert json.dumps(ordered({"r": one}, ["r.id"])) == json.dumps(ordered({"r": two}, ["r.id"]))


@given(value=JSON, paths=PATHS)
@settings(deadline=None)
def test_what_was_returned_is_never_changed(value: Any, paths: list[str]) -> None:
    """The tool may keep the object that it returned, in a cache for instance."""
    before = deepcopy(value)
    select(value, paths)
    ordered(value, paths)

    assert json.dumps(value) == json.dumps(before)


@given(value=JSON, paths=PATHS)
@settings(deadline=None)
def test_nothing_changes_when_it_is_done_twice(value: Any, paths: list[str]) -> None:
    """A replay of a call meets a result that was selected from."""
    kept = select(value, paths)
    assert isinstance(value, str) or select(kept, paths) == kept
    sorted_once = ordered(value, paths)
    assert json.dumps(ordered(sorted_once, paths)) == json.dumps(sorted_once)


# What has no end


def _cycle() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    inner["a"] = [inner]
    return inner


def _doubling() -> dict[str, Any]:
    value: Any = "x"
    for _ in range(64):
        value = [value, value]
    return {"a": value}


def _deep() -> dict[str, Any]:
    value: Any = "x"
    for _ in range(10_000):
        value = {"a": value}
    return {"a": value}


class Endless(BaseModel):
    a: Any = None


def _endless() -> Endless:
    model = Endless()
    model.a = [model]
    return model


ENDLESS: dict[str, Any] = {
    "a cycle": _cycle(),
    "10,000 levels": _deep(),
    "10,000 levels of JSON": '{"a":' + "[" * 10_000 + "]" * 10_000 + "}",
    "JSON that never closes": "[" * 1_000_000,
    "the same list in itself 2^64 times": _doubling(),
    "a model that holds itself": _endless(),
    "JSON of more than 10 MB": f'{{"a": "{"x" * MOST_CHARS}"}}',
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("act", [select, ordered])
def test_a_result_without_end_is_refused(kind: str, act: Any) -> None:
    """A tool's bug must become an answer to the model, not the end of the process."""
    with pytest.raises(UnreadableResult, match="the tool's result "):
        act(ENDLESS[kind], ["a"])


def _from_far_down(act: Any, frames: int) -> Any:
    return act() if frames == 0 else _from_far_down(act, frames - 1)


@pytest.mark.parametrize("act", [select, ordered])
def test_a_result_may_have_a_hundred_levels(act: Any) -> None:
    """No API that anyone uses nests deeper; and from deep down in a program it is an answer, too, never a crash."""
    text = '{"a":' + "[" * 99 + "]" * 99 + "}"

    assert act(text, ["a"]) == text
    with pytest.raises(UnreadableResult):
        _from_far_down(lambda: act(text, ["a"]), sys.getrecursionlimit() - len(inspect.stack()) - 60)


def test_what_the_contract_does_not_keep_is_not_walked_through() -> None:
    """A client object that holds itself is beside the data more often than in it."""
    assert select({"id": 1, "client": _cycle()}, ["id"]) == {"id": 1}


def test_ten_megabytes_are_selected_from() -> None:
    """The largest result that is promised to work."""
    rows = [{"id": at, "body": "x" * 980} for at in range(10_000)]

    assert len(select(json.dumps(rows), ["id"])) < 120_000


def test_how_many_values_there_may_be_is_bounded() -> None:
    """The bound is on what would be written out, whatever little memory it takes."""
    assert len(select({"a": [0] * (MOST_VALUES - 1)}, ["a"])["a"]) == MOST_VALUES - 1
    with pytest.raises(UnreadableResult, match="more than 1,000,000 values"):
        select({"a": [0] * MOST_VALUES}, ["a"])


@pytest.mark.parametrize("text", ['{"a":"\\ud800"}', '{"a":"ü€😀"}', '{"a":"\\u0000"}'])
def test_what_is_written_again_has_utf_8(text: str) -> None:
    """A half character in a JSON text is legal, and no socket takes it."""
    written = select(text, ["a"])

    assert json.loads(written.encode()) == json.loads(text)


def test_a_refusal_survives_a_pickle() -> None:
    """Tools run in other processes, too."""
    refused = pickle.loads(pickle.dumps(UnreadableResult("is too large")))

    assert (str(refused), refused.problem) == ("the tool's result is too large", "is too large")
