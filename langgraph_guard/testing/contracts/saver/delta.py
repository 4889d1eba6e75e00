"""Delta channels: a value that is nowhere stored is rebuilt from what tasks wrote, in the order of the run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite, Send
from typing_extensions import TypedDict

from langgraph_guard.testing.contracts.saver.harness import WAYS, Author, Both, Harness, Saver, at, task, uid
from langgraph_guard.testing.contracts.saver.running import durability, same_everywhere
from langgraph_guard.testing.contracts.saver.same import same

Cold = Callable[[Both], Both]

FREQUENCIES: Final = (1, 2, 3, 100)


def append(state: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
    """A reducer that minds the order."""
    return [*state, *(each for write in writes for each in write)]


def delta_graph(saver: Saver, frequency: int = 100, width: int = 1) -> Any:
    """Each turn adds to two delta channels and to a plain one, by `width` tasks at once."""

    delta = Annotated[list[Any], DeltaChannel(append, snapshot_frequency=frequency)]
    schema: Any = TypedDict("schema", {"items": delta, "rare": delta, "plain": int, "reset": bool}, total=False)

    def work(state: Any) -> dict[str, Any]:
        return {"items": [f"task {state['number']}", {"n": state["number"]}]}

    def end(state: Any) -> dict[str, Any]:
        count = state.get("plain", 0) + 1
        if state.get("reset"):
            return {"items": Overwrite(["fresh"]), "reset": False}
        return {"plain": count, **({"rare": [count]} if count % 3 == 1 else {})}

    builder = StateGraph(schema)
    builder.add_node("work", work)
    builder.add_node("end", end)
    builder.add_conditional_edges(
        START, lambda _: [Send("work", {"number": number}) for number in range(width)], ["work"]
    )
    builder.add_edge("work", "end")
    builder.add_edge("end", END)
    return builder.compile(checkpointer=saver)


class Before(TypedDict, total=False):
    """The same state in an earlier release, where nothing was a delta channel."""

    items: Annotated[list[Any], operator.add]
    plain: int


class Delta(Harness):
    """`get_delta_channel_history` gives what LangGraph's own walk over `get_tuple` gives."""

    @durability
    @pytest.mark.parametrize("frequency", FREQUENCIES)
    def test_a_delta_channel_has_its_value_after_many_turns(
        self, twins: Both, cold: Cold, frequency: int, durability: str
    ) -> None:
        """With a snapshot each time, now and then, and never."""
        expected: list[Any] = []
        for turn in range(7):
            graph = delta_graph(twins.saver, frequency)
            twins.invoke(graph, {"items": [turn]}, at(), durability=durability)
            expected += [turn, "task 0", {"n": 0}]
            graph = delta_graph(cold(twins).saver, frequency)
            state = twins.state(graph, at()).values
            assert (state["items"], state["rare"], state["plain"]) == (expected, [1, 4, 7][: turn // 3 + 1], turn + 1)
        same_everywhere(twins, cold)

    @pytest.mark.parametrize("frequency", FREQUENCIES)
    def test_every_moment_of_the_history_has_its_value(self, twins: Both, frequency: int) -> None:
        """Each is rebuilt by itself."""
        graph = delta_graph(twins.saver, frequency)
        for turn in range(4):
            twins.invoke(graph, {"items": [turn]}, at())
        sizes = [len(moment.values.get("items", [])) for moment in twins.states(graph, at())]
        assert sizes == sorted(sizes, reverse=True)
        assert set(sizes) == {*range(0, 12, 3), *range(1, 12, 3), *range(3, 13, 3)}

    @durability
    def test_writes_of_parallel_tasks_are_replayed_in_the_order_of_the_run(
        self, twins: Both, cold: Cold, durability: str
    ) -> None:
        """A saver that loses task paths replays them by hash: another list than the run returned."""
        graph = delta_graph(twins.saver, width=12)
        for turn in range(3):
            state = twins.invoke(graph, {"items": [turn]}, at(), durability=durability)
            assert twins.state(delta_graph(cold(twins).saver, width=12), at()).values["items"] == state["items"]

    @pytest.mark.parametrize("frequency", FREQUENCIES)
    def test_forks_replay_only_what_is_on_their_way(self, twins: Both, cold: Cold, frequency: int) -> None:
        """What a sibling wrote is none of theirs."""
        graph = delta_graph(twins.saver, frequency)
        for turn in range(3):
            twins.invoke(graph, {"items": [turn]}, at())
        for moment in twins.states(graph, at())[::3]:
            before = moment.values.get("items", [])
            forked = twins.update(graph, moment.config, {"items": ["fork"]}, as_node="end")
            driven = delta_graph(cold(twins).saver, frequency)
            assert twins.state(driven, forked).values["items"] == [*before, "fork"]
            twins.invoke(driven, {"items": ["on"]}, forked)
            assert twins.state(driven, moment.config).values.get("items", []) == before
        same_everywhere(twins, cold)

    def test_an_overwrite_begins_anew(self, twins: Both, cold: Cold) -> None:
        """By a node, and by `update_state`."""
        graph = delta_graph(twins.saver)
        twins.invoke(graph, {"items": [0]}, at())
        twins.invoke(graph, {"items": [1], "reset": True}, at())
        assert twins.state(graph, at()).values["items"] == ["fresh"]
        twins.update(graph, at(), {"items": Overwrite(["by hand"])}, as_node="end")
        state = twins.invoke(delta_graph(cold(twins).saver), {"items": [2]}, at())
        assert state["items"] == ["by hand", 2, "task 0", {"n": 0}]
        same_everywhere(twins, cold)

    def test_a_channel_that_becomes_a_delta_channel_keeps_its_value(self, twins: Both, cold: Cold) -> None:
        """A deploy; the seed is a plain value then."""

        builder = StateGraph(Before)
        builder.add_node("end", lambda state: {"plain": 1})
        builder.add_edge(START, "end")
        twins.invoke(builder.compile(checkpointer=twins.saver), {"items": ["old"]}, at())
        graph = delta_graph(cold(twins).saver)
        assert twins.invoke(graph, {"items": ["new"]}, at())["items"] == ["old", "new", "task 0", {"n": 0}]
        assert twins.state(graph, at()).values["items"] == ["old", "new", "task 0", {"n": 0}]
        same_everywhere(twins, cold)

    @pytest.mark.parametrize("between", [0, 20])
    def test_a_snapshot_counts_for_each_checkpoint_that_names_its_version(
        self, twins: Both, cold: Cold, between: int
    ) -> None:
        """It is put once. A process that only listed the parent, or saw many others since, puts after it."""
        author = Author(twins)
        author.put(1, {"items": _DeltaSnapshot(["snapshot"])})
        parent, driven = author.puts[1], cold(twins)
        driven.listing(at())
        other = Author(driven)
        for number in range(2, between + 2):
            other.put(number, {"plain": number})
        driven.put(author.at(1), {**parent, "id": uid(between + 2), "channel_values": {}}, {}, {})
        assert driven.values(at()) == {"items": _DeltaSnapshot(["snapshot"])}
        same_everywhere(driven, cold)


class History(Harness):
    """The method itself, on chains put by hand."""

    def test_history_is_what_langgraphs_own_walk_finds(self, both: Both, cold: Cold) -> None:
        """For every checkpoint of a tree with forks, seeds and writes of several tasks."""
        _tree(both)
        for reader in (both, cold(both)):
            for found in both.listing(None):
                names = ("items", "other", "never")
                expected = _Reads(reader).get_delta_channel_history(config=found.config, channels=names)
                history = reader.history(found.config, *names)
                assert list(history) == list(names)
                assert same(_listed(history), _listed(expected))

    def test_the_seed_is_the_nearest_value_above_and_its_own_writes_count(self, both: Both) -> None:
        """They made its child; those of the checkpoint that is asked about are still pending."""
        _tree(both)
        history = both.history(at(id=uid(6)), "items")["items"]
        assert history["seed"] == _DeltaSnapshot(["snapshot"])
        assert [value for _, _, value in history["writes"]] == [["3a"], ["3b"], ["4a"], ["4b"]]

    def test_without_a_value_above_there_is_no_seed(self, both: Both) -> None:
        """Nor for a channel that nobody has written."""
        _tree(both)
        history = both.history(at(id=uid(3)), "items", "never")
        assert "seed" not in history["items"]
        assert [value for _, _, value in history["items"]["writes"]] == [["1a"], ["1b"], ["2a"], ["2b"]]
        assert history["never"] == {"writes": []}

    def test_a_none_is_a_seed(self, both: Both) -> None:
        """It is a stored value like any other."""
        author = Author(both)
        author.put(1, {"items": None})
        author.put(2, after=1, gone=["items"])
        assert both.history(author.at(2), "items") == {"items": {"writes": [], "seed": None}}

    def test_without_channels_there_is_nothing(self, both: Both) -> None:
        """And nothing to look for."""
        Author(both).chain(2)
        assert both.history(at()) == {}

    def test_without_a_checkpoint_histories_are_empty(self, both: Both) -> None:
        """A thread that has not begun."""
        assert both.history(at(), "a", "b") == {"a": {"writes": []}, "b": {"writes": []}}

    def test_a_parent_that_is_gone_ends_the_walk(self, both: Both) -> None:
        """What is known is given."""
        author = Author(both)
        author.terms(1)
        author.put(2, after=1)
        author.put(3, after=2)
        both.put_writes(author.at(2), [("items", [2])], task(1))
        assert both.history(author.at(), "items") == {"items": {"writes": [(task(1), "items", [2])]}}

    def test_without_an_id_it_is_about_the_latest(self, both: Both) -> None:
        """As everywhere."""
        _tree(both)
        latest = both.get(at()).config
        assert same(_listed(both.history(at(), "items")), _listed(both.history(latest, "items")))

    @pytest.mark.parametrize("length", [1_200])
    def test_a_thousand_deltas_are_all_replayed(self, both: Both, cold: Cold, length: int) -> None:
        """In order, from a process that has seen none of them."""
        author = Author(both)
        author.put(1)
        for number in range(2, length + 1):
            both.put_writes(author.at(number - 1), [("items", [number - 1])], task(1), "p")
            author.put(number, {"plain": number}, after=number - 1)
        history = cold(both).history(author.at(), "items")["items"]
        assert [value for _, _, value in history["writes"]] == [[number] for number in range(1, length)]
        assert "seed" not in history


class Loops(Harness):
    """A checkpoint that is put again under its own descendant is its own ancestor; `InMemorySaver` walks for ever."""

    @pytest.mark.timeout(30)
    @pytest.mark.parametrize("way", WAYS)
    def test_a_walk_that_comes_round_ends(self, both: Both, way: str) -> None:
        """It happens when a stub is replaced after its child was stored."""
        author = Author(both)
        author.put(1)
        author.put(2, {"a": 2}, after=1)
        author.put(3, {"a": 3}, after=2)
        author.put(1, {"b": 1}, after=3)
        for number in (1, 2, 3):
            both.put_writes(author.at(number), [("items", [number])], task(1))
        written = {
            number: sorted(value for _, _, (value,) in both.history(author.at(number), "items")["items"]["writes"])
            for number in (1, 2, 3)
        }
        assert written == {1: [2, 3], 2: [1, 3], 3: [1, 2]}

    @pytest.mark.timeout(30)
    def test_a_checkpoint_that_is_its_own_parent_is_read(self, both: Both) -> None:
        """The shortest way round."""
        author = Author(both)
        author.put(1, {"a": 1})
        author.put(1, {"a": 2}, after=1)
        assert both.values(at()) == {"a": 2}
        assert both.history(at(), "items") == {"items": {"writes": []}}


class _Reads(BaseCheckpointSaver[str]):
    """`get_tuple` of a saver that may be asynchronous, for LangGraph's own walk."""

    def __init__(self, both: Both) -> None:
        super().__init__()
        self.get_tuple = both.find  # type: ignore[method-assign] # whatever way it is driven


def _tree(both: Both) -> None:
    """1 ← 2 ← 3 (a snapshot) ← 4 ← 6 and 2 ← 5, each with the writes of two tasks that came in the wrong order."""
    author = Author(both)
    author.put(1)
    author.put(2, {"plain": 2}, after=1)
    author.put(3, {"items": _DeltaSnapshot(["snapshot"]), "other": "plain value"}, after=2)
    author.put(4, after=3, gone=["items"])
    author.put(5, {"plain": 5}, after=2)
    author.put(6, {"plain": 6}, after=4)
    for number in range(1, 7):
        both.put_writes(author.at(number), [("items", [f"{number}b"]), ("other", number)], task(1), "b")
        both.put_writes(author.at(number), [("plain", 0), ("items", [f"{number}a"])], task(2), "a")


def _listed(history: Any) -> Any:
    return {name: {**entry, "writes": [tuple(write) for write in entry["writes"]]} for name, entry in history.items()}
