"""Copying: a second thread with the same past, and a future of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from langgraph.types import Command

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.delta import delta_graph
from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, anywhere, at, places, task, uid
from langgraph_guard.testing.contracts.saver.same import same

Cold = Callable[[Both], Both]


class Copying(Harness):
    """`copy_thread` copies the chain and all that hangs on it; no published saver has it."""

    def test_everything_is_copied_but_the_name(self, both: Both, cold: Cold) -> None:
        """Each checkpoint with its values, metadata, parent and writes, in each namespace."""
        _source(both)
        before = both.listing(anywhere("t"))
        both.do(both.saver, "copy_thread", "t", "copy")
        for reader in (both, cold(both)):
            assert same(_told(reader.listing(anywhere("copy"))), _told(before))
            assert same(_told(reader.listing(anywhere("t"))), _told(before))

    def test_the_copy_says_of_itself_that_it_is_the_copy(self, both: Both, cold: Cold) -> None:
        """In its own config, in its parents', and among all threads."""
        _source(both)
        both.do(both.saver, "copy_thread", "t", "copy")
        for reader in (both, cold(both)):
            found = [*reader.listing(anywhere("copy")), reader.get(at("copy")), reader.get(at("copy", id=uid(2)))]
            named = [config for each in found for config in (each.config, each.parent_config) if config]
            assert {config["configurable"]["thread_id"] for config in named} == {"copy"}
            assert {place and place[0] for place in places(reader.listing(None))} == {"t", "copy"}

    def test_a_copy_and_its_source_go_ways_of_their_own(self, both: Both, cold: Cold) -> None:
        """Neither sees what becomes of the other: new checkpoints, new writes, the same id put again."""
        source = _source(both)
        both.do(both.saver, "copy_thread", "t", "copy")
        copy = Author(both, "copy")
        copy.puts = dict(source.puts)
        copy.put(8, {"l": ["copy"], "n": "copy"}, after=3)
        source.put(9, {"l": ["source"], "n": "source"}, after=3)
        copy.put(2, {"n": "put again"}, after=1)
        for number in (2, 3):  # with writes of before the copy, and without
            both.put_writes(copy.at(number), [("c", "copy")], task(8))
            both.put_writes(source.at(number), [("c", "source")], task(8))
        for reader in (both, cold(both)):
            assert (reader.values(at("copy"))["n"], reader.values(at())["n"]) == ("copy", "source")
            assert (reader.values(copy.at(2))["n"], reader.values(source.at(2))["n"]) == ("put again", 2)
            for number in (2, 3):
                assert reader.writes(copy.at(number))[0] == (task(8), "c", "copy")
                assert reader.writes(source.at(number))[0] == (task(8), "c", "source")
            assert reader.find(copy.at(9)) is reader.find(source.at(8)) is None

    @pytest.mark.parametrize(("gone", "left"), [("t", "copy"), ("copy", "t")])
    def test_either_outlives_the_other(self, both: Both, cold: Cold, gone: str, left: str) -> None:
        """They share no value that deleting one could take from the other."""
        _source(both)
        expected = _told(both.listing(anywhere("t")))
        both.do(both.saver, "copy_thread", "t", "copy")
        both.do(both.saver, "delete_thread", gone)
        for reader in (both, cold(both)):
            assert same(_told(reader.listing(anywhere(left))), expected)
            assert reader.listing(anywhere(gone)) == []

    def test_runs_of_the_copy_can_be_deleted(self, both: Both) -> None:
        """They are runs of both threads then."""
        author = Author(both)
        author.put(1, {"n": 1}, run="keep")
        author.put(2, {"n": 2}, after=1, run="drop")
        both.do(both.saver, "copy_thread", "t", "copy")
        both.do(both.saver, "delete_for_runs", ["drop"])
        assert [both.values(at(thread)) for thread in ("t", "copy")] == [{"n": 1}] * 2

    def test_a_copy_can_be_copied_and_pruned(self, both: Both) -> None:
        """It is a thread like any other."""
        _source(both)
        both.do(both.saver, "copy_thread", "t", "copy")
        both.do(both.saver, "copy_thread", "copy", "second")
        both.do(both.saver, "prune", ["copy"])
        assert len(both.listing(at("copy"))) == 1
        assert same(_told(both.listing(anywhere("second"))), _told(both.listing(anywhere("t"))))

    def test_writes_without_a_checkpoint_are_copied(self, both: Both) -> None:
        """Their checkpoint may come a moment later, on the copy too."""
        author = Author(both)
        author.put(1)
        both.put_writes(author.at(2), [("c", 1)], task(1), "p")
        both.do(both.saver, "copy_thread", "t", "copy")
        Author(both, "copy").put(2)
        assert both.writes(at("copy", id=uid(2))) == [(task(1), "c", 1)]

    def test_names_of_any_characters_can_be_copied(self, both: Both) -> None:
        """From one odd name to the next."""
        Author(both, "*").chain(2)
        names = ["*", "{x}", "a:b", "日本", "\0", "x" * 300]
        for source, target in pairwise(names):
            both.do(both.saver, "copy_thread", source, target)
        assert [both.values(at(name))["n"] for name in names] == [2] * len(names)

    def test_a_source_that_is_not_there_makes_no_copy(self, both: Both) -> None:
        """It may be an error."""
        with suppress(LookupError, ValueError, RuntimeError):
            both.do(both.saver, "copy_thread", "nothing", "copy")
        assert both.listing(None) == []

    def test_a_thread_that_is_copied_onto_itself_stays_what_it_is(self, both: Both) -> None:
        """Refused or not."""
        _source(both)
        before = _told(both.listing(anywhere("t")))
        with suppress(ValueError):
            both.do(both.saver, "copy_thread", "t", "t")
        assert same(_told(both.listing(anywhere("t"))), before)

    def test_a_copied_delta_channel_has_its_value(self, both: Both, cold: Cold) -> None:
        """Copying the head alone would leave it empty, without an error."""
        graph = delta_graph(both.saver, width=3)
        for turn in range(4):
            both.invoke(graph, {"items": [turn]}, at())
        expected = both.state(graph, at()).values["items"]
        both.do(both.saver, "copy_thread", "t", "copy")
        driven = delta_graph(cold(both).saver, width=3)
        assert both.state(driven, at("copy")).values == both.state(driven, at()).values
        assert both.state(driven, at("copy")).values["items"] == expected
        both.invoke(driven, {"items": ["on"]}, at("copy"))
        assert both.state(driven, at()).values["items"] == expected

    @pytest.mark.parametrize("remembers", [False, True])
    def test_a_copied_question_is_answered_on_each_thread(self, both: Both, cold: Cold, remembers: bool) -> None:
        """In a subgraph, whose namespace came along."""
        graph = graphs.nested(both.saver, remembers=remembers)
        both.invoke(graph, {"items": [0]}, at())
        both.do(both.saver, "copy_thread", "t", "copy")
        driven = graphs.nested(cold(both).saver, remembers=remembers)
        for thread, answer in (("copy", "no"), ("t", "yes")):
            assert both.state(driven, at(thread)).interrupts
            state = both.invoke(driven, Command(resume=answer), at(thread))
            assert state["items"][-1] == answer


