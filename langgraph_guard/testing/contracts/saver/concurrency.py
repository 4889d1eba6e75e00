"""Concurrency: whatever is put at the same time, nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, ClassVar, Final

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, anywhere, at, ids, task, uid

Cold = Callable[[Both], Both]

TASKS: Final = 16
VALUE: Final = {"list": ["a", {"n": 1}], "fixed": "as it was"}


class Concurrency(Harness):
    """LangGraph puts a checkpoint, and the writes of its tasks, from as many threads or tasks.

    A call happens as a whole or not at all, whatever happens beside it. `InMemorySaver` has no lock for that: it loses
    the writes of one of two tasks when the garbage collector runs between them.
    """

    trials: ClassVar[int] = 10
    """How often the races are run."""

    def test_a_superstep_is_stored_whole_whatever_comes_first(self, both: Both, cold: Cold) -> None:
        """The next checkpoint and the writes of both, in all orders that threads make of it."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE)
            step = both.call(both.saver, "put", *author.terms(2, {"list": ["a", {"n": 1}, "b"]}, after=1))
            outcomes = both.at_once([*self._writes(both, author, 1), step, *self._writes(both, author, 2)])
            _check_none_failed(outcomes)
            for reader in (both, cold(both)):
                assert reader.values(author.at()) == {"list": ["a", {"n": 1}, "b"], "fixed": "as it was"}
                for number in (1, 2):
                    assert [value for _, _, value in reader.writes(author.at(number))] == list(range(TASKS))

    def _writes(self, both: Both, author: Author, number: int) -> list[Any]:
        return [
            both.call(both.saver, "put_writes", author.at(number), [("list", who)], task(TASKS - who), f"path {who:02}")
            for who in range(TASKS)
        ]

    def test_puts_and_writes_may_be_stored_in_any_order(self, both: Both) -> None:
        """All orders of three checkpoints and their writes give one thread."""
        for trial, order in enumerate(permutations(range(4))):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE)
            calls = [
                both.call(both.saver, "put", *author.terms(2, {"list": ["b"]}, after=1)),
                both.call(both.saver, "put", *author.terms(3, {"list": ["b", "c"]}, after=2)),
                both.call(both.saver, "put_writes", author.at(2), [("list", ["c"])], task(1), "p"),
                both.call(both.saver, "put_writes", author.at(3), [("__interrupt__", ["?"])], task(2), "p"),
            ]
            for each in order:
                _check_none_failed(both.at_once([calls[each]]))
            assert ids(both.listing(author.at())) == [uid(3), uid(2), uid(1)]
            assert both.values(author.at()) == {"list": ["b", "c"], "fixed": "as it was"}
            assert both.writes(author.at()) == [(task(2), "__interrupt__", ["?"])]
            assert both.writes(author.at(2)) == [(task(1), "list", ["c"])]

    def test_no_acknowledged_checkpoint_of_two_writers_is_lost(self, both: Both, cold: Cold) -> None:
        """Two processes, one thread, forks from one parent: all are there, each with its own values."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE)
            savers = [both, cold(both), cold(both)]
            calls = []
            for number in range(2, 14):
                terms = author.terms(number, {"list": ["a", {"n": 1}, number], "own": number}, after=1)
                calls.append(both.call(savers[number % 3].saver, "put", *terms))
            _check_none_failed(both.at_once(calls))
            for reader in (both, cold(both)):
                assert ids(reader.listing(author.at())) == [uid(number) for number in range(13, 0, -1)]
                for number in range(2, 14):
                    assert reader.values(author.at(number)) == {
                        "list": ["a", {"n": 1}, number],
                        "own": number,
                        "fixed": "as it was",
                    }

    def test_threads_that_run_at_once_do_not_disturb_each_other(self, both: Both) -> None:
        """Many conversations on one saver."""
        graph = graphs.react(both.saver)
        for turn in range(2):
            calls = [
                both.call(graph, "invoke", {"messages": [HumanMessage(f"{turn} {who}", id=f"{turn}")]}, at(f"t{who}"))
                for who in range(TASKS)
            ]
            _check_none_failed(both.at_once(calls))
        for who in range(TASKS):
            messages = both.state(graph, at(f"t{who}")).values["messages"]
            assert [each.content for each in messages if each.type == "human"] == [f"0 {who}", f"1 {who}"]
            assert len(messages) == 16

    def test_two_runs_on_one_thread_leave_a_thread_that_can_be_read(self, both: Both, cold: Cold) -> None:
        """Which wins is open; that every checkpoint is there, and goes on from its parent, is not."""
        graph = graphs.steps(both.saver, "abcdef")
        for trial in range(self.trials):
            config = at(f"t{trial}")
            both.invoke(graph, {"items": ["in"], "note": "kept"}, config)
            calls = [both.call(graph, "invoke", {"items": [f"run {who}"]}, config) for who in range(2)]
            _check_none_failed(both.at_once(calls))
            for reader in (both, cold(both)):
                found = reader.listing(config)
                assert len(found) == 3 * 8  # an input, a start and six nodes, for each run
                for each in found:
                    _check_it_follows_its_parent(reader, each)
            assert both.state(graph, config).values["note"] == "kept"

    def test_the_first_of_racing_writes_stays_whole(self, both: Both) -> None:
        """One task, run twice at once: one of both, never some of each."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1)
            calls = [
                both.call(both.saver, "put_writes", author.at(1), [("c", who), ("d", who), ("e", who)], task(1), "p")
                for who in range(8)
            ]
            _check_none_failed(both.at_once(calls))
            assert len({value for _, _, value in both.writes(author.at(1))}) == 1

    def test_a_thread_that_is_deleted_during_puts_is_whole_or_gone(self, both: Both, cold: Cold) -> None:
        """Every checkpoint that is there afterwards has all its values; a put that was too late may be refused."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE)
            puts = [
                both.call(both.saver, "put", *author.terms(number, {"list": ["a", {"n": 1}, number]}, after=1))
                for number in range(2, 12)
            ]
            delete = both.call(both.saver, "delete_thread", author.thread)
            both.at_once([*puts[:5], delete, *puts[5:]])
            for reader in (both, cold(both)):
                for found in reader.listing(anywhere(author.thread)):
                    number = int(found.checkpoint["id"][:8], 16)
                    added = [] if number == 1 else [number]
                    assert found.checkpoint["channel_values"] == {
                        "list": ["a", {"n": 1}, *added],
                        "fixed": "as it was",
                    }

    @pytest.mark.parametrize("name", ["prune", "delete_for_runs"])
    def test_what_a_writer_adds_during_a_clean_up_stays(self, both: Both, cold: Cold, name: str) -> None:
        """A turn that comes meanwhile builds on values whose checkpoint is just being taken away."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE, run="old")
            author.put(2, {"list": ["b"]}, after=1, run="old" if name == "prune" else "new")
            writer = cold(both)
            puts = [
                both.call(writer.saver, "put", *author.terms(number, {"list": ["a", {"n": 1}, number]}, after=2))
                for number in range(3, 9)
            ]
            clean = both.call(both.saver, name, [author.thread] if name == "prune" else ["old"])
            outcomes = both.at_once([*puts[:3], clean, *puts[3:]])
            _check_none_failed(outcomes)
            for reader in (both, cold(both)):
                assert reader.values(author.at()) == {"list": ["a", {"n": 1}, 8], "fixed": "as it was"}
                for found in reader.listing(author.at()):
                    assert found.checkpoint["channel_values"]["fixed"] == "as it was"

    def test_a_copy_that_is_made_during_puts_is_whole(self, both: Both) -> None:
        """Every checkpoint that came along came with its values."""
        for trial in range(self.trials):
            author = Author(both, f"t{trial}")
            author.put(1, VALUE)
            puts = [
                both.call(both.saver, "put", *author.terms(number, {"list": ["a", {"n": 1}, number]}, after=1))
                for number in range(2, 12)
            ]
            copy = both.call(both.saver, "copy_thread", author.thread, f"copy{trial}")
            _check_none_failed(both.at_once([*puts[:5], copy, *puts[5:]]))
            for found in both.listing(at(f"copy{trial}")):
                assert both.values(at(author.thread, id=found.checkpoint["id"])) == found.checkpoint["channel_values"]


def _check_it_follows_its_parent(both: Both, found: CheckpointTuple) -> None:
    """A superstep adds one element, and never what another run added beside it."""
    items = found.checkpoint["channel_values"].get("items", [])
    before = both.values(found.parent_config).get("items", []) if found.parent_config else []
    assert items in (before, [*before, *items[-1:]])


def _check_none_failed(outcomes: Any) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
