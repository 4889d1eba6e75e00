"""Get one checkpoint, the newest or by its id: one list, and one read of values that are not known.

When there is a sign that something newer exists, it is waited for, and the caller is told if it does not come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard.checkpoint.cloudflare import session
from langgraph_guard.checkpoint.cloudflare.commands import KVFlow, Wait
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.layout import Group, Space
from langgraph_guard.checkpoint.cloudflare.reading import Missing, Opened, read
from langgraph_guard.checkpoint.cloudflare.scanning import A_LOOK, Groups
from langgraph_guard.checkpoint.cloudflare.session import Mark
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.errors import StaleCheckpoint


@dataclass(frozen=True, slots=True)
class Query:
    """Which checkpoint. `mark`: what its namespace has at least. `told`: whether somebody says that the id exists."""

    space: Space
    id: str | None = None
    mark: Mark | None = None
    told: bool = True


def get_tuple(store: Store, codec: Codec, query: Query) -> KVFlow[CheckpointTuple | None]:
    found = yield from find(store, codec, query)
    return None if found is None else found.tuple(codec)


def find(store: Store, codec: Codec, query: Query) -> KVFlow[Opened | None]:
    """The checkpoint, or `None` if there is none. Raises `StaleCheckpoint` if one is known of and does not come."""
    waiting = Waiting(store)
    while True:
        look = yield from _look(store, query)
        signal = _signal(store, query, look)
        if signal is None:
            try:
                return (yield from read(store, codec, [look.group]))[0] if look.group else None
            except Missing:
                signal = session.VALUELESS
        yield [waiting.next(signal)]


def find_all(store: Store, codec: Codec, groups: Sequence[Group]) -> KVFlow[list[Opened]]:
    """Checkpoints that were listed; those that were deleted meanwhile are left out."""
    try:
        return (yield from read(store, codec, groups))
    except Missing:
        found = []
        for group in groups:
            one = yield from find(store, codec, Query(group.space, group.id, told=False))
            found += [one] if one else []
        return found


@dataclass(slots=True)
class Look:
    """What a list shows: the checkpoint, and what is newer and has writes only."""

    group: Group | None = None
    early: list[Group] = field(default_factory=list)


def _look(store: Store, query: Query) -> KVFlow[Look]:
    look = Look()
    exact = None if query.id is None else store.keys.group(query.space, query.id)
    groups = Groups(store, exact or store.keys.space(query.space), A_LOOK)
    while look.group is None and not groups.done:
        for group in (yield from groups.next()):
            if group.heads:
                look.group = group
                break
            look.early.append(group)
    return look


def _signal(store: Store, query: Query, look: Look) -> str | None:
    """How it is known that the store does not show all there is."""
    if query.id is None and (behind := session.lag_behind(query.mark, look.group)):
        return behind
    if not store.waits:
        return None
    if query.id is None:
        return session.EARLY if any(_is_on_its_way(store, group) for group in look.early) else None
    if look.group is not None or not query.told or store.recent.deleted_under(store.keys.group(query.space, query.id)):
        return None
    made = session.made_at(query.id)
    return session.UNLISTED if made is not None and store.is_young(made) else None


def _is_on_its_way(store: Store, group: Group) -> bool:
    """Whether the checkpoint of these writes may come. Of this process's own it is known that it did not put it."""
    others = [each.name for each in group.writes if not store.recent.has(each.name)]
    return bool(others) and store.is_young(session.latest_moment([store.keys.place_of(name) for name in others]))


class Waiting:
    """How long something is waited for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started = store.now()
        self._pauses = iter(session.pauses())

    def next(self, signal: str) -> Wait:
        """Raises when it is time to say that it does not come."""
        waited, pause = self._store.now() - self._started, next(self._pauses)
        if waited + pause > self._store.options.patience:
            raise StaleCheckpoint(STORE, signal, waited, self._store.options.visibility or None)
        return Wait(pause)
