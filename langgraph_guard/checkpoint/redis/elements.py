"""Which elements of a list are new: the reason why a long conversation is stored once, and not once per step.

An element that was stored is known by its identity, and unchanged while it looks as it did then; `looks` says what is
seen of it and what is not. That costs one pass of C code over the list, 0.2 to 0.3 µs per message, instead of
serializing it again. An edit that no look can show is found where a node returned the element, and with `strict=True`
everywhere: such elements are serialized again and their digests compared. An element that nobody knows by identity is
still found by the digest of its bytes.

Edits in the middle cut a list into ranges, which every record repeats. So now and then a list is stored anew, as one
range: just so often that it costs, on average, about what repeating the ranges does. Else an element is stored once.

What is remembered is never changed, so that runs beside each other may share it: each put makes a new `Kept`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any, Final, NamedTuple

from langgraph_guard.checkpoint.redis.layout import Range
from langgraph_guard.checkpoint.redis.looks import alike, changed_looks, look_of, looks_of, view_of

Dump = Callable[[Any], bytes]

FEW: Final = 32
"""Ranges that a list may have for good."""

PER_RANGE: Final = 16
"""Bytes that a range is reckoned to cost in each record: about seven, and as much again for reading around it."""

PER_ELEMENT: Final = 16
"""Bytes that an element is reckoned to cost in the log beside its own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A list as it was last stored or loaded: its elements, what they looked like, their digests and their places."""

    elements: list[Any] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ranges: tuple[Range, ...] = ()
    by_id: dict[int, int] = field(default_factory=dict)
    """Position by `id()` of an element. The element is held here, so the id stays its own."""
    by_digest: dict[int, int] = field(default_factory=dict)
    """Position by digest."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of each element."""

    def slim(self) -> Kept:
        """Without the elements and what they looked like: then they are serialized again, and found by their bytes."""
        return Kept(digests=self.digests, places=self.places, ranges=self.ranges, by_digest=self.by_digest)


def loaded(elements: Sequence[Any], stored: Sequence[bytes], places: list[int]) -> Kept:
    """What to remember of a list that was just read: its elements, and the bytes that they were read from."""
    mine, digests = list(elements), list(map(hash, stored))
    by_id, by_digest = positions(map(id, mine)), positions(digests)
    return Kept(mine, looks_of(mine), digests, places, runs_of(places), by_id, by_digest, list(map(len, stored)))


def positions(names: Iterable[int]) -> dict[int, int]:
    """Where each stands; the last place of those that stand twice."""
    return {name: at for at, name in enumerate(names)}


class Found(NamedTuple):
    """An element that the log has, or will have: its digest, its place, and how many bytes it is."""

    digest: int
    place: int
    size: int


