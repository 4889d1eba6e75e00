"""What this process remembers of threads, so that a put sends only what is new and a read asks for the right things.

Nothing here is needed for an answer to be right: what is missing is stored again, or read first. So threads
that were not used for long go in two steps: first their elements, then the places of these. A thread of which only the
places are known is serialized at its next put, and what it has in its log already is not sent.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from langgraph_guard.checkpoint.redis.elements import Kept
from langgraph_guard.checkpoint.redis.layout import Range, Ref, logged, named_blobs

THREADS: Final = 2_000
ELEMENTS: Final = 200_000
"""Elements that are held. A message and what it looked like are about three kilobytes."""

PLACES: Final = 1_000_000
"""Elements whose places are known, held or not. A digest and a place are about 180 bytes."""

RECENT: Final = 8
"""Checkpoints of a namespace whose references are remembered: a run that forks may read another one meanwhile."""

NAMESPACES: Final = 8
"""Namespaces of a thread that are remembered: calls of subgraphs come and go."""

Version = Any
Refs = dict[str, tuple[Version, Ref]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for to have all values of a checkpoint: ranges of the log, and blobs."""

    ranges: tuple[Range, ...] = ()
    blobs: tuple[str, ...] = ()


def plan_of(refs: Mapping[str, Ref]) -> Plan:
    return Plan(tuple(logged(refs.values())), tuple(named_blobs(refs.values())))


@dataclass(frozen=True, slots=True)
class Seen:
    """One namespace as this process last saw it."""

    recent: tuple[tuple[str, Refs], ...] = ()
    """Of the checkpoints seen last, newest first: where each channel's value is, and of which version it is."""
    stored: dict[str, Kept] = field(default_factory=dict)
    """Lists as they were put last."""
    loaded: dict[str, Kept] = field(default_factory=dict)
    """Lists as they were read last: a run starts from these, or someone only looked."""
    plan: Plan = Plan()

    def ref(self, parent: str | None, channel: str, version: Version) -> Ref | None:
        """Where a version of a channel is: as its parent says, or else another checkpoint."""
        for _, refs in sorted(self.recent, key=lambda each: each[0] != parent):
            known, ref = refs.get(channel, (None, None))
            if known == version:
                return ref
        return None

    def knows(self, id: str) -> bool:
        """Whether it is known where the values of this checkpoint are."""
        return any(known == id for known, _ in self.recent)

    def after(self, id: str, refs: Refs) -> tuple[tuple[str, Refs], ...]:
        """What is recent once this checkpoint was seen."""
        return ((id, refs), *(each for each in self.recent if each[0] != id))[:RECENT]

    def lists(self) -> list[Kept]:
        return [*self.stored.values(), *self.loaded.values()]

    def slim(self) -> Seen:
        stored, loaded = ({name: kept.slim() for name, kept in lists.items()} for lists in (self.stored, self.loaded))
        return replace(self, stored=stored, loaded=loaded)


class Size(NamedTuple):
    """How much is remembered of a thread: elements that are held, and places that are known."""

    elements: int = 0
    places: int = 0


class Known:
    """A thread, for as long as its storage stays the same: until it is deleted, or something in it is collected."""

    def __init__(self, sid: bytes, gen: bytes, off: int) -> None:
        self.sid = sid
        self.gen = gen
        self.off = off
        self.end = off
        """Where the log begins, and where it ended when it was last heard of."""
        self.namespaces: OrderedDict[str, Seen] = OrderedDict()
        self.runs: set[str] = set()
        self.returned: dict[str, list[Any]] = {}
        """Stored elements that nodes returned since the last put, by namespace: they may have been edited in place."""

    def seen(self, ns: str) -> Seen:
        return self.namespaces.get(ns) or Seen()

    def remember(self, ns: str, seen: Seen) -> None:
        self.namespaces[ns] = seen
        with suppress(KeyError):  # dropped meanwhile, in favour of one that another thread remembers
            self.namespaces.move_to_end(ns)
        while len(self.namespaces) > NAMESPACES:
            self.namespaces.popitem(last=False)

    def kept(self, ns: str, channel: str) -> list[Kept]:
        """Every list that is known, those of this channel first."""
        seen = self.seen(ns)
        mine = [lists[channel] for lists in (seen.stored, seen.loaded) if channel in lists]
        return [*mine, *(kept for other in list(self.namespaces.values()) for kept in other.lists())]

    def size(self) -> Size:
        lists = [kept for seen in list(self.namespaces.values()) for kept in seen.lists()]
        return Size(sum(len(kept.elements) for kept in lists), sum(len(kept.digests) for kept in lists))

    def slim(self) -> None:
        """Let go of the elements. Who puts at this moment has what it needs, and remembers it again."""
        for ns, seen in list(self.namespaces.items()):
            slim = seen.slim()
            if self.namespaces.get(ns) is seen:
                self.namespaces[ns] = slim
        self.returned.clear()


class Memory:
    """The threads that were used last."""

    def __init__(self, threads: int = THREADS, elements: int = ELEMENTS, places: int = PLACES) -> None:
        self._threads = threads
        self._most = Size(elements, places)
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._sizes: dict[str, Size] = {}
        self._total = Size()
        self._lock = threading.Lock()

    def of(self, thread: str) -> Known | None:
        return self._known.get(thread)

    def storage(self, thread: str, sid: bytes, gen: bytes, off: int) -> Known:
        """What is known of a thread's present storage. What was known of an earlier one is forgotten."""
        with self._lock:
            known = self._known.get(thread)
            if known is None or (known.sid, known.gen) != (sid, gen):
                known = self._known[thread] = Known(sid, gen, off)
            self._known.move_to_end(thread)
            self._make_room()
            return known

    def trim(self, thread: str) -> None:
        """Note how large a thread became, and forget those that were not used for longest."""
        with self._lock:
            if thread in self._known:
                self._measure(thread)
            self._make_room()

    def forget(self, thread: str) -> None:
        with self._lock:
            self._drop(thread)

    def _make_room(self) -> None:
        if self._total.elements > self._most.elements:
            self._make_slim()
        while len(self._known) > 1 and (len(self._known) > self._threads or self._total.places > self._most.places):
            self._drop(next(iter(self._known)))

    def _make_slim(self) -> None:
        """Those that were not used for longest, and never the one in use: it would be serialized at each step."""
        for thread, known in list(self._known.items())[:-1]:
            if self._total.elements <= self._most.elements:
                return
            if thread in self._sizes and self._sizes[thread].elements:
                known.slim()
                self._measure(thread)

    def _drop(self, thread: str) -> None:
        self._known.pop(thread, None)
        self._count(thread, Size())
        self._sizes.pop(thread, None)

    def _measure(self, thread: str) -> None:
        self._count(thread, self._known[thread].size())

    def _count(self, thread: str, size: Size) -> None:
        before, self._sizes[thread] = self._sizes.get(thread, Size()), size
        self._total = Size(*(total + now - then for total, now, then in zip(self._total, size, before, strict=True)))
