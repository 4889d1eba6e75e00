"""Deletion: what is deleted is gone wherever it was, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import (
    CANARY,
    Author,
    Both,
    Harness,
    anywhere,
    at,
    ids,
    place,
    places,
    task,
    uid,
)

Cold = Callable[[Both], Both]


class Deletion(Harness):
    """`delete_thread` is what a user's right to be forgotten comes down to."""

    def test_a_deleted_thread_is_gone_in_all_its_namespaces(self, both: Both, cold: Cold) -> None:
        """Checkpoints, writes, and its name in any list."""
        for ns in ("", "sub", "sub:1|deep"):
            author = Author(both, ns=ns)
            author.chain(3)
            both.put_writes(author.at(2), [("c", 1)], task(1))
        Author(both, CANARY).chain(2)
        both.do(both.saver, "delete_thread", "t")
        for reader in (both, cold(both)):
            assert reader.listing(anywhere("t")) == []
            assert [reader.find(at(ns=ns, id=uid(2))) for ns in ("", "sub", "sub:1|deep")] == [None] * 3
            assert {found and found[0] for found in places(reader.listing(None))} == {CANARY}

    def test_a_thread_that_begins_again_has_nothing_of_its_former_life(self, both: Both, cold: Cold) -> None:
        """Not a value, not a write; and what has the same content is stored again."""
        value = {"c": [{"n": 1}, "same"], "d": "same"}
        author = Author(both)
        both.put_writes(author.put(1, value), [("c", "old")], task(1))
        both.do(both.saver, "delete_thread", "t")
        author = Author(both)
        author.put(1, value)
        for reader in (both, cold(both)):
            assert reader.values(at()) == value
            assert reader.writes(at()) == []
            assert len(reader.listing(None)) == 1

    def test_writes_without_a_checkpoint_are_deleted_too(self, both: Both) -> None:
        """They would be found by the next checkpoint of that id."""
        both.put_writes(at(id=uid(1)), [("c", "old")], task(1))
        both.do(both.saver, "delete_thread", "t")
        Author(both).put(1)
        assert both.writes(at()) == []

    def test_deleting_what_is_not_there_is_no_error(self, both: Both) -> None:
        """Twice is as good as once."""
        Author(both, CANARY).put(1)
        for _ in range(2):
            both.do(both.saver, "delete_thread", "t")
        assert len(both.listing(None)) == 1

    def test_a_graph_begins_anew_after_its_thread_was_deleted(self, both: Both) -> None:
        """With subgraphs that keep their state."""
        graph = graphs.nested(both.saver, remembers=True)
        for _ in range(2):
            both.invoke(graph, {"items": ["in"]}, at())
            assert both.state(graph, at(), subgraphs=True).values["items"] == ["in", "before"]
            both.do(both.saver, "delete_thread", "t")
        assert both.listing(None) == []


class Whole(Harness):
    """A put after a deletion is whole or refused; `InMemorySaver` keeps what is new of it, and loses the rest."""

    def test_a_put_on_a_thread_that_was_deleted_meanwhile_is_whole_or_refused(self, both: Both, cold: Cold) -> None:
        """The writer remembers what it stored, and the store does not any more."""
        author = Author(both)
        author.put(1, {"c": [{"n": 1}, "same"], "fixed": "x" * 100})
        other = cold(both)
        other.do(other.saver, "delete_thread", "t")
        try:
            author.put(2, {"c": [{"n": 1}, "same", "more"]}, after=1)
        except RuntimeError:
            assert both.listing(None) == cold(both).listing(None) == []
            return
        for reader in (both, cold(both)):
            assert reader.values(at()) == {"c": [{"n": 1}, "same", "more"], "fixed": "x" * 100}
            assert ids(reader.listing(at())) == [uid(2)]


