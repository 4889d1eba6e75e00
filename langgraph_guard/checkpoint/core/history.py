"""Where a checkpoint comes from, what of its past rebuilds it, and what may go. Pure: no store, no serializer.

A checkpoint names its parent; parents make a path. Writing an id again may bend a path into a loop, and pruning may cut
it, so no walk trusts it to end.

A DeltaChannel is not stored at every step: its value is the nearest snapshot up the path, and the writes since then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite, writes_sort_key


def ancestors(start: str | None, parent_of: Callable[[str], str | None]) -> Iterator[str]:
    """`start`, its parent, and so on. Each id once, also when the path is a loop. `start` is given even if unknown."""
    seen: set[str] = set()
    while start is not None and start not in seen:
        seen.add(start)
        yield start
        start = parent_of(start)


# Writes


class Write(NamedTuple):
    """A pending write, with all that decides its place."""

    task_path: str
    task_id: str
    idx: int
    channel: str
    value: Any

    @property
    def place(self) -> tuple[str, str, int]:
        return writes_sort_key(self.task_path, self.task_id, self.idx)

    @property
    def pending(self) -> PendingWrite:
        return self.task_id, self.channel, self.value


def pending_writes(writes: Iterable[Write]) -> list[PendingWrite]:
    """Writes of one checkpoint in the order in which a live run applies them."""
    return [write.pending for write in sorted(writes, key=lambda write: write.place)]


# The history of delta channels


@dataclass(frozen=True, slots=True)
class Ancestor:
    """What a walk must know of a checkpoint: its parent, and which channels have a value stored at it."""

    parent: str | None
    stored: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class DeltaWalk:
    """How far up the path each channel's history goes.

    `paths`: by channel, the ancestors whose writes belong to it, newest first. `seeds`: by channel, the ancestor that
    holds its value, always the last of its path; absent when none does. `missing`: a checkpoint that has to be looked
    up before the walk can go on; `None` when it is over.
    """

    paths: dict[str, tuple[str, ...]]
    seeds: dict[str, str]
    missing: str | None = None

    @property
    def ids(self) -> list[str]:
        """Every ancestor whose writes are needed, newest first."""
        return [id for path in sorted(self.paths.values(), key=len)[-1:] for id in path]


def delta_walk(target: str, known: Mapping[str, Ancestor | None], channels: Iterable[str]) -> DeltaWalk:
    """Walk up from the parent of `target` until every channel has its seed.

    `known` says `None` of a checkpoint that is not stored: the path ends there. Of one that is not in `known` the walk
    asks by `missing`; look it up (and as many further ones as come with it) and walk again.
    """
    open_channels = set(channels)
    paths: dict[str, list[str]] = {channel: [] for channel in channels}
    seeds: dict[str, str] = {}
    missing = None

    def parent_of(id: str) -> str | None:
        return found.parent if (found := known.get(id)) is not None else None

    for at, id in enumerate(ancestors(target, parent_of)):
        if not open_channels:
            break
        if id not in known:
            missing = id
            break
        if at == 0 or (found := known[id]) is None:
            continue
        for channel in open_channels:
            paths[channel].append(id)
        here = open_channels.intersection(found.stored)
        seeds.update(dict.fromkeys(here, id))
        open_channels -= here
    return DeltaWalk({channel: tuple(path) for channel, path in paths.items()}, seeds, missing)


def delta_history(
    walk: DeltaWalk, writes_of: Callable[[str], Iterable[Write]], seeds: Mapping[str, Any]
) -> dict[str, DeltaChannelHistory]:
    """What `BaseCheckpointSaver.get_delta_channel_history` answers.

    `writes_of`: the writes stored at an ancestor, in any order. `seeds`: the values of the channels in `walk.seeds`.
    """
    return {channel: _history(channel, path, writes_of, seeds) for channel, path in walk.paths.items()}


def _history(
    channel: str, path: Sequence[str], writes_of: Callable[[str], Iterable[Write]], seeds: Mapping[str, Any]
) -> DeltaChannelHistory:
    oldest_first = (write for id in reversed(path) for write in pending_writes(writes_of(id)))
    writes = [write for write in oldest_first if write[1] == channel]
    return {"writes": writes, "seed": seeds[channel]} if channel in seeds else {"writes": writes}


# Pruning


@dataclass(frozen=True, slots=True)
class Node:
    """What pruning must know of a stored checkpoint.

    `versions`: channels that have a version. `stored`: those that also have a value here. `counted`: the keys of
    `metadata["counters_since_delta_snapshot"]`, which are DeltaChannels. `root`: `metadata["parents"][""]`, the
    checkpoint of the root graph that this one was made under.
    """

    ns: str
    id: str
    parent: str | None = None
    versions: Collection[str] = ()
    stored: Collection[str] = ()
    counted: Collection[str] = ()
    root: str | None = None


@dataclass(slots=True)
class _Namespace:
    nodes: dict[str, Node] = field(default_factory=dict)
    delta: set[str] = field(default_factory=set)

    def add(self, node: Node) -> None:
        self.nodes[node.id] = node
        self.delta.update(node.counted)

    @property
    def head(self) -> Node:
        return self.nodes[max(self.nodes)]

    def kept(self) -> frozenset[str]:
        """The newest, and the ancestors that its delta channels are rebuilt from."""
        head = self.head
        unstored = self.delta.intersection(head.versions).difference(head.stored)
        known = {id: Ancestor(node.parent, node.stored) for id, node in self.nodes.items()}
        walk = delta_walk(head.id, {id: known.get(id) for id in self._mentioned()}, unstored)
        return frozenset([head.id, *walk.ids])

    def _mentioned(self) -> set[str]:
        return {*self.nodes, *(node.parent for node in self.nodes.values() if node.parent is not None)}


def kept_by_latest(nodes: Iterable[Node]) -> dict[str, frozenset[str]]:
    """By namespace, the checkpoints of one thread that `prune(strategy="keep_latest")` keeps; the rest may go.

    The newest of each namespace stays, and so does what its DeltaChannels are rebuilt from. A namespace of a subgraph's
    call goes as a whole with the root graph's checkpoint that it was made under, unless that one was not stored yet: a
    run saves in the background, so a call can arrive first. A namespace that is not in the answer is to be deleted.
    """
    spaces: dict[str, _Namespace] = {}
    for node in nodes:
        spaces.setdefault(node.ns, _Namespace()).add(node)
    roots = spaces.get("", _Namespace())
    kept = {ns: space.kept() for ns, space in spaces.items()}
    over = set(roots.nodes).difference(kept.get("", ()))
    return {ns: ids for ns, ids in kept.items() if not (is_call(ns) and spaces[ns].head.root in over)}


def is_call(ns: str) -> bool:
    """Whether a namespace is one call of a subgraph: its task's id stands behind a colon.

    The namespace of a `checkpointer=True` subgraph has none: its state outlives each call.
    """
    return ":" in ns
