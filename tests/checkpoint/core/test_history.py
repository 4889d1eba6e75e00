"""Paths of checkpoints: what a delta channel is rebuilt from, and what may go without anyone noticing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from langgraph_guard.checkpoint.core.history import (
    Ancestor,
    Node,
    Write,
    ancestors,
    delta_history,
    delta_walk,
    is_call,
    kept_by_latest,
    pending_writes,
)

CHANNELS = ("a", "b")

# Ancestors


@pytest.mark.parametrize(
    ("parents", "path"),
    [
        ({"c": "b", "b": "a"}, "cba"),
        ({}, "c"),
        ({"c": "c"}, "c"),
        ({"c": "b", "b": "a", "a": "c"}, "cba"),
        ({"c": "b", "b": "a", "a": "b"}, "cba"),
    ],
)
def test_a_walk_ends_also_in_a_loop(parents: dict[str, str], path: str) -> None:
    """An id that is put again under one of its descendants bends the path into a loop."""
    assert "".join(ancestors("c", parents.get)) == path


def test_nothing_has_no_ancestors() -> None:
    """A thread's first checkpoint has no parent."""
    assert list(ancestors(None, {}.get)) == []


# The history of delta channels, beside LangGraph's own


class Recorded(BaseCheckpointSaver[str]):
    """A saver that holds what it was made with; its history is that of the base class."""

    def __init__(self, known: Mapping[str, Ancestor], writes: Mapping[str, Sequence[Write]]) -> None:
        super().__init__()
        self.known, self.writes = known, writes

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        id = config["configurable"]["checkpoint_id"]
        if (found := self.known.get(id)) is None:
            return None
        values = {channel: f"{channel} at {id}" for channel in found.stored}
        parent = None if found.parent is None else _config(found.parent)
        checkpoint = {**empty_checkpoint(), "id": id, "channel_values": values}
        return CheckpointTuple(config, checkpoint, {}, parent, pending_writes(self.writes.get(id, ())))


