"""Writes: what tasks leave behind for the next superstep, in the one order in which a run would apply it."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.types import Interrupt

from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, at, task, uid

SPECIAL: Final = tuple(WRITES_IDX_MAP)
ORDINARY: Final = ("a", "__error_source_node__", "__pregel_tasks", "branch:to:node")


class Writes(Harness):
    """Pending writes are read back whole, once, and in `writes_sort_key` order."""

    def test_writes_come_in_the_order_of_their_task_paths_whatever_order_they_were_put_in(self, both: Both) -> None:
        """Task ids are hashes: ordering by them would permute parallel tasks, and a reducer would see another state."""
        config = Author(both).put(1)
        paths = ["~__pregel_pull, b", "~__pregel_push, 1", "", "~__pregel_pull, a", "~__pregel_push, 0"]
        for number, path in enumerate(paths):
            both.put_writes(config, [("c", path), ("d", path)], task(9 - number), path)
        assert [value for _, _, value in both.writes(config)] == [path for path in sorted(paths) for _ in "cd"]

    def test_tasks_of_one_path_come_in_the_order_of_their_ids(self, both: Both) -> None:
        """Input and `update_state` have no path; of those, ids decide."""
        config = Author(both).put(1)
        for number in (3, 1, 2):
            both.put_writes(config, [("c", number)], task(number))
        assert both.writes(config) == [(task(number), "c", number) for number in (1, 2, 3)]

    @pytest.mark.parametrize("count", [10, 11, 101, 1_001])
    def test_writes_of_a_task_come_in_the_order_of_their_numbers(self, both: Both, count: int) -> None:
        """The tenth comes after the ninth; as text it would come after the first."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", number) for number in range(count)], task(1), "p")
        assert [value for _, _, value in both.writes(config)] == list(range(count))

    def test_tasks_that_put_their_writes_in_turns_are_not_mixed_up(self, both: Both) -> None:
        """Fan-outs finish in any order, and a task may put more than once."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", "b0")], task(1), "b")
        both.put_writes(config, [("c", "a0")], task(2), "a")
        both.put_writes(config, [("c", "ignored"), ("c", "b1")], task(1), "b")
        both.put_writes(config, [("c", "ignored"), ("c", "a1")], task(2), "a")
        assert [value for _, _, value in both.writes(config)] == ["a0", "a1", "b0", "b1"]

    @pytest.mark.parametrize("channel", ORDINARY)
    def test_of_an_ordinary_write_the_first_stays(self, both: Both, channel: str) -> None:
        """A task that is run again after a crash must not change what its siblings have been told."""
        config = Author(both).put(1)
        both.put_writes(config, [(channel, "first")], task(1), "p")
        both.put_writes(config, [(channel, "second")], task(1), "p")
        assert both.writes(config) == [(task(1), channel, "first")]

    @pytest.mark.parametrize("channel", SPECIAL)
    def test_of_a_special_write_the_last_stays(self, both: Both, channel: str) -> None:
        """A task that failed twice has the second error, and a second answer resumes it."""
        config = Author(both).put(1)
        both.put_writes(config, [(channel, "first")], task(1), "p")
        both.put_writes(config, [(channel, "second")], task(1), "p")
        assert both.writes(config) == [(task(1), channel, "second")]

    def test_the_rule_holds_for_each_write_of_a_call(self, both: Both) -> None:
        """SQL savers decide by the whole call, and lose one or the other."""
        config = Author(both).put(1)
        both.put_writes(config, [("a", 1), ("__interrupt__", 1), ("b", 1), ("__resume__", 1)], task(1))
        both.put_writes(config, [("a", 2), ("__interrupt__", 2), ("b", 2), ("__resume__", 2), ("c", 2)], task(1))
        assert both.writes(config) == [
            (task(1), "__resume__", 2),
            (task(1), "__interrupt__", 2),
            (task(1), "a", 1),
            (task(1), "b", 1),
            (task(1), "c", 2),
        ]

    def test_a_special_channel_that_occurs_twice_in_a_call_has_its_last_value(self, both: Both) -> None:
        """Both have one place; the later one fills it."""
        config = Author(both).put(1)
        both.put_writes(config, [("__error__", "one"), ("__error__", "two")], task(1))
        assert both.writes(config) == [(task(1), "__error__", "two")]

    def test_a_special_write_that_is_replaced_takes_its_new_path(self, both: Both) -> None:
        """Order follows what is stored, not what once was."""
        config = Author(both).put(1)
        both.put_writes(config, [("__error__", "old")], task(1), "z")
        both.put_writes(config, [("c", "other")], task(2), "m")
        both.put_writes(config, [("__error__", "new")], task(1), "a")
        assert [value for _, _, value in both.writes(config)] == ["new", "other"]

    def test_a_channel_may_be_written_more_than_once_by_a_task(self, both: Both) -> None:
        """`Send` does nothing else; a place is a number, not a channel."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", 1), ("c", 1), ("c", 2)], task(1))
        assert [value for _, _, value in both.writes(config)] == [1, 1, 2]

    def test_writes_may_come_before_their_checkpoint(self, both: Both) -> None:
        """LangGraph puts both at the same time; whoever insists on an order loses an interrupt."""
        author = Author(both)
        both.put_writes(author.at(2), [("__interrupt__", (Interrupt("sure?", id="i"),))], task(1), "p")
        assert both.find(author.at(2)) is None
        author.put(1)
        author.put(2, after=1)
        assert both.writes(author.at()) == [(task(1), "__interrupt__", [Interrupt("sure?", id="i")])]

    def test_writes_without_a_checkpoint_make_none(self, both: Both) -> None:
        """They belong to something that is not there; nothing may be found in its place."""
        both.put_writes(at(id=uid(5)), [("c", 1)], task(1))
        assert both.find(at()) is None
        assert both.listing(None) == []

    def test_writes_without_a_checkpoint_do_not_become_the_latest(self, both: Both) -> None:
        """The run that was killed before its checkpoint was stored goes on from the one before."""
        config = Author(both).put(1)
        both.put_writes(at(id=uid(5)), [("c", 1)], task(1))
        assert both.get(at()).config["configurable"]["checkpoint_id"] == config["configurable"]["checkpoint_id"]
        assert both.writes(at()) == []

    def test_writes_stay_with_their_checkpoint(self, both: Both) -> None:
        """Not with the thread, and not with a namespace that has a checkpoint of the same id."""
        author, inner = Author(both), Author(both, ns="sub:1")
        author.chain(2)
        inner.put(1)
        both.put_writes(author.at(1), [("c", "root")], task(1))
        both.put_writes(inner.at(1), [("c", "inner")], task(1))
        assert both.writes(author.at(1)) == [(task(1), "c", "root")]
        assert both.writes(inner.at(1)) == [(task(1), "c", "inner")]
        assert both.writes(author.at(2)) == []

    def test_a_checkpoint_that_is_put_again_keeps_its_writes(self, both: Both) -> None:
        """With durability="exit" a stub comes first and the real one later, under the same id."""
        author = Author(both)
        config = author.put(1)
        both.put_writes(config, [("c", 1)], task(1))
        author.put(1, {"a": 2})
        assert both.writes(config) == [(task(1), "c", 1)]

    def test_no_writes_are_no_writes(self, both: Both) -> None:
        """A task may return nothing."""
        config = Author(both).put(1)
        both.put_writes(config, [], task(1), "p")
        assert both.writes(config) == []

    @pytest.mark.parametrize("value", [None, [], {}, "", 0, False, b""])
    def test_an_empty_value_is_a_value(self, both: Both, value: Any) -> None:
        """`None` from an interrupt's answer is an answer."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", value), ("__resume__", value)], task(1))
        assert both.writes(config) == [(task(1), "__resume__", value), (task(1), "c", value)]

    def test_writes_are_found_without_a_namespace_in_the_config(self, both: Both) -> None:
        """No namespace is the root."""
        config = Author(both).put(1)
        both.put_writes({"configurable": {"thread_id": "t", "checkpoint_id": uid(1)}}, [("c", 1)], task(1))
        assert both.writes(config) == [(task(1), "c", 1)]

    @pytest.mark.parametrize("path", ["~__pregel_push, ('~__pregel_pull', 'a'), 1", "a:b|c", "日本", "*", "x" * 500])
    def test_any_path_is_kept_as_it_is(self, both: Both, path: str) -> None:
        """Nested fan-outs have long ones, with whatever a node is called in them."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", "last")], task(1), path + "z")
        both.put_writes(config, [("c", "first")], task(2), path)
        assert [value for _, _, value in both.writes(config)] == ["first", "last"]

    def test_five_thousand_writes_are_all_there_in_order(self, both: Both) -> None:
        """A wide fan-out is one superstep."""
        config = Author(both).put(1)
        for number in reversed(range(500)):
            both.put_writes(config, [("c", number * 10 + place) for place in range(10)], task(number), "p")
        assert [value for _, _, value in both.writes(config)] == list(range(5_000))

    def test_writes_are_there_in_another_process(self, both: Both, cold: Any) -> None:
        """Resuming elsewhere is what they are for."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", {"deep": [1, None]})], task(1), "p")
        assert cold(both).writes(config) == [(task(1), "c", {"deep": [1, None]})]
