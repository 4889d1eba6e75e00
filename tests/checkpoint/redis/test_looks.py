"""What is seen of an element that somebody edits: everything in it that becomes something else, however deep."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict

from langgraph_guard.checkpoint.redis.looks import changed_looks, look_of, looks_of


class Item(BaseModel):
    """A user's model."""

    tags: list[Any] = []
    more: Any = None


class Thing(Item):
    """Another one with the same fields."""


class Open(BaseModel):
    """One that takes whatever it is given."""

    model_config = ConfigDict(extra="allow")


@dataclass
class Basket:
    """A user's dataclass."""

    items: list[Any] = field(default_factory=list)
    owner: Any = None


class Sack(Basket):
    """Another one with the same fields."""


@dataclass(slots=True)
class Slotted:
    """One that has no `__dict__`."""

    items: list[Any] = field(default_factory=list)


class Half(Slotted):
    """One that has a `__dict__` beside its slots."""


class Both:
    """One that names both itself."""

    __slots__ = ("__dict__", "items")

    def __init__(self) -> None:
        self.items = [1]


@dataclass(frozen=True)
class Frozen:
    """One that can be in a set."""

    items: tuple[Any, ...] = ()


class Plain:
    """An object like any other."""

    def __init__(self) -> None:
        self.items = [1]


class Pair(NamedTuple):
    """A tuple with names."""

    one: Any
    two: Any


class Colour(Enum):
    """One of few."""

    RED = "red"


class Watched:
    """An element, and what it looked like."""

    def __init__(self, element: Any) -> None:
        self.element = element
        beside = [HumanMessage("first", id="1"), element]
        self._alone, self._beside, self._list = look_of(element), looks_of(beside), beside

    @property
    def changed(self) -> bool:
        """What one says who knows this element alone, and one who knows it in a list."""
        alone = changed_looks([self.element], [self._alone]) == [0]
        assert (changed_looks(self._list, self._beside) == [1]) is alone
        return alone


def asking(**args: Any) -> AIMessage:
    """A message with a tool call."""
    return AIMessage("", id="a", tool_calls=[{"name": "find", "args": args, "id": "c"}])


def told(**metadata: Any) -> AIMessage:
    """A message with what a provider said of it."""
    return AIMessage("", id="a", response_metadata=metadata)


def holding(artifact: Any) -> ToolMessage:
    """What a tool found, beside what it told the model."""
    return ToolMessage("", tool_call_id="c", id="t", artifact=artifact)


def spoken(*blocks: Any) -> HumanMessage:
    """A message of content blocks."""
    return HumanMessage(list(blocks), id="h")


def wrapped(inner: Any, depth: int) -> Any:
    """Something as deep as that below a message's fields."""
    for _ in range(depth):
        inner = {"in": inner}
    return told(**inner)


def innermost(element: Any, depth: int) -> Any:
    """What was wrapped."""
    inner = element.response_metadata
    for _ in range(depth - 1):
        inner = inner["in"]
    return inner


USAGE: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}

