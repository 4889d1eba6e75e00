"""Changes: whatever became of an old element, the state that is stored is the state that the run had.

For savers that store only what is new: each way in which a list can change, and each in which it seems not to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from langgraph_guard.testing.contracts.saver.graphs import Chat, acting
from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, at
from langgraph_guard.testing.contracts.saver.running import same_everywhere
from langgraph_guard.testing.contracts.saver.same import same

Act = Callable[[Chat], Any]


def appended(state: Chat) -> Any:
    return {"messages": [AIMessage("new", id="new")], "items": [{"n": 9}]}


def replaced_by_id(state: Chat) -> Any:
    return {"messages": [HumanMessage("changed", id="m1")]}


def replaced_by_another_kind(state: Chat) -> Any:
    return {"messages": [AIMessage("text 1", id="m1")]}


def removed(state: Chat) -> Any:
    return {"messages": [RemoveMessage(id="m0"), RemoveMessage(id="m2")]}


def removed_and_appended(state: Chat) -> Any:
    return {"messages": [RemoveMessage(id="m0"), AIMessage("new", id="new")]}


def all_removed(state: Chat) -> Any:
    return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)]}


def all_but_the_last_removed(state: Chat) -> Any:
    return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), AIMessage("summary", id="s"), state["messages"][-1]]}


def turned_round(state: Chat) -> Any:
    return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *reversed(state["messages"])]}


def a_field_assigned_in_place(state: Chat) -> Any:
    state["messages"][1].content = "assigned"
    return {"messages": [AIMessage("new", id="new")]}


def fields_assigned_in_place(state: Chat) -> Any:
    for message in state["messages"]:
        message.additional_kwargs = {"seen": True}
        message.name = "somebody"
    return {"messages": [AIMessage("new", id="new")]}


def a_nested_dict_changed_and_returned(state: Chat) -> Any:
    message = state["messages"][0]
    message.additional_kwargs["nested"]["deep"].append("more")
    return {"messages": [message]}


def a_block_of_content_changed_and_returned(state: Chat) -> Any:
    message = state["messages"][3]
    assert isinstance(message.content, list)
    message.content[0]["text"] = "edited"  # type: ignore[index] # a block is a dict here
    return {"messages": [message]}


def a_key_of_a_dict_assigned_in_place(state: Chat) -> Any:
    state["items"][0]["n"] = "assigned"
    return {"items": [{"n": 9}]}


def a_key_of_a_dict_added_and_one_deleted(state: Chat) -> Any:
    state["items"][0]["new"] = 1
    del state["items"][1]["n"]
    return {"items": []}


def an_element_inserted_in_place(state: Chat) -> Any:
    state["items"].insert(0, "first")
    return {"items": ["last"]}


def an_element_deleted_in_place(state: Chat) -> Any:
    del state["items"][1]
    return {"items": ["last"]}


def elements_exchanged_in_place(state: Chat) -> Any:
    items = state["items"]
    items[0], items[2] = items[2], items[0]
    return {"items": ["last"]}


def the_same_object_twice(state: Chat) -> Any:
    shared = {"n": "shared"}
    return {"items": [shared, shared, state["items"][0]]}


def equal_but_distinct_objects(state: Chat) -> Any:
    return {"items": [{"n": 0}, {"n": 0}, {"n": 1}]}


def nothing_at_all(state: Chat) -> Any:
    return {"last": "only this"}


ACTS: Final[tuple[Act, ...]] = (
    appended, replaced_by_id, replaced_by_another_kind, removed, removed_and_appended, all_removed,
    all_but_the_last_removed, turned_round, a_field_assigned_in_place, fields_assigned_in_place,
    a_nested_dict_changed_and_returned, a_block_of_content_changed_and_returned, a_key_of_a_dict_assigned_in_place,
    a_key_of_a_dict_added_and_one_deleted, an_element_inserted_in_place, an_element_deleted_in_place,
    elements_exchanged_in_place, the_same_object_twice, equal_but_distinct_objects, nothing_at_all,
)  # fmt: skip


REPEATABLE: Final[frozenset[Act]] = frozenset(
    {appended, a_field_assigned_in_place, the_same_object_twice, an_element_inserted_in_place, all_removed}
)
"""What can be done to a conversation that it has been done to already."""


def third(state: Chat) -> Any:
    return {"messages": [HumanMessage("third", id="third")], "items": ["third"]}


def conversation() -> Any:
    """A state to begin with, made anew for each run."""
    return {
        "messages": [
            HumanMessage("text 0", id="m0", additional_kwargs={"nested": {"deep": [0]}}),
            HumanMessage("text 1", id="m1"),
            AIMessage("text 2", id="m2"),
            AIMessage([{"type": "text", "text": "text 3"}], id="m3"),
        ],
        "items": [{"n": 0}, {"n": 1}, {"n": 2}],
        "last": None,
    }


class Changes(Harness):
    """In a graph: the second run loads what the first stored, a node acts on it, and a third run comes after."""

    @pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
    @pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
    def test_what_a_node_does_to_old_elements_is_stored(
        self, twins: Both, cold: Callable[[Both], Both], act: Act, elsewhere: bool
    ) -> None:
        """As it is after the node, in this process and the next, and nowhere in the history before."""

        driven = twins
        again = [act] if act in REPEATABLE else []
        for number, node in enumerate([nothing_at_all, act, third, *again]):
            graph = acting(driven.saver, node)
            twins.invoke(graph, {"last": number} if number else conversation(), at(), durability="sync")
            driven = cold(twins) if elsewhere else driven
        same_everywhere(twins, cold)

    @pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
    def test_what_a_later_node_does_is_not_seen_before_it(
        self, twins: Both, cold: Callable[[Both], Both], act: Act
    ) -> None:
        """The moment before the act is still what it was, also when forked from."""
        twins.invoke(acting(twins.saver, nothing_at_all), conversation(), at(), durability="sync")
        before = twins.values(at())
        moment = twins.get(at()).config
        twins.invoke(acting(twins.saver, act), {"last": 1}, at(), durability="sync")
        assert twins.values(moment) == before
        twins.update(acting(twins.saver, act), moment, {"items": ["fork"]})
        same_everywhere(twins, cold)


class Lists(Harness):
    """By hand: values that a graph would make, put one after the other."""

    def test_a_list_may_grow_shrink_and_turn_round(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """Each version is read as it was put."""
        _put_and_check(
            both,
            cold,
            [
                [1, 2, 3],
                [1, 2, 3, 4],
                [4, 3, 2, 1],
                [4, 3],
                [],
                [3],
                [3, 3, 3],
                [1, 2, 3, 4],
                [0, 1, 2, 3, 4],
                [0, 1, 9, 3, 4],
                [[0, 1, 9, 3, 4]],
            ],
        )

    def test_a_channel_may_go_from_list_to_none_and_back(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """And to other kinds."""
        _put_and_check(both, cold, [[1, 2], None, [1, 2], "text", [1, 2, 3], {"a": [1, 2]}, [None], None, []])

    def test_a_channel_may_go_and_come_back(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """What it had before is not what it has now."""
        author = Author(both)
        author.put(1, {"c": ["a", "b"], "other": 1})
        author.put(2, after=1, gone=["c"])
        author.put(3, {"c": ["b"]}, after=2)
        for reader in (both, cold(both)):
            assert [found.checkpoint["channel_values"].get("c") for found in reader.listing(at())] == [
                ["b"],
                None,
                ["a", "b"],
            ]

    def test_one_object_that_changes_between_puts_is_stored_each_time(
        self, both: Both, cold: Callable[[Both], Both]
    ) -> None:
        """The very same list, and the very same dict in it, with a key assigned."""
        author = Author(both)
        element: dict[str, Any] = {"n": 0}
        value: list[Any] = [element]
        for number in range(1, 6):
            element["n"] = number
            value.append(number)
            author.put(number, {"c": value}, after=number - 1 or None)
        for reader in (both, cold(both)):
            for number in range(1, 6):
                assert reader.values(author.at(number)) == {"c": [{"n": number}, *range(1, number + 1)]}

    def test_a_message_whose_fields_are_assigned_between_puts_is_stored_each_time(
        self, both: Both, cold: Callable[[Both], Both]
    ) -> None:
        """One object, whose identity says nothing."""
        author = Author(both)
        message = HumanMessage("0", id="m")
        for number in range(1, 6):
            message.content = str(number)
            author.put(number, {"messages": [message, HumanMessage("fixed", id="f")]}, after=number - 1 or None)
        for reader in (both, cold(both)):
            for number in range(1, 6):
                assert reader.values(author.at(number))["messages"][0] == HumanMessage(str(number), id="m")

    def test_an_object_that_takes_the_place_of_a_dead_one_is_not_taken_for_it(
        self, both: Both, cold: Callable[[Both], Both]
    ) -> None:
        """CPython gives new objects the addresses of old ones."""
        author = Author(both)
        for number in range(1, 60):
            author.put(number, {"c": [{"n": [number]}, HumanMessage(f"{number}", id="same")]}, after=number - 1 or None)
        for reader in (both, cold(both)):
            for number in range(1, 60):
                found = reader.values(author.at(number))["c"]
                assert found == [{"n": [number]}, HumanMessage(f"{number}", id="same")]

    def test_threads_with_equal_elements_share_nothing_that_can_be_deleted(self, both: Both) -> None:
        """What two have in common stays when one goes."""
        for thread in ("one", "two"):
            Author(both, thread).put(1, {"c": [{"n": 1}, "common"]})
        both.do(both.saver, "delete_thread", "one")
        assert both.values(at("two")) == {"c": [{"n": 1}, "common"]}

    def test_a_list_of_a_thousand_grows(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """Three times, by one, and by another in the middle."""
        value: list[Any] = [{"n": number, "text": "x" * 50} for number in range(1_000)]
        versions = [list(value)]
        for number in range(3):
            versions.append([*versions[-1], {"new": number}])
        versions.append([*versions[-1][:500], {"in": "the middle"}, *versions[-1][500:]])
        _put_and_check(both, cold, versions)


def _put_and_check(both: Both, cold: Callable[[Both], Both], versions: list[Any]) -> None:
    author = Author(both)
    for number, value in enumerate(versions, 1):
        author.put(number, {"c": value}, after=number - 1 or None)
    for reader in (both, cold(both)):
        for number, value in enumerate(versions, 1):
            found = reader.values(author.at(number))["c"]
            assert same(found, value), f"version {number}: {found!r} is not {value!r}"
