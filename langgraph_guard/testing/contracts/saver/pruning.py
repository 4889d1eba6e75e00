"""Pruning: what a thread needs to go on is kept, and the rest is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from langgraph.types import Command

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.delta import FREQUENCIES, delta_graph
from langgraph_guard.testing.contracts.saver.harness import (
    CANARY,
    Author,
    Both,
    Harness,
    anywhere,
    at,
    ids,
    places,
    task,
    uid,
)
from langgraph_guard.testing.contracts.saver.running import durability

Cold = Callable[[Both], Both]

STRATEGIES: Final = ("keep_latest", "delete")


class Pruning(Harness):
    """`prune` as Postgres's saver has it, and on delta channels, which that refuses."""

    def test_the_latest_of_each_namespace_is_kept_whole(self, both: Both, cold: Cold) -> None:
        """Values that came with older checkpoints, metadata and writes; its parent is gone and not named."""
        for ns in ("", "sub", "sub:1|deep"):
            author = Author(both, ns=ns)
            author.chain(4)
            both.put_writes(author.at(4), [("b", 1), ("__interrupt__", ["?"])], task(1), "p")
        both.do(both.saver, "prune", ["t"])
        for reader in (both, cold(both)):
            for ns in ("", "sub", "sub:1|deep"):
                (found,) = reader.listing(at(ns=ns))
                assert found.checkpoint["id"] == uid(4)
                assert found.checkpoint["channel_values"] == {"n": 4, "fixed": "as it was"}
                assert found.pending_writes == [(task(1), "__interrupt__", ["?"]), (task(1), "b", 1)]
                assert (found.metadata["step"], found.parent_config) == (4, None)

    def test_the_latest_is_the_highest_id(self, both: Both) -> None:
        """Not the last put."""
        author = Author(both)
        author.put(5, {"n": 5})
        author.put(3, {"n": 3})
        both.do(both.saver, "prune", ["t"])
        assert ids(both.listing(at())) == [uid(5)]

    def test_values_that_only_older_checkpoints_had_do_not_come_back(self, both: Both) -> None:
        """What was pruned is gone by its id, too; put again, it has no old writes."""
        author = Author(both)
        author.chain(3)
        both.put_writes(author.at(1), [("c", "old")], task(1))
        both.do(both.saver, "prune", ["t"])
        assert both.find(author.at(1)) is None
        author.put(1)
        assert both.writes(author.at(1)) == []

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_threads_that_are_not_named_are_not_touched(self, both: Both, strategy: str) -> None:
        """Nor those whose name looks like one that is."""
        for thread in ("t", CANARY, "t:", "*", "T"):
            Author(both, thread).chain(3)
        both.do(both.saver, "prune", ["t", "unknown"], strategy=strategy)
        for thread in (CANARY, "t:", "*", "T"):
            assert len(both.listing(at(thread))) == 3

    def test_all_is_deleted_when_asked(self, both: Both, cold: Cold) -> None:
        """As `delete_thread` does it, for many."""
        for thread in ("one", "two", "three"):
            for ns in ("", "sub"):
                author = Author(both, thread, ns)
                author.chain(2)
                both.put_writes(author.at(2), [("c", 1)], task(1))
        both.do(both.saver, "prune", ["one", "two"], strategy="delete")
        assert {place and place[0] for place in places(cold(both).listing(None))} == {"three"}

    @pytest.mark.parametrize("strategy", ["", "KEEP_LATEST", "keep", "all", None, 1])
    def test_an_unknown_strategy_is_refused_before_anything_is_touched(self, both: Both, strategy: Any) -> None:
        """Also when there is nothing to prune."""
        Author(both).chain(3)
        for threads in (["t"], []):
            with pytest.raises((ValueError, TypeError)):
                both.do(both.saver, "prune", threads, strategy=strategy)
        assert len(both.listing(at())) == 3

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_a_thread_in_place_of_a_list_of_threads_is_refused(self, both: Both, strategy: str) -> None:
        """Read as a list, `"t1"` prunes the threads `t` and `1`."""
        for thread in ("t", "1", "t1"):
            Author(both, thread).chain(3)
        with pytest.raises((TypeError, ValueError)):
            both.do(both.saver, "prune", "t1", strategy=strategy)
        assert len(both.listing(None)) == 9

    @pytest.mark.parametrize("bad", ["", None])
    def test_a_list_with_something_bad_in_it_is_refused_before_anything_is_touched(self, both: Both, bad: Any) -> None:
        """Half a job is worse than none."""
        Author(both).chain(3)
        with pytest.raises((TypeError, ValueError)):
            both.do(both.saver, "prune", ["t", bad])
        assert len(both.listing(at())) == 3

    def test_any_sequence_of_threads_will_do(self, both: Both) -> None:
        """A tuple, and one name twice."""
        Author(both).chain(3)
        both.do(both.saver, "prune", ("t", "t"))
        assert len(both.listing(at())) == 1

    def test_pruning_again_changes_nothing(self, both: Both) -> None:
        """A prune whose answer was lost is sent again."""
        Author(both).chain(3)
        both.do(both.saver, "prune", ["t"])
        before = both.listing(anywhere("t"))
        both.do(both.saver, "prune", ["t"])
        assert both.listing(anywhere("t")) == before

    def test_no_threads_and_unknown_threads_are_no_error(self, both: Both) -> None:
        """Nor do they come to be."""
        for threads in ([], ["unknown"]):
            both.do(both.saver, "prune", threads)
        assert both.listing(None) == []

    def test_writes_that_came_before_their_checkpoint_are_kept(self, both: Both) -> None:
        """A run goes on beside the prune; its checkpoint is on the way."""
        author = Author(both)
        author.chain(3)
        both.put_writes(author.at(4), [("__interrupt__", ["?"])], task(1), "p")
        both.do(both.saver, "prune", ["t"])
        author.put(4, {"n": 4}, after=3)
        assert both.writes(at()) == [(task(1), "__interrupt__", ["?"])]
        assert both.values(at()) == {"n": 4, "fixed": "as it was"}

    def test_a_writer_that_knows_nothing_of_the_prune_goes_on(self, both: Both, cold: Cold) -> None:
        """It remembers elements that were stored with checkpoints which are gone."""
        author = Author(both)
        author.put(1, {"list": ["a", {"n": 1}], "fixed": "x"})
        author.put(2, {"list": ["b"]}, after=1)
        other = cold(both)
        other.do(other.saver, "prune", ["t"])
        author.put(3, {"list": ["a", {"n": 1}, "b"]}, after=2)
        author.put(4, {"list": ["a"]}, after=1)
        for reader in (both, cold(both)):
            assert reader.values(author.at(3)) == {"list": ["a", {"n": 1}, "b"], "fixed": "x"}
            assert reader.values(author.at(4)) == {"list": ["a"], "fixed": "x"}