EDITS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "a message's first extra": (told, lambda it: it.additional_kwargs.update(a=1)),
    "a tool call's name": (asking, lambda it: it.tool_calls[0].update(name="other")),
    "a tool call more": (asking, lambda it: it.tool_calls.append(it.tool_calls[0])),
    "a tool call's argument": (lambda: asking(q="a"), lambda it: it.tool_calls[0]["args"].update(q="b")),
    "a tool call's first argument": (asking, lambda it: it.tool_calls[0]["args"].update(q="b")),
    "in a tool call's argument": (lambda: asking(q=["a"]), lambda it: it.tool_calls[0]["args"]["q"].append("b")),
    "deep in an argument": (lambda: asking(q=[{"a": [1]}]), lambda it: it.tool_calls[0]["args"]["q"][0]["a"].pop()),
    "what a provider said": (lambda: told(usage={"n": 1}), lambda it: it.response_metadata["usage"].update(n=2)),
    "usage": (lambda: AIMessage("", usage_metadata=USAGE), lambda it: it.usage_metadata.update(input_tokens=7)),
    "usage's details": (
        lambda: AIMessage("", usage_metadata={**USAGE, "input_token_details": {"audio": 1}}),
        lambda it: it.usage_metadata["input_token_details"].update(audio=2),
    ),
    "a content block": (lambda: spoken({"text": "a"}), lambda it: it.content[0].update(text="b")),
    "in a content block": (lambda: spoken({"a": {"b": []}}), lambda it: it.content[0]["a"]["b"].append(1)),
    "a list of dicts": (lambda: [{"a": 1}, {"a": 2}], lambda it: it[1].update(a=3)),
    "a dict of lists": (lambda: {"a": [1], "b": []}, lambda it: it["b"].append(1)),
    "a set in a dict": (lambda: {"a": {1}}, lambda it: it["a"].add(2)),
    "a list in a tuple": (lambda: ("a", [1]), lambda it: it[1].append(2)),
    "a list in a tuple in a dict": (lambda: {"a": ("b", [1])}, lambda it: it["a"][1].append(2)),
    "a list in a named tuple": (lambda: {"a": Pair(1, [1])}, lambda it: it["a"].two.append(2)),
    "a deque in a list": (lambda: [deque([1])], lambda it: it[0].append(2)),
    "a bytearray in a dict": (lambda: {"a": bytearray(b"a")}, lambda it: it["a"].append(1)),
    "a counter's zero": (lambda: {"a": Counter("a")}, lambda it: it["a"].update(b=0)),
    "a defaultdict's list": (lambda: {"a": defaultdict(list, b=[])}, lambda it: it["a"]["b"].append(1)),
    "an ordered dict's list": (lambda: OrderedDict(a=[]), lambda it: it["a"].append(1)),
    "an ordered dict's order": (lambda: [OrderedDict(a=1, b=2)], lambda it: it[0].move_to_end("a")),
    "a document's metadata": (lambda: Document("a", metadata={"a": {}}), lambda it: it.metadata["a"].update(b=1)),
    "a document in a message": (lambda: holding([Document("a")]), lambda it: setattr(it.artifact[0], "id", "b")),
    "a list in a model": (Item, lambda it: it.tags.append(1)),
    "a model in a model": (lambda: Item(more=Item()), lambda it: setattr(it.more, "more", 1)),
    "a list in a model in a model": (lambda: Item(more=Item()), lambda it: it.more.tags.append(1)),
    "a model in a list": (lambda: [Item()], lambda it: setattr(it[0], "more", 1)),
    "an open model's list": (lambda: Open(a=[]), lambda it: it.a.append(1)),
    "an open model's first extra": (lambda: [Open()], lambda it: setattr(it[0], "a", 1)),
    "a model exchanged for its like": (lambda: [Item()], lambda it: it.__setitem__(0, Thing())),
    "a list in a dataclass": (Basket, lambda it: it.items.append(1)),
    "a dataclass in a dict": (lambda: {"a": Basket()}, lambda it: setattr(it["a"], "owner", "Ada")),
    "a list in a dataclass in a message": (lambda: holding(Basket()), lambda it: it.artifact.items.append(1)),
    "a list in an object": (lambda: {"a": Plain()}, lambda it: it["a"].items.append(2)),
    "a dataclass that became another": (lambda: [Basket()], lambda it: it.__setitem__(0, Sack())),
    "a slotted dataclass in a dict": (lambda: {"a": Slotted()}, lambda it: it["a"].items.append(1)),
    "slots beside a dict": (Half, lambda it: it.items.append(1)),
    "an array in a dict": (lambda: {"a": np.zeros(2)}, lambda it: it["a"].fill(1)),
    "a frozen dataclass in a set": (lambda: {"a": {Frozen()}}, lambda it: it["a"].add(Frozen((1,)))),
}