def _source(both: Both) -> Author:
    """A thread with two namespaces, a fork, lists that share elements, and writes."""
    author = Author(both)
    author.put(1, {"l": [{"n": 1}], "n": 1}, run="r", note={"deep": [None]})
    author.put(2, {"l": [{"n": 1}, "two"], "n": 2}, after=1)
    author.put(3, {"l": [{"n": 1}, "fork"]}, after=1)
    inner = Author(both, ns="sub:1|deep")
    inner.put(2, {"inner": ["two", None]})
    both.put_writes(author.at(2), [("b", 1), ("__interrupt__", [1])], task(2), "b")
    both.put_writes(author.at(2), [("a", None)], task(3), "a")
    both.put_writes(inner.at(2), [("c", {"x": 1})], task(1), "p")
    return author


def _told(found: Any) -> list[Any]:
    """All of a listing but the thread's name, in an order that does not depend on how namespaces are mixed."""
    told = [
        (
            each.config["configurable"]["checkpoint_ns"],
            each.checkpoint["id"],
            dict(each.checkpoint),
            dict(each.metadata),
            each.parent_config and each.parent_config["configurable"]["checkpoint_id"],
            [tuple(write) for write in each.pending_writes],
        )
        for each in found
    ]
    return sorted(told, key=lambda each: each[:2])