class Matching:
    """One list on its way into the log. `new` collects what the log lacks; a place of -1 - n is its n-th element."""

    def __init__(self, value: list[Any], known: Sequence[Kept], dump: Dump, new: list[bytes]) -> None:
        self.ranges: tuple[Range, ...] = ()
        self._value = list(value)
        self._known = known
        self._dump = dump
        self._new = new
        self._before = before = likeliest(self._value, known)
        self._same = same = identical_prefix(self._value, before.elements)
        self._grows = same == len(before.elements)
        """Nothing of the list as it was is missing or replaced."""
        self._looks = before.looks[:same]
        self._digests = before.digests[:same]
        self._places = before.places[:same]
        self._sizes = before.sizes[:same]
        self._by_id = before.by_id.copy() if self._grows else positions(map(id, self._value[:same]))
        self._by_digest = before.by_digest.copy() if self._grows else positions(self._digests)
        self._fresh: list[int] = []
        """Positions whose places are new."""
        self._first = 0
        """How many new elements other lists brought before."""

    def run(self, again: Collection[int] | None) -> None:
        """Find or dump every element. `again`: ids of those to dump although they look the same; `None` means all."""
        self._first = len(self._new)
        for at in self._suspects(again):
            self._check(at)
        for at in range(self._same, len(self._value)):
            self._add(at, self._value[at], again)
        if self._grows:
            self.ranges = joined(self._before.ranges, runs_of(self._places[self._same :]))
        else:
            self.ranges = runs_of(self._places)

    def join(self, draw: float) -> None:
        """Store the list anew, as one range, if chance will have it. `draw`: any number from 0 to 1, alike likely.

        What ranges cost is paid a little with each put, and joining them all at once; so it is done with a probability
        of one cost over the other. Nobody has to remember what was paid: each process may have its own share in it.
        """
        ranges = len(self.ranges)
        if ranges <= FEW or draw * (sum(self._sizes) + len(self._sizes) * PER_ELEMENT) >= ranges * PER_RANGE:
            return
        try:
            stored = list(map(self._dump, self._value))
        except Exception:  # It is stored as it is: a limit that was lowered since, say, is no reason to fail now.
            return
        self._new[self._first :] = stored
        self._digests, self._sizes = list(map(hash, stored)), list(map(len, stored))
        self._places = [-1 - at for at in range(self._first, len(self._new))]
        self._by_digest = positions(self._digests)
        self._fresh = list(range(len(stored)))
        self.ranges = runs_of(self._places)

    def kept(self, base: int) -> Kept:
        """What to remember once the new elements stand in the log from `base` on."""
        for at in self._fresh:
            self._places[at] = base - 1 - self._places[at]
        ranges = joined((), ((start if start >= 0 else base - 1 - start, n) for start, n in self.ranges))
        found = self._so_far()
        return replace(found, elements=self._value, ranges=ranges)

    def _suspects(self, again: Collection[int] | None) -> list[int]:
        """Positions in the known part whose elements may have become something else."""
        if again is None:
            return list(range(self._same))
        known = self._value[: self._same]
        changed = changed_looks(known, self._looks)
        told = [at for at, each in enumerate(known) if id(each) in again] if again else []
        return sorted({*changed, *told}) if changed or told else []

    def _check(self, at: int) -> None:
        """Dump a known element again, and store it if it became something else."""
        element = self._value[at]
        # The look comes first: a node that edits meanwhile, as it may, is then noticed at the next put.
        self._looks[at] = look_of(element)
        data = self._dump(element)
        if hash(data) != self._digests[at]:
            self._grows = False
            self._digests[at], self._places[at], self._sizes[at] = self._placed(data)
            self._index(at)

    def _add(self, at: int, element: Any, again: Collection[int] | None) -> None:
        look, found = self._known_by_id(element, again) or (look_of(element), self._placed(self._dump(element)))
        self._looks.append(look)
        self._digests.append(found.digest)
        self._places.append(found.place)
        self._sizes.append(found.size)
        self._by_id[id(element)] = at
        self._index(at)

    def _known_by_id(self, element: Any, again: Collection[int] | None) -> tuple[Any, Found] | None:
        """An element that is at another position, or in another list: what it looks like, and where it is."""
        if again is None or id(element) in again:
            return None
        for kept in (self._so_far(), *self._known):
            at = kept.by_id.get(id(element))
            if at is not None and alike(view_of(element), kept.looks[at]):
                return kept.looks[at], Found(kept.digests[at], kept.places[at], kept.sizes[at])
        return None

    def _placed(self, data: bytes) -> Found:
        """These bytes where the log has them, or at its end."""
        digest = hash(data)
        for kept in (self._so_far(), *self._known):
            at = kept.by_digest.get(digest)
            if at is not None and kept.digests[at] == digest:
                return Found(digest, kept.places[at], len(data))
        self._new.append(data)
        return Found(digest, -len(self._new), len(data))

    def _so_far(self) -> Kept:
        return Kept([], self._looks, self._digests, self._places, (), self._by_id, self._by_digest, self._sizes)

    def _index(self, at: int) -> None:
        self._by_digest[self._digests[at]] = at
        if self._places[at] < 0:
            self._fresh.append(at)


def likeliest(value: list[Any], known: Sequence[Kept]) -> Kept:
    """The list that `value` most likely came from: one that begins with the same object."""
    for kept in known:
        if value and kept.elements and kept.elements[0] is value[0]:
            return kept
    return Kept()


def identical_prefix(value: Sequence[Any], before: Sequence[Any]) -> int:
    """How many elements at the front are the same objects."""
    if all(map(is_, value, before)):
        return min(len(value), len(before))
    return next(at for at, (mine, theirs) in enumerate(zip(value, before, strict=False)) if mine is not theirs)


# Places as ranges


def runs_of(places: Iterable[int]) -> tuple[Range, ...]:
    """Places as runs of consecutive ones. New ones, below zero, count downwards."""
    return joined((), ((place, 1) for place in places))


def joined(before: tuple[Range, ...], after: Iterable[Range]) -> tuple[Range, ...]:
    """Ranges one after the other, as one where the second goes on where the first ends."""
    found = list(before)
    for start, n in after:
        if found and _follows(found[-1], start):
            found[-1] = (found[-1][0], found[-1][1] + n)
        else:
            found.append((start, n))
    return tuple(found)


def _follows(run: Range, place: int) -> bool:
    start, n = run
    return start >= 0 and place == start + n if place >= 0 else start < 0 and place == start - n