MADE: dict[str, Callable[[], Any]] = {
    "a message": lambda: asking(q=[{"a": {"b": [1, (2, [3])]}}]),
    "usage": lambda: AIMessage("", usage_metadata={**USAGE, "input_token_details": {"audio": 1}}),
    "content blocks": lambda: spoken({"text": "a", "more": {"n": [1, 1.0, True, None]}}),
    "documents": lambda: holding([Document("a", metadata={"a": ["b"]}), Document("b")]),
    "models": lambda: Item(tags=[Item(), Open(a=[1])], more={"a": Item()}),
    "dataclasses": lambda: Basket([Basket([1]), Plain()], Frozen((1, "a"))),
    "collections": lambda: [{1}, frozenset({"a"}), deque([[1]]), OrderedDict(a=[]), Counter("a"), bytearray(b"a")],
    "what never changes": lambda: [
        {(1, "a"), Colour.RED},
        datetime(2026, 1, 2, tzinfo=UTC),
        timedelta(1),
        timezone(timedelta(hours=1)),
        Decimal(1),
        UUID(int=1),
        PurePosixPath("a"),
        float("nan"),
        2**70,
        int,
    ],
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_seen_wherever_it_is(what: str) -> None:
    """LangGraph may put a checkpoint before it says what the node returned, so a put has to see for itself."""
    make, edit = EDITS[what]
    watched = Watched(make())
    edit(watched.element)
    assert watched.changed


@pytest.mark.parametrize("depth", range(1, 5))
@pytest.mark.parametrize(
    ("make", "edit"),
    [
        (lambda: {"a": "b"}, lambda it: it.update(a="c")),
        (lambda: {"a": [1]}, lambda it: it["a"].append(2)),
        (lambda: {"a": {1}}, lambda it: it["a"].add(2)),
        (lambda: {"a": Item()}, lambda it: it["a"].tags.append(1)),
        (lambda: {"a": Basket()}, lambda it: it["a"].items.append(1)),
    ],
    ids=["dict", "list", "set", "model", "dataclass"],
)
def test_an_edit_is_seen_however_deep_it_is(depth: int, make: Callable[[], Any], edit: Callable[[Any], None]) -> None:
    """Nothing says how deep a provider nests what it tells."""
    element = wrapped(make(), depth - 1)
    watched = Watched(element)
    edit(innermost(element, depth))
    assert watched.changed


@pytest.mark.parametrize("what", MADE)
def test_what_nobody_edits_looks_as_it_did(what: str) -> None:
    """Or it would be serialized at each put."""
    assert not Watched(MADE[what]()).changed


def test_an_edit_that_is_taken_back_is_none() -> None:
    """What is stored is what it was."""
    watched = Watched(asking(q=["a"]))
    watched.element.tool_calls[0]["args"]["q"].append("b")
    watched.element.tool_calls[0]["args"]["q"].pop()
    assert not watched.changed


def test_an_equal_object_in_the_place_of_another_is_no_edit() -> None:
    """Nodes copy what they hand on."""
    watched = Watched(Item(more={"a": Item(tags=["b"])}))
    watched.element.more = {"a": Item(tags=["b"])}
    assert not watched.changed


@pytest.mark.parametrize(
    ("element", "edit"),
    [
        ({"a": {"n": 1}}, lambda it: it["a"].update(n=True)),
        ({"a": {"n": 1, "m": 2}}, lambda it: it["a"].update(n=it["a"].pop("n"))),
        (
            {"a": datetime(2026, 1, 2, tzinfo=UTC)},
            lambda it: it.update(a=it["a"].astimezone(timezone(timedelta(1 / 24)))),
        ),
    ],
    ids=["a number of another type", "keys in another order", "an instant in another time zone"],
)
def test_what_stays_equal_is_not_seen(element: Any, edit: Callable[[Any], None]) -> None:
    """The bytes tell; the guarantees say so."""
    watched = Watched(element)
    edit(watched.element)
    assert not watched.changed


@pytest.mark.parametrize(
    "make",
    [
        Slotted,
        lambda: [Half()],
        Both,
        lambda: {"a": np.zeros(2)},
        lambda: Basket(owner=np.zeros(0)),
        lambda: {"a": ipaddress.ip_network("10.0.0.0/8")},
        lambda: {Frozen((1,))},
        lambda: Item.__new__(Item),
        lambda: [ValueError("a")],
    ],
    ids=["slots", "half slots", "both", "array", "empty array", "C code", "hashed object", "unmade model", "exception"],
)
def test_what_cannot_be_watched_never_looks_as_it_did(make: Callable[[], Any]) -> None:
    """It is serialized at each put instead, and its bytes tell."""
    assert Watched(make()).changed


@pytest.mark.parametrize("length", [1, 3, 10_000], ids=["itself", "a circle", "very deep"])
def test_what_has_no_end_is_no_error(length: int) -> None:
    """It cannot be stored, and whoever stores it says so better."""
    element: list[Any] = []
    inner = element
    for _ in range(length - 1):
        inner.append([])
        inner = inner[0]
    if length < 10_000:
        inner.append(element)
    assert Watched(element).changed


def test_an_edit_while_somebody_looks_is_no_error() -> None:
    """With `durability="async"` nodes run while the last step is put."""

    class Hasty(deque[Any]):
        def copy(self) -> Any:
            return _growing(self)

    def _growing(values: deque[Any]) -> Iterator[Any]:
        for each in values:
            values.append(each)
            yield each

    element = {"a": Hasty([1])}
    assert changed_looks([element], [look_of(element)]) == [0]


def test_a_look_is_nobody_else_s() -> None:
    """Looks are shared between runs: to edit the element must not edit what it looked like."""
    element = told(a={"b": []}, c={})
    look = look_of(element)
    element.response_metadata["c"]["d"] = 1
    element.additional_kwargs["e"] = 1
    assert look_of(told(a={"b": []}, c={})) == look_of(
        AIMessage("", id="a", response_metadata={"a": {"b": []}, "c": {}})
    )
    assert changed_looks([element], [look]) == [0]