def _config(id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": id}}


@st.composite
def trees(draw: Any) -> dict[str, Ancestor]:
    """Checkpoints with forks, several roots, and parents that are not stored any more."""
    known: dict[str, Ancestor] = {}
    for at in range(draw(st.integers(1, 8))):
        parent = draw(st.none() | st.just("gone") | st.sampled_from(sorted(known) or [None]))
        known[f"{at:02}"] = Ancestor(parent, draw(st.frozensets(st.sampled_from(CHANNELS))))
    return known


writes_of_one = st.lists(
    st.builds(
        Write,
        st.sampled_from(["", "~a", "~b"]),
        st.sampled_from("xyz"),
        st.integers(0, 3),
        st.sampled_from("abc"),
        st.integers(),
    ),
    max_size=3,
    unique_by=lambda write: write[:3],
)


def _history(target: str, known: Mapping[str, Ancestor], writes: Mapping[str, Sequence[Write]]) -> Any:
    """Step by step, as a saver does it that has to ask its store."""
    looked_up: dict[str, Ancestor | None] = {}
    while (missing := (walk := delta_walk(target, looked_up, CHANNELS)).missing) is not None:
        looked_up[missing] = known.get(missing)
    seeds = {channel: f"{channel} at {id}" for channel, id in walk.seeds.items()}
    return delta_history(walk, lambda id: writes.get(id, ()), seeds)


@given(trees(), st.lists(writes_of_one, max_size=8), st.sampled_from(["00", "03", "07", "gone"]))
def test_a_history_is_the_one_of_the_base_class(
    known: dict[str, Ancestor], written: list[list[Write]], target: str
) -> None:
    """LangGraph replays it through the reducer: another order is another state, a missing seed an empty one."""
    writes = {f"{at:02}": each for at, each in enumerate(written)}
    theirs = Recorded(known, writes).get_delta_channel_history(config=_config(target), channels=CHANNELS)
    assert _history(target, known, writes) == theirs


def test_a_history_ends_although_the_path_does_not() -> None:
    """The base class would walk for ever."""
    known = {"c": Ancestor("b"), "b": Ancestor("a"), "a": Ancestor("c")}
    writes = {id: [Write("", "t", 0, "a", id)] for id in "abc"}
    assert [value for _, _, value in _history("c", known, writes)["a"]["writes"]] == ["a", "b"]


def test_a_walk_asks_for_nothing_above_the_seeds() -> None:
    """A thread of ten thousand steps has a snapshot every hundred."""
    known = {"c": Ancestor("b"), "b": Ancestor("a", {"a", "b"})}
    walk = delta_walk("c", known, CHANNELS)
    assert (walk.missing, walk.ids, walk.seeds) == (None, ["b"], {"a": "b", "b": "b"})


def test_a_walk_says_which_checkpoint_it_needs() -> None:
    """So that it can be read in pages, and goes on where it stopped."""
    known: dict[str, Ancestor | None] = {"c": Ancestor("b"), "b": Ancestor("a", {"a"})}
    walk = delta_walk("c", known, CHANNELS)
    assert (walk.missing, walk.paths["b"], walk.seeds) == ("a", ("b",), {"a": "b"})
    assert delta_walk("c", {}, CHANNELS).missing == "c"
    assert delta_walk("c", {}, ()).missing is None


def test_writes_are_in_the_order_in_which_a_run_applies_them() -> None:
    """By path, then task, then number as a number: parallel tasks write one channel, and reducers may care."""
    places = [("~b", "a", 0), ("", "z", 10), ("", "z", 9), ("", "z", -1), ("~a", "z", 0)]
    writes = [Write(path, task, idx, "a", (path, task, idx)) for path, task, idx in places]
    assert [value for _, _, value in pending_writes(writes)] == sorted(places)


# Pruning


def chain(ns: str, count: int, **facts: Any) -> list[Node]:
    """A path of checkpoints, oldest first."""
    ids = [f"{ns}{at:03}" for at in range(count)]
    return [Node(ns, id, parent, **facts) for id, parent in zip(ids, [None, *ids], strict=False)]


def test_the_newest_of_each_namespace_is_kept() -> None:
    """By id, as LangGraph finds the newest; not by when it was stored."""
    nodes = [*reversed(chain("", 3)), *chain("kept:subgraph", 2), *chain("inner", 2)]
    kept = kept_by_latest(nodes)
    assert kept == {"": {"002"}, "kept:subgraph": {"kept:subgraph001"}, "inner": {"inner001"}}


def test_nothing_is_kept_of_nothing() -> None:
    """A thread that does not exist is pruned without an error."""
    assert kept_by_latest([]) == {}


def delta(count: int, snapshots: Iterable[int] = ()) -> list[Node]:
    """A path with a delta channel "a", written at every step and snapshotted at some, and a trigger without a value."""
    return [
        Node("", node.id, node.parent, {"a", "x", "branch:to:n"}, {"x", *(["a"] if at in snapshots else [])}, {"a"})
        for at, node in enumerate(chain("", count))
    ]


def test_a_delta_channel_keeps_its_path_up_to_the_snapshot() -> None:
    """Without the path it comes back empty, and nothing says so."""
    assert kept_by_latest(delta(8, snapshots=[2, 5]))[""] == {"005", "006", "007"}


def test_a_delta_channel_without_a_snapshot_keeps_its_whole_path() -> None:
    """Its writes are all there is."""
    assert len(kept_by_latest(delta(8))[""]) == 8


def test_a_snapshot_at_the_newest_checkpoint_frees_the_rest() -> None:
    """It stands for all that was before."""
    assert kept_by_latest(delta(8, snapshots=[7]))[""] == {"007"}


def test_a_channel_that_is_merely_empty_keeps_nothing() -> None:
    """Triggers and ephemeral channels have a version and no value too; only counters tell delta channels from them."""
    nodes = [Node("", node.id, node.parent, {"x", "branch:to:n"}, {"x"}) for node in chain("", 5)]
    assert kept_by_latest(nodes) == {"": {"004"}}


def test_a_delta_channel_of_the_past_counts_too() -> None:
    """A program that made it a plain reducer reads the last value from its deltas until it is written again."""
    old, new = delta(4, snapshots=[1]), chain("", 6)[4:]
    later = [Node("", node.id, node.parent, {"a", "x"}, {"x"}) for node in new]
    assert kept_by_latest([*old, *later])[""] == {"001", "002", "003", "004", "005"}


def test_only_the_path_of_the_newest_is_kept() -> None:
    """Branches that were abandoned go, delta channel or not."""
    fork = Node("", "9", "001", {"a"}, (), {"a"})
    assert kept_by_latest([*delta(5, snapshots=[0]), fork])[""] == {"9", "001", "000"}


def test_a_path_that_is_cut_keeps_what_is_left() -> None:
    """Pruned before, or written by a saver that lost some: no error, and nothing that is there is dropped."""
    assert kept_by_latest(delta(6)[2:])[""] == {"002", "003", "004", "005"}


def test_a_loop_is_pruned_too() -> None:
    """Paths bend when an id is put again."""
    nodes = [Node("", "a", "b", {"d"}, (), {"d"}), Node("", "b", "a", {"d"}, (), {"d"})]
    assert kept_by_latest(nodes)[""] == {"a", "b"}


def test_a_call_goes_with_the_checkpoint_that_it_was_made_under() -> None:
    """Calls of subgraphs pile up for ever otherwise; each leaves a namespace behind."""
    nodes = [*chain("", 3), *chain("sub:1", 2, root="001"), *chain("sub:1|deep:2", 1, root="001")]
    assert kept_by_latest(nodes).keys() == {""}


def test_a_call_of_the_newest_checkpoint_stays() -> None:
    """It may wait for a person's answer."""
    assert "sub:1" in kept_by_latest([*chain("", 3), *chain("sub:1", 2, root="002")])


def test_a_call_whose_root_is_not_stored_yet_stays() -> None:
    """Runs store in the background, so a call can be stored before what it was made under."""
    assert "sub:1" in kept_by_latest([*chain("", 3), *chain("sub:1", 2, root="003")])
    assert "sub:1" in kept_by_latest(chain("sub:1", 2, root="003"))


def test_a_subgraph_with_a_memory_stays() -> None:
    """`checkpointer=True`: its state outlives the call, and has no task's id in its namespace."""
    assert "sub" in kept_by_latest([*chain("", 3), *chain("sub", 2, root="000")])


@pytest.mark.parametrize(("ns", "call"), [("", False), ("a", False), ("a|b", False), ("a:1", True), ("a|b:1|c", True)])
def test_a_call_has_a_colon(ns: str, call: bool) -> None:
    """LangGraph's node names cannot have one."""
    assert is_call(ns) is call


@given(trees(), st.frozensets(st.sampled_from(CHANNELS)))
def test_pruning_never_changes_a_delta_channel(known: dict[str, Ancestor], delta_channels: frozenset[str]) -> None:
    """What is rebuilt from what is kept is what was rebuilt before, on every tree."""
    nodes = [Node("", id, each.parent, CHANNELS, each.stored, delta_channels) for id, each in known.items()]
    kept = {id: known[id] for id in kept_by_latest(nodes)[""]}
    writes = {id: [Write("", "t", 0, channel, id) for channel in CHANNELS] for id in known}
    before, after = _history(max(known), known, writes), _history(max(kept), kept, writes)
    for channel in delta_channels - set(known[max(known)].stored):
        assert after[channel] == before[channel]


@given(trees(), st.frozensets(st.sampled_from(CHANNELS)))
def test_pruning_twice_is_pruning_once(known: dict[str, Ancestor], delta_channels: frozenset[str]) -> None:
    """A job that prunes every night finds nothing to do the second time."""
    nodes = [Node("", id, each.parent, CHANNELS, each.stored, delta_channels) for id, each in known.items()]
    kept = kept_by_latest(nodes)[""]
    assert kept_by_latest(node for node in nodes if node.id in kept)[""] == kept


# In a graph


def _extend(state: list[str], batch: Sequence[list[str]]) -> list[str]:
    return [*state, *(text for texts in batch for text in texts)]


class Chat(TypedDict):
    log: Annotated[list[str], DeltaChannel(_extend, snapshot_frequency=7)]
    turn: int


def _program(saver: InMemorySaver) -> Any:
    graph = StateGraph(Chat)
    graph.add_node("speak", lambda state: {"log": [f"said {len(state['log'])}"], "turn": state["turn"]})
    graph.add_edge(START, "speak")
    graph.add_edge("speak", END)
    return graph.compile(checkpointer=saver)


def _nodes(saver: InMemorySaver) -> list[Node]:
    def node(found: CheckpointTuple) -> Node:
        checkpoint, metadata = found.checkpoint, found.metadata
        return Node(
            found.config["configurable"]["checkpoint_ns"],
            checkpoint["id"],
            found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None,
            checkpoint["channel_versions"],
            checkpoint["channel_values"],
            metadata.get("counters_since_delta_snapshot", ()),
            metadata.get("parents", {}).get(""),
        )

    return [node(found) for found in saver.list({"configurable": {"thread_id": "t"}})]


@pytest.mark.parametrize("turns", range(1, 9))
def test_a_real_graph_goes_on_after_its_thread_was_pruned(turns: int) -> None:
    """With a delta channel between two snapshots, at each distance from the last one."""
    saver = InMemorySaver()
    program, config = _program(saver), {"configurable": {"thread_id": "t"}}
    for turn in range(turns):
        program.invoke({"log": [f"asked {turn}"], "turn": turn}, config)
    before, nodes = program.get_state(config).values, _nodes(saver)
    kept = kept_by_latest(nodes)[""]
    for node in nodes:
        if node.id not in kept:
            del saver.storage["t"][""][node.id]
            saver.writes.pop(("t", "", node.id), None)
    assert program.get_state(config).values == before
    assert len(kept) < len(nodes) or turns < 4
    assert program.invoke({"log": ["again"], "turn": 9}, config)["log"][: len(before["log"])] == before["log"]