class PrunedGraphs(Harness):
    """A pruned thread and its unpruned twin go on alike."""

    @durability
    def test_a_pruned_agent_goes_on_as_its_twin_does(self, both: Both, cold: Cold, durability: str) -> None:
        """Pruned after each turn."""
        for turn in range(3):
            for thread in ("pruned", "twin"):
                graph = graphs.react(cold(both).saver)
                both.invoke(graph, {"messages": [("user", f"q{turn}")]}, at(thread), durability=durability)
            both.do(both.saver, "prune", ["pruned"])
            assert len(both.listing(at("pruned"))) == 1
            pruned, twin = (both.state(graphs.react(both.saver), at(thread)) for thread in ("pruned", "twin"))
            assert [each.content for each in pruned.values["messages"]] == [
                each.content for each in twin.values["messages"]
            ]
            assert (pruned.next, pruned.metadata["step"]) == (twin.next, twin.metadata["step"])

    @pytest.mark.parametrize("frequency", FREQUENCIES)
    @durability
    def test_a_pruned_delta_thread_keeps_its_values(
        self, both: Both, cold: Cold, frequency: int, durability: str
    ) -> None:
        """The naive way gives an empty list and no error."""
        expected: list[Any] = []
        for turn in range(5):
            both.invoke(delta_graph(cold(both).saver, frequency), {"items": [turn]}, at(), durability=durability)
            expected += [turn, "task 0", {"n": 0}]
            for _ in range(2):
                both.do(both.saver, "prune", ["t"])
                state = both.state(delta_graph(cold(both).saver, frequency), at()).values
                assert (state["items"], state["plain"]) == (expected, turn + 1)
                assert state["rare"] == [1, 4][: turn // 3 + 1]

    def test_a_pruned_delta_thread_does_not_keep_what_lies_before_its_snapshots(self, both: Both) -> None:
        """Else nothing would ever be freed."""
        graph = delta_graph(both.saver, 2)
        for turn in range(12):
            both.invoke(graph, {"items": [turn]}, at())
        before = len(both.listing(at()))
        both.do(both.saver, "prune", ["t"])
        assert len(both.listing(at())) < before / 2

    def test_a_fork_of_a_delta_thread_is_pruned_to_the_way_of_its_head(self, both: Both, cold: Cold) -> None:
        """The sibling goes, though it was written later than what is kept."""
        graph = delta_graph(both.saver)
        for turn in range(2):
            both.invoke(graph, {"items": [turn]}, at())
        moment = both.states(graph, at())[3]
        forked = both.update(graph, moment.config, {"items": ["fork"]}, as_node="end")
        expected = both.state(graph, at()).values["items"]
        assert expected[-1] == "fork"
        both.do(both.saver, "prune", ["t"])
        assert both.state(delta_graph(cold(both).saver), at()).values["items"] == expected
        assert both.get(at()).checkpoint["id"] == forked["configurable"]["checkpoint_id"]

    @pytest.mark.parametrize("remembers", [False, True])
    def test_a_question_that_is_open_is_answered_after_the_prune(self, both: Both, cold: Cold, remembers: bool) -> None:
        """Three levels deep, in another process."""
        graph = graphs.nested(both.saver, remembers=remembers)
        for turn in range(2):
            both.invoke(graph, {"items": [turn]}, at())
            both.do(both.saver, "prune", ["t"])
            driven = graphs.nested(cold(both).saver, remembers=remembers)
            assert [each.value for each in both.state(driven, at()).interrupts]
            state = both.invoke(driven, Command(resume=f"answer {turn}"), at())
            assert state["items"][-1] == f"answer {turn}"
            both.do(both.saver, "prune", ["t"])

    def test_a_subgraph_that_remembers_remembers_after_the_prune(self, both: Both) -> None:
        """Its namespace has no call; it is as long-lived as the thread."""
        for thread in ("pruned", "twin"):
            for turn in range(2):
                graph = graphs.nested(both.saver, remembers=True)
                both.invoke(graph, {"items": [turn]}, at(thread))
                both.invoke(graph, Command(resume=turn), at(thread))
                if thread == "pruned":
                    both.do(both.saver, "prune", [thread])
        graph = graphs.nested(both.saver, remembers=True)
        asked = [both.invoke(graph, {"items": [9]}, at(thread))["__interrupt__"] for thread in ("pruned", "twin")]
        assert asked[0][0].value == asked[1][0].value

    def test_what_finished_beside_a_failure_is_kept(self, both: Both, cold: Cold) -> None:
        """Pending writes of the head, whose tasks must not run again."""
        failures, ran = ["b"], list[str]()
        with pytest.raises(RuntimeError, match="b failed"):
            both.invoke(graphs.flaky(both.saver, failures, ran), {"items": ["in"]}, at())
        finished = [name for _, name, _ in both.writes(at()) if name == "items"]
        both.do(both.saver, "prune", ["t"])
        assert [name for _, name, _ in both.writes(at()) if name == "items"] == finished
        failures.clear()
        state = both.invoke(graphs.flaky(cold(both).saver, failures, ran), None, at())
        assert state["items"] == ["in", "a", "b", "c"]