class Runs(Harness):
    """`delete_for_runs` takes out what a run did; `InMemorySaver` has none of it."""

    def test_checkpoints_and_writes_of_a_run_are_gone_from_all_namespaces(self, both: Both, cold: Cold) -> None:
        """And those of other runs stay."""
        for ns in ("", "sub:1"):
            author = Author(both, ns=ns)
            for number, run in enumerate(("keep", "drop", "drop", "keep"), 1):
                author.put(number, {"n": number}, after=number - 1 or None, run=run)
                both.put_writes(author.at(number), [("c", number)], task(1))
        both.do(both.saver, "delete_for_runs", ["drop"])
        for reader in (both, cold(both)):
            for ns in ("", "sub:1"):
                found = reader.listing(at(ns=ns))
                assert [each.checkpoint["channel_values"] for each in found] == [{"n": 4}, {"n": 1}]
                assert [each.pending_writes for each in found] == [[(task(1), "c", 4)], [(task(1), "c", 1)]]
                assert reader.find(at(ns=ns, id=uid(2))) is None

    def test_writes_of_a_deleted_checkpoint_do_not_come_back(self, both: Both) -> None:
        """Were it put again, under the same id."""
        author = Author(both)
        both.put_writes(author.put(1, run="drop"), [("c", "old")], task(1))
        both.do(both.saver, "delete_for_runs", ["drop"])
        author.put(1, run="new")
        assert both.writes(at()) == []

    def test_runs_are_found_in_every_thread(self, both: Both) -> None:
        """A run's id says nothing of its thread."""
        for thread in ("a", "b", "c"):
            author = Author(both, thread)
            author.put(1, run="drop" if thread != "b" else "keep")
            author.put(2, after=1, run="keep")
        both.do(both.saver, "delete_for_runs", ["drop"])
        assert {thread: ids(both.listing(at(thread))) for thread in "abc"} == {
            "a": [uid(2)],
            "b": [uid(2), uid(1)],
            "c": [uid(2)],
        }

    def test_the_latest_falls_back_to_the_next_highest(self, both: Both, cold: Cold) -> None:
        """The run that went wrong is taken out; the thread is where it was before."""
        author = Author(both)
        author.chain(3, run="good")
        for number in (4, 5):
            author.put(number, {"n": "bad"}, after=number - 1, run="bad")
        both.do(both.saver, "delete_for_runs", ["bad"])
        for reader in (both, cold(both)):
            assert place(reader.get(at()).config) == ("t", "", uid(3))
            assert reader.values(at()) == {"n": 3, "fixed": "as it was"}
        author.put(6, {"n": 6}, after=3)
        assert both.values(at()) == {"n": 6, "fixed": "as it was"}

    def test_unchanged_channels_outlive_the_checkpoint_that_brought_them(self, both: Both, cold: Cold) -> None:
        """A value is stored with the first checkpoint that has it, and belongs to all."""
        author = Author(both)
        author.put(1, {"fixed": ["a", {"b": 1}], "list": [1]}, run="drop")
        author.put(2, {"list": [1, 2]}, after=1, run="drop")
        author.put(3, {"list": [1, 2, 3]}, after=2, run="keep")
        both.do(both.saver, "delete_for_runs", ["drop"])
        for reader in (both, cold(both)):
            assert reader.values(at()) == {"fixed": ["a", {"b": 1}], "list": [1, 2, 3]}
        author.put(4, {"list": [1, 2, 3, 4]}, after=3, run="keep")
        assert cold(both).values(at()) == {"fixed": ["a", {"b": 1}], "list": [1, 2, 3, 4]}

    def test_what_was_collected_is_stored_again_when_it_comes_back(self, both: Both, cold: Cold) -> None:
        """A saver that remembers having sent an element must not think that it is still there."""
        author = Author(both)
        author.put(1, {"list": ["common"]}, run="keep")
        author.put(2, {"list": ["common", "rare", {"n": 1}]}, after=1, run="drop")
        other = cold(both)
        other.do(other.saver, "delete_for_runs", ["drop"])
        author.put(3, {"list": ["common", "rare", {"n": 1}]}, after=1, run="keep")
        for reader in (both, cold(both)):
            assert reader.values(at()) == {"list": ["common", "rare", {"n": 1}]}

    def test_a_thread_whose_runs_are_all_deleted_is_gone(self, both: Both, cold: Cold) -> None:
        """And can begin again."""
        author = Author(both)
        author.chain(3, run="drop")
        both.do(both.saver, "delete_for_runs", ["drop"])
        assert cold(both).listing(None) == []
        assert both.find(at()) is None
        author.put(9, {"n": 9})
        assert [found.checkpoint["channel_values"] for found in both.listing(None)] == [{"n": 9}]

    def test_a_checkpoint_that_was_put_again_belongs_to_its_last_run(self, both: Both) -> None:
        """The first run's deletion must not take what is the second's."""
        author = Author(both)
        author.put(1, run="first")
        author.put(1, run="second")
        both.do(both.saver, "delete_for_runs", ["first"])
        assert len(both.listing(at())) == 1
        both.do(both.saver, "delete_for_runs", ["second"])
        assert both.listing(at()) == []

    @pytest.mark.parametrize("run", ["*", "r?n", "ru", "RUN", "", "run ", "ru[n]", "日本", "r\0"])
    def test_a_runs_id_is_compared_whole(self, both: Both, run: str) -> None:
        """No pattern, no prefix; `run` itself stays. An id that cannot be one may be refused."""
        Author(both).put(1, run="run")
        with suppress(ValueError):
            both.do(both.saver, "delete_for_runs", [run])
        assert len(both.listing(at())) == 1

    @pytest.mark.parametrize("run", ["r:1", "{r}", "日本", "a|b", "*", "r" * 300])
    def test_a_run_of_any_name_can_be_deleted(self, both: Both, run: str) -> None:
        """Users choose them."""
        author = Author(both)
        author.put(1, run=run)
        author.put(2, run="other")
        both.do(both.saver, "delete_for_runs", [run])
        assert ids(both.listing(at())) == [uid(2)]

    def test_no_runs_and_unknown_runs_are_no_error(self, both: Both) -> None:
        """Nor do they delete what has no run."""
        author = Author(both)
        author.put(1)
        author.put(2, run="r")
        for runs in ([], ["unknown"], ("unknown", "unknown")):
            both.do(both.saver, "delete_for_runs", runs)
        assert len(both.listing(at())) == 2

    def test_a_run_in_place_of_a_list_of_runs_is_refused(self, both: Both) -> None:
        """It is a list of letters; a run may be called `r`."""
        Author(both).put(1, run="r")
        with pytest.raises((TypeError, ValueError)):
            both.do(both.saver, "delete_for_runs", "r")
        assert len(both.listing(at())) == 1

    def test_a_run_of_a_graph_is_taken_back(self, both: Both, cold: Cold) -> None:
        """With its subgraphs; LangGraph puts `run_id` into the metadata from the config."""
        graph = graphs.nested(both.saver, remembers=True)
        for run in ("first", "second"):
            both.invoke(graph, {"items": [run]}, _with_run(run))
        both.do(both.saver, "delete_for_runs", ["second"])
        driven = graphs.nested(cold(both).saver, remembers=True)
        assert both.state(driven, at()).values["items"] == ["first", "before"]
        runs = {found.metadata.get("run_id") for found in both.listing(None)}
        assert runs == {"first"}


def _with_run(run: str) -> Any:
    return {**at(), "metadata": {"run_id": run}}
