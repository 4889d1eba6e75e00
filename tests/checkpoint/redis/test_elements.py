"""Which elements of a list are stored again: as few as possible, and every one that became something else."""

from __future__ import annotations

import copy
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, ConfigDict

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.serde import StrictSerializer
from langgraph_guard.checkpoint.redis import elements
from langgraph_guard.checkpoint.redis.elements import Kept, Matching, joined, loaded, runs_of
from langgraph_guard.checkpoint.redis.layout import LIST, InLog, Range, settled


@dataclass
class Point:
    """A user's dataclass."""

    x: Any
    y: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    """One that has no `__dict__`."""

    x: int


class Person(BaseModel):
    """A user's model."""

    name: Any


class Open(BaseModel):
    """One that takes whatever it is given."""

    model_config = ConfigDict(extra="allow")
    name: str = ""


CODEC = Codec(lambda: StrictSerializer([Point, Slotted, Person, Open]))


class Log:
    """What a thread's log holds, and lists that are put into it as the saver does it."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.draw = 1.0
        """What chance says at the next put: 0 joins a list of many ranges, 1 does not."""
        self.new = 0
        """Elements that the last put sent."""
        self.dumped = 0
        """Elements that it serialized."""

    def put(self, value: list[Any], *known: Kept, again: Iterable[Any] | None = ()) -> Kept:
        """Put `value`; what it is read back as has to be what a full dump gives. `again`: what was handed back."""
        kept = self.put_blindly(value, *known, again=again)
        assert self.read(kept.ranges) == list(map(CODEC.dump, value))
        return kept

    def put_blindly(self, value: list[Any], *known: Kept, again: Iterable[Any] | None = ()) -> Kept:
        """The same where what is stored may be something older."""
        base, self.dumped = len(self.entries), 0
        new: list[bytes] = []
        matching = Matching(value, known, self._dump, new)
        matching.run(None if again is None else {id(each) for each in again})
        matching.join(self.draw)
        self.entries += new
        self.new = len(new)
        kept = matching.kept(base)
        (ref,) = settled({"l": InLog(LIST, matching.ranges)}, base).values()
        assert isinstance(ref, InLog)
        assert self.read(ref.ranges) == self.read(kept.ranges)
        return kept

    def read(self, ranges: Iterable[Range]) -> list[bytes]:
        return [self.entries[at] for start, n in ranges for at in range(start, start + n)]

    def load(self, kept: Kept) -> Kept:
        """What another process would know."""
        stored = self.read(kept.ranges)
        return loaded(CODEC.load(stored, "an element"), stored, list(kept.places))

    def _dump(self, element: Any) -> bytes:
        self.dumped += 1
        return CODEC.dump(element)


@pytest.fixture
def log() -> Log:
    """An empty one."""
    return Log()


def message(text: str = "hi", **more: Any) -> HumanMessage:
    """Never equal to another one."""
    return HumanMessage(text, id=f"m{next(_numbers)}", **more)


_numbers = iter(range(1_000_000))


# The shape of a list


def test_the_same_list_again_costs_nothing(log: Log) -> None:
    """Ten checkpoints of a thousand messages are a thousand messages."""
    value = [message(), {"a": 1}, "text"]
    kept = log.put(value)
    log.put(list(value), kept)
    assert (log.new, log.dumped) == (0, 0)


def test_a_list_that_was_read_costs_nothing(log: Log) -> None:
    """A process that resumes a thread does not store it once more."""
    known = log.load(log.put([message(), {"a": 1}, "text", None]))
    log.put(known.elements, known)
    assert (log.new, log.dumped) == (0, 0)


def test_what_is_appended_is_stored_alone(log: Log) -> None:
    """The usual step: one range, one element longer."""
    value = [message(), message()]
    kept = log.put(value)
    kept = log.put([*value, message()], kept)
    assert (log.new, log.dumped, kept.ranges) == (1, 1, ((0, 3),))


def test_what_is_replaced_is_stored_alone(log: Log) -> None:
    """`add_messages` replaces a message that comes again with the same id."""
    value = [message(), message(), message()]
    kept = log.put(value)
    kept = log.put([value[0], message(), value[2]], kept)
    assert (log.new, log.dumped, kept.ranges) == (1, 1, ((0, 1), (3, 1), (2, 1)))


def test_what_is_removed_costs_nothing(log: Log) -> None:
    """From the front, from the middle, from the end."""
    value = [message() for _ in range(6)]
    kept = log.put(value)
    for at in (0, 2, 3):
        del value[at]
        kept = log.put(list(value), kept)
        assert (log.new, log.dumped) == (0, 0)


def test_another_order_costs_nothing(log: Log) -> None:
    """Elements are known wherever they stand."""
    value = [message() for _ in range(4)]
    kept = log.put(value)
    kept = log.put(value[::-1], kept)
    assert (log.new, log.dumped, kept.ranges) == (0, 0, ((3, 1), (2, 1), (1, 1), (0, 1)))


def test_an_equal_copy_is_found_by_its_bytes(log: Log) -> None:
    """Nodes copy messages; another process reads its own objects."""
    value = [message(), {"a": [1]}]
    kept = log.put(value)
    log.put(copy.deepcopy(value), kept)
    assert (log.new, log.dumped) == (0, 2)


def test_an_element_of_another_list_is_found(log: Log) -> None:
    """What one channel holds, another one points at."""
    shared = message()
    kept = log.put([message(), shared])
    log.put([shared], kept)
    assert (log.new, log.dumped) == (0, 0)


def test_the_same_object_twice_is_stored_once(log: Log) -> None:
    """Also when both are new."""
    one = message()
    kept = log.put([one, one])
    assert log.new == 1
    log.put([one, one, one], kept)
    assert (log.new, log.dumped) == (0, 0)


def test_equal_objects_are_stored_once(log: Log) -> None:
    """A tool that gives the same answer a hundred times."""
    log.put([{"ok": True} for _ in range(100)])
    assert log.new == 1


def test_an_empty_list_is_no_range(log: Log) -> None:
    """And what comes after it begins anew."""
    kept = log.put([])
    assert kept.ranges == ()
    assert log.put(["a"], kept).ranges == ((0, 1),)


def test_a_list_that_grows_while_it_is_put_is_stored_as_it_was(log: Log) -> None:
    """Reducers that append in place run beside a put."""
    value = [message(), message()]
    kept = log.put(value)
    growing = [*value, message()]
    matching = Matching(growing, [kept], CODEC.dump, [])
    growing.append(message())
    matching.run(())
    assert len(matching.kept(2).elements) == 3


# Elements that became something else

EDITS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "a message's field": (message, lambda it: setattr(it, "content", "other")),
    "a message's None": (message, lambda it: setattr(it, "name", "Ada")),
    "an attribute that a message did not have": (message, lambda it: setattr(it, "added", 1)),
    "one more of these": (lambda: message(added=1), lambda it: setattr(it, "more", 1)),
    "one of these": (lambda: message(added=1), lambda it: setattr(it, "added", 2)),
    "an AI message's usage": (lambda: AIMessage("a"), lambda it: setattr(it, "usage_metadata", _usage())),
    "a document's text": (lambda: Document("a"), lambda it: setattr(it, "page_content", "b")),
    "a model's field": (lambda: Person(name="Ada"), lambda it: setattr(it, "name", "Eve")),
    "an open model's extra": (lambda: Open(a=1), lambda it: setattr(it, "a", 2)),
    "an open model's first extra": (Open, lambda it: setattr(it, "a", 2)),
    "a dataclass's field": (lambda: Point(1), lambda it: setattr(it, "x", 2)),
    "a slotted dataclass's field": (lambda: Slotted(1), lambda it: setattr(it, "x", 2)),
    "a dict's value": (lambda: {"a": "b"}, lambda it: it.update(a="c")),
    "a dict's new key": (lambda: {"a": "b"}, lambda it: it.update(b="c")),
    "a dict's lost key": (lambda: {"a": "b"}, lambda it: it.clear()),
    "a list's element": (lambda: ["a"], lambda it: it.append("b")),
    "a set's element": (lambda: {"a"}, lambda it: it.add("b")),
    "a counter": (lambda: Counter("a"), lambda it: it.update("a")),
    "a defaultdict": (lambda: defaultdict(list, a=[]), lambda it: it.update(b=[])),
    "an ordered dict": (lambda: OrderedDict(a="b"), lambda it: it.update(a="c")),
    "a deque": (lambda: deque(["a"]), lambda it: it.append("b")),
    "a bytearray": (lambda: bytearray(b"a"), lambda it: it.append(1)),
    "an array": (lambda: np.zeros(3), lambda it: it.fill(1)),
    "an array in a dict": (lambda: {"a": np.zeros(3)}, lambda it: it.update(a=np.ones(3))),
    "an array in a dataclass": (lambda: Point(np.zeros(3)), lambda it: setattr(it, "x", np.ones(3))),
    "1 to True": (lambda: {"a": 1}, lambda it: it.update(a=True)),
    "True to 1.0": (lambda: {"a": True}, lambda it: it.update(a=1.0)),
    "0.0 to -0.0": (lambda: Point(0.0), lambda it: setattr(it, "x", -0.0)),
    "1 to True in a list": (lambda: [1, "a"], lambda it: it.__setitem__(0, True)),
    "1 to True in a set": (lambda: {1}, lambda it: (it.clear(), it.add(True))),
    "1 to 1.0 in a model": (lambda: Person(name=1), lambda it: setattr(it, "name", 1.0)),
    "1 to 1.0 in a message's extra": (lambda: message(added=1), lambda it: setattr(it, "added", 1.0)),
}


def _usage() -> dict[str, int]:
    return {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


@pytest.mark.parametrize("beside", [[], ["text"], [HumanMessage("b", id="b")]], ids=["alone", "text", "message"])
@pytest.mark.parametrize("what", EDITS)
def test_what_was_assigned_is_stored_as_it_is_now(log: Log, what: str, beside: list[Any]) -> None:
    """Nobody has to return an element whose field was set, wherever it stands and whatever stands beside it."""
    make, edit = EDITS[what]
    element = make()
    kept = log.put([*beside, element])
    edit(element)
    kept = log.put([*beside, element], kept)
    assert log.new == 1
    log.put([*beside, element], kept)
    assert log.new == 0


@pytest.mark.parametrize("what", sorted({*EDITS} - {"a counter", "an array"}))  # read back as a dict, and read-only
def test_what_was_assigned_after_a_read_is_stored_as_it_is_now(log: Log, what: str) -> None:
    """The same for elements that this process did not store itself."""
    make, edit = EDITS[what]
    known = log.load(log.put([make()]))
    edit(known.elements[0])
    log.put(known.elements, known)
    assert log.new == 1


@pytest.mark.parametrize("what", EDITS)
def test_an_element_that_moved_and_changed_is_stored_as_it_is_now(log: Log, what: str) -> None:
    """It is looked for by its identity, and then looked at."""
    make, edit = EDITS[what]
    element = make()
    kept = log.put(["first", element])
    edit(element)
    log.put([element], kept)
    assert log.new == 1


def test_an_assignment_that_is_taken_back_costs_nothing(log: Log) -> None:
    """The log has the element as it was."""
    element = {"a": "b"}
    first = log.put([element])
    element["a"] = "c"
    kept = log.put([element], first)
    element["a"] = "b"
    kept = log.put([element], kept, first)
    assert (log.new, kept.ranges) == (0, ((0, 1),))


@pytest.mark.parametrize("values", [(1, True, 1.0), (0, False, 0.0, -0.0), ("a", b"a"), ((1,), (True,))])
def test_equal_values_of_other_types_are_other_elements(log: Log, values: tuple[Any, ...]) -> None:
    """`1 == True == 1.0`, and a reader can tell them apart."""
    kept = Kept()
    for value in values:
        kept = log.put([value, "text"], kept)
    assert len(log.entries) == len(values) + 1


def test_an_edit_while_an_element_is_dumped_is_seen_the_next_time(log: Log) -> None:
    """With `durability="async"` nodes run while the last step is put."""
    element = {"a": "b"}
    kept = log.put([element])

    def dump_while_a_node_runs(it: Any) -> bytes:
        data = CODEC.dump(it)
        it["a"] = "edited meanwhile"
        return data

    element["a"] = "c"
    new: list[bytes] = []
    matching = Matching([element], [kept], dump_while_a_node_runs, new)
    matching.run(())
    log.entries += new
    log.put([element], matching.kept(1))
    assert log.new == 1


@pytest.mark.parametrize("element", [Slotted(1), np.zeros(2), {"a": np.zeros(2)}, Point(Slotted(1))], ids=str)
def test_what_cannot_be_watched_is_dumped_and_not_stored_again(log: Log, element: Any) -> None:
    """It has no `__dict__`, or something in it has none: its bytes tell."""
    kept = log.put([element])
    log.put([element], kept)
    assert (log.new, log.dumped) == (0, 1)


@pytest.mark.parametrize("element", [datetime(2026, 1, 2, tzinfo=UTC), Decimal(1), "text", (1, "a"), None], ids=str)
def test_what_never_changes_is_not_dumped_again(log: Log, element: Any) -> None:
    """There is nothing to watch."""
    kept = log.put([element])
    log.put([element], kept)
    assert (log.new, log.dumped) == (0, 0)


# What no look can see


def nested() -> Any:
    """A message with a number below its fields."""
    return message(additional_kwargs={"n": {"x": 1}})


def edit_nested(it: Any) -> None:
    """So that it equals what it was."""
    it.additional_kwargs["n"]["x"] = True


def test_an_edit_to_something_equal_is_not_seen(log: Log) -> None:
    """The price of not serializing everything at each put; the guarantees say so."""
    element = nested()
    kept = log.put([element])
    edit_nested(element)
    log.put_blindly([element], kept)
    assert log.new == 0


@pytest.mark.parametrize("again", ["what was returned", "everything"])
def test_an_edit_to_something_equal_is_seen_when_it_is_looked_for(log: Log, again: str) -> None:
    """A node that returns the element says so, and `strict=True` always looks."""
    element = nested()
    kept = log.put([message(), element])
    edit_nested(element)
    log.put([*kept.elements], kept, again=[element] if again == "what was returned" else None)
    assert (log.new, log.dumped) == (1, 1 if again == "what was returned" else 2)


@pytest.mark.parametrize("again", ["what was returned", "everything"])
def test_an_edit_to_something_equal_is_seen_where_the_element_moved_to(log: Log, again: str) -> None:
    """Summaries cut the front of a list, so everything stands elsewhere."""
    element = nested()
    kept = log.put([message(), element])
    edit_nested(element)
    log.put([element], kept, again=[element] if again == "what was returned" else None)
    assert log.new == 1


def test_what_was_returned_unchanged_costs_no_storage(log: Log) -> None:
    """Nodes that return all messages at every step are common."""
    value = [message() for _ in range(3)]
    kept = log.put(value)
    log.put(value, kept, again=value)
    assert (log.new, log.dumped) == (0, 3)


@pytest.mark.parametrize("again", ["returned", "everything"])
def test_an_edit_is_seen_wherever_the_same_object_stands(log: Log, again: str) -> None:
    """Two places in one list, and a third one in a list that moved it."""
    element = nested()
    kept = log.put([element, message(), element])
    edit_nested(element)
    kept = log.put([*kept.elements, element], kept, again=[element] if again == "returned" else None)
    assert log.new == 1
    edit_nested(element)
    element.additional_kwargs["n"]["x"] = 3
    log.put([element, element], kept, again=[element] if again == "returned" else None)
    assert log.new == 1


def test_everything_is_dumped_when_everything_is_asked_for(log: Log) -> None:
    """`strict=True`, and `durability="exit"`, where nothing tells what nodes returned."""
    value = [message() for _ in range(5)]
    kept = log.put(value)
    log.put([*value, message()], kept, again=None)
    assert (log.new, log.dumped) == (1, 6)


# What is remembered


def test_what_is_remembered_does_not_change(log: Log) -> None:
    """Runs beside each other start from the same list."""
    first = log.put([message(), {"a": 1}])
    names = ("elements", "looks", "digests", "places", "ranges", "by_id", "by_digest", "sizes")
    before = {name: copy.copy(getattr(first, name)) for name in names}
    log.put([*first.elements, message()], first)
    log.put([first.elements[1], "other"], first)
    first.elements[1]["a"] = 2
    log.put(first.elements, first)
    assert {name: getattr(first, name) for name in names} == before


def test_forks_share_what_they_have_in_common(log: Log) -> None:
    """Two answers to one question: the question is stored once."""
    first = log.put([message(), message()])
    one = log.put([*first.elements, message()], first)
    other = log.put([*first.elements, message()], one, first)
    assert (one.ranges, other.ranges) == (((0, 3),), ((0, 2), (3, 1)))


def test_two_lists_of_one_put_share_a_log(log: Log) -> None:
    """The second begins where the first ends, and each finds its own."""
    new: list[bytes] = []
    one, other = (Matching(value, [], CODEC.dump, new) for value in (["a", "b"], ["c"]))
    one.run(())
    other.run(())
    log.entries += new
    assert log.read(one.kept(0).ranges) == [CODEC.dump("a"), CODEC.dump("b")]
    assert log.read(other.kept(0).ranges) == [CODEC.dump("c")]


def test_threads_may_match_against_the_same_memory(log: Log) -> None:
    """Parallel branches are put from many threads."""
    first = log.put([message() for _ in range(200)])
    found: list[list[bytes]] = []

    def match(number: int) -> None:
        new: list[bytes] = []
        matching = Matching([*first.elements[number:], number], [first], CODEC.dump, new)
        matching.run(())
        matching.kept(1_000)
        found.append(new)

    threads = [threading.Thread(target=match, args=(number,)) for number in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == sorted([CODEC.dump(number)] for number in range(16))


# What is remembered without its elements


def test_a_list_whose_elements_were_let_go_is_dumped_and_not_stored_again(log: Log) -> None:
    """A process with many threads forgets what is heavy first."""
    value = [message(), {"a": 1}, "text"]
    kept = log.put(value)
    again = log.put(value, kept.slim())
    assert (log.new, log.dumped, again.ranges) == (0, 3, ((0, 3),))
    log.put(value, again)
    assert (log.new, log.dumped) == (0, 0)


def test_what_changed_since_is_stored_alone(log: Log) -> None:
    """Edited in place, exchanged, or new: the bytes tell."""
    value = [message(), message(), message()]
    kept = log.put(value).slim()
    value[0].content = "edited"
    kept = log.put([*value[:2], message(), message()], kept)
    assert (log.new, kept.ranges) == (3, ((3, 1), (1, 1), (4, 2)))


def test_a_list_is_told_from_others_without_its_elements(log: Log) -> None:
    """Another list that begins with the same object is known whole, and this one by its bytes."""
    first = message()
    one, other = log.put([first, "one"]), log.put([first, "other"])
    log.put([first, "one", "more"], other, one.slim())
    assert (log.new, log.dumped) == (1, 2)


# Lists in many ranges


def scattered(log: Log, size: int = 1_000) -> tuple[list[Any], Kept]:
    """A list of a hundred elements, every other of which was edited."""
    value = [f"{number} ".ljust(size, "x") for number in range(100)]
    kept = log.put(value)
    value[::2] = [text.upper() for text in value[::2]]
    return value, log.put(value, kept)


def test_a_list_in_many_ranges_is_stored_anew_now_and_then(log: Log) -> None:
    """Each record would repeat the traces of all edits that ever were."""
    value, kept = scattered(log)
    assert len(kept.ranges) == 100
    log.draw = 0
    kept = log.put(value, kept)
    assert (log.new, kept.ranges) == (100, ((150, 100),))
    log.put(value, kept)
    assert (log.new, log.dumped) == (0, 0)


def test_what_was_stored_anew_is_found_where_it_is_now(log: Log) -> None:
    """By its bytes too, and with an edit that no look had shown: else the list would be in many ranges again."""
    value, kept = scattered(log)
    value[0] = {"n": {"x": 1}}
    kept = log.put(value, kept)
    value[0]["n"]["x"] = True
    log.draw = 0
    kept = log.put(value, kept)
    again = log.put(value, kept.slim())
    assert (log.new, again.ranges) == (0, kept.ranges)
    log.put(value, kept, again=None)
    assert log.new == 0


@pytest.mark.parametrize(("size", "draw"), [(1_000, 0.015), (100, 0.13)], ids=["large elements", "small elements"])
def test_a_list_is_stored_anew_as_often_as_its_ranges_are_worth(log: Log, size: int, draw: float) -> None:
    """At a hundred ranges: one put in sixty-four with elements of a kilobyte, one in seven when they are a tenth."""
    value, kept = scattered(log, size)
    log.draw = draw * 1.2
    log.put(value, kept)
    assert log.new == 0
    log.draw = draw
    log.put(value, kept)
    assert log.new == 100


def test_a_list_in_a_few_ranges_stays_as_it_is(log: Log) -> None:
    """They are less than the rest of a record."""
    log.draw = 0
    value = list(map(str, range(60)))
    kept = log.put(value)
    for at in range(0, 60, 4):
        value[at] = f"edited {at}"
        kept = log.put(value, kept)
        assert log.new == 1


def test_the_same_element_many_times_is_no_reason_to_store_it_many_times(log: Log) -> None:
    """A hundred times the same document is a hundred ranges, and one document."""
    value = ["d" * 20_000] * 100
    kept = log.put(value)
    log.draw = 0.01
    log.put(value, kept)
    assert log.new == 0


def test_what_is_new_is_stored_once_when_its_list_is_joined(log: Log) -> None:
    """It is part of the one range."""
    value, kept = scattered(log)
    log.draw = 0
    kept = log.put([*value, "new"], kept)
    assert (log.new, kept.ranges) == (101, ((150, 101),))


def test_lists_of_one_put_are_joined_beside_each_other(log: Log) -> None:
    """Each keeps its own place among what is new."""
    value, kept = scattered(log)
    new: list[bytes] = []
    lists = [Matching(each, [kept], CODEC.dump, new) for each in (["before"], value, ["behind"])]
    for each in lists:
        each.run(())
        each.join(0)
    log.entries += new
    assert [log.read(each.kept(150).ranges) for each in lists] == [
        list(map(CODEC.dump, each)) for each in (["before"], value, ["behind"])
    ]


def test_a_list_that_cannot_be_stored_anew_stays_as_it_is(log: Log) -> None:
    """A limit that was lowered since must not make a put fail by chance."""
    value, kept = scattered(log)
    new: list[bytes] = []

    def refuse(element: Any) -> bytes:
        raise ValueError

    matching = Matching(value, [kept], refuse, new)
    matching.run(())
    matching.join(0)
    assert (new, matching.kept(150).ranges) == ([], kept.ranges)


# Ranges


@pytest.mark.parametrize(
    ("places", "ranges"),
    [
        ([], ()),
        ([3], ((3, 1),)),
        ([3, 4, 5], ((3, 3),)),
        ([3, 5, 4], ((3, 1), (5, 1), (4, 1))),
        ([-1, -2, -3], ((-1, 3),)),
        ([-2, -1], ((-2, 1), (-1, 1))),
        ([0, -1, -2, 1], ((0, 1), (-1, 2), (1, 1))),
        ([3, 3], ((3, 1), (3, 1))),
    ],
)
def test_places_that_follow_each_other_are_one_range(places: list[int], ranges: tuple[Range, ...]) -> None:
    """Those of the log upwards, new ones downwards, and never across."""
    assert runs_of(places) == ranges


def test_a_range_goes_on_where_the_last_one_ends() -> None:
    """A list that only grows stays one range for ever."""
    assert joined(((0, 4),), ((4, 2), (9, 1))) == ((0, 6), (9, 1))


# Any history


def _fresh(kind: str) -> Any:
    number = next(_numbers)
    made: dict[str, Callable[[], Any]] = {
        "message": lambda: message(str(number), additional_kwargs={"n": [number]}),
        "dict": lambda: {"v": number, "n": [number]},
        "list": lambda: [number, [number]],
        "point": lambda: Point(number, [number]),
        "person": lambda: Person(name=[number]),
        "slotted": lambda: Slotted(number),
        "array": lambda: np.array([number]),
        "deep": lambda: {"n": [number], "in": ({"p": Point(1, [number])}, {number}, deque([[number]]))},
        "scalar": lambda: (1, True, 1.0, 0, False, None, "a", b"a", (1, "a"))[number % 9],
    }
    return made[kind]()


KINDS = ("message", "dict", "list", "point", "person", "slotted", "array", "deep", "scalar")
VALUES = st.sampled_from([1, True, 1.0, 0, False, -0.0, None, "a", "b"])


class Histories(RuleBasedStateMachine):
    """A list in the hands of nodes: whatever they do, what is stored is what a full dump gives."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.value: list[Any] = []
        self.returned: list[Any] = []
        self.history: list[Kept] = []
        self.stored = self.loaded = Kept()
        self.few = pytest.MonkeyPatch()
        self.few.setattr(elements, "FEW", 1)

    @rule(kind=st.sampled_from(KINDS))
    def append(self, kind: str) -> None:
        self.value = [*self.value, _fresh(kind)]

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0), to=st.integers(0), deep=st.booleans())
    def insert_again(self, at: int, to: int, deep: bool) -> None:
        """The same object, or an equal one."""
        element = self._at(at)
        self.value = [*self.value]
        self.value.insert(to % (len(self.value) + 1), copy.deepcopy(element) if deep else element)

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0))
    def hand_back(self, at: int) -> None:
        self.returned.append(self._at(at))

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0), kind=st.sampled_from(KINDS))
    def replace(self, at: int, kind: str) -> None:
        self.value = [*self.value]
        self.value[at % len(self.value)] = _fresh(kind)

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0), n=st.integers(1, 3))
    def remove(self, at: int, n: int) -> None:
        at %= len(self.value)
        self.value = self.value[:at] + self.value[at + n :]

    @rule(order=st.randoms(use_true_random=False))
    def shuffle(self, order: Any) -> None:
        self.value = [*self.value]
        order.shuffle(self.value)

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0), new=VALUES)
    def assign(self, at: int, new: Any) -> None:
        """In place, and nobody is told."""
        match self._at(at):
            case dict() as it:
                it["v"] = new
            case list() as it:
                it[0] = new
            case HumanMessage() as it:
                it.content, it.added = str(new), new
            case Point() | Slotted() as it:
                it.x = new
            case Person() as it:
                it.name = new
            case np.ndarray() as it if it.flags.writeable:
                it[0] = bool(new) + 7

    @precondition(lambda self: self.value)
    @rule(at=st.integers(0))
    def edit_below(self, at: int) -> None:
        """Deeper than a field, and nobody is told."""
        match self._at(at):
            case {"n": [*_], "in": (outer, numbers, lists)}:
                below = [outer["p"].y, numbers, lists[0]][at % 3]
                (below.add if isinstance(below, set) else below.append)(next(_numbers))
            case {"n": list() as below} | [_, list() as below] | Point(y=below):
                below.append(next(_numbers))
            case HumanMessage(additional_kwargs={"n": list() as below}) | Person(name=list() as below):
                below.append(next(_numbers))

    @rule()
    def let_go(self) -> None:
        """Other threads need the room."""
        self.stored, self.loaded = self.stored.slim(), self.loaded.slim()

    @rule(strict=st.booleans(), draw=st.sampled_from([1, 1, 1, 0.5, 0]))
    def put(self, strict: bool, draw: float = 1) -> None:
        self.log.draw = draw
        again = None if strict else self.returned
        self.stored = self.log.put(self.value, self.stored, self.loaded, again=again)
        self.history.append(self.stored)
        self.returned = []

    @precondition(lambda self: self.history)
    @rule(at=st.integers(0), cold=st.booleans())
    def load(self, at: int, cold: bool) -> None:
        """A run that starts from one of the checkpoints, in this process or in another."""
        self.loaded = self.log.load(self.history[at % len(self.history)])
        self.value, self.returned = [*self.loaded.elements], []
        if cold:
            self.stored = Kept()

    def teardown(self) -> None:
        self.put(strict=False)
        self.few.undo()

    def _at(self, at: int) -> Any:
        return self.value[at % len(self.value)]


class TestHistories(Histories.TestCase):  # type: ignore[misc] # made by Hypothesis
    """As many as take a few seconds."""

    settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
