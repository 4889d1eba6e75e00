"""Which elements of a list are new: the reason why a long conversation is stored once, and not once per step.

An element that was stored is known by its identity, and unchanged while its fields are the ones that it had then. That
costs one pass of C code over the list, 0.2 µs per message, instead of serializing it again. What a node returned may
have been edited deeper than its fields: such elements are serialized again and their digests compared, and with
`strict=True` all are. An element that nobody knows by identity is still found by the digest of its bytes.

What is remembered is never changed, so that runs beside each other may share it: each put makes a new `Kept`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter, is_
from typing import Any, Final

from langgraph_guard.checkpoint.redis.layout import Range

Dump = Callable[[Any], bytes]

_FROZEN: Final = (str, int, float, bool, bytes, type(None), tuple, frozenset)
_NUMBERS: Final = frozenset((bool, int, float, complex, Decimal))
_has_no_numbers: Final = _NUMBERS.isdisjoint
_fields_of_model: Final = attrgetter("__dict__", "__pydantic_extra__")


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


def loaded(elements: Sequence[Any], stored: Iterable[bytes], places: list[int]) -> Kept:
    """What to remember of a list that was just read: its elements, and the bytes that they were read from."""
    mine, digests = list(elements), list(map(hash, stored))
    by_id, by_digest = positions(map(id, mine)), positions(digests)
    return Kept(mine, looks_of(mine), digests, places, runs_of(places), by_id, by_digest)


def positions(names: Iterable[int]) -> dict[int, int]:
    """Where each stands; the last place of those that stand twice."""
    return {name: at for at, name in enumerate(names)}


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
        self._by_id = before.by_id.copy() if self._grows else positions(map(id, self._value[:same]))
        self._by_digest = before.by_digest.copy() if self._grows else positions(self._digests)
        self._fresh: list[int] = []
        """Positions whose places are new."""

    def run(self, again: Collection[int] | None) -> None:
        """Find or dump every element. `again`: ids of those to dump although they look the same; `None` means all."""
        for at in self._suspects(again):
            self._check(at)
        for at in range(self._same, len(self._value)):
            self._add(at, self._value[at], again)
        if self._grows:
            self.ranges = joined(self._before.ranges, runs_of(self._places[self._same :]))
        else:
            self.ranges = runs_of(self._places)

    def kept(self, base: int) -> Kept:
        """What to remember once the new elements stand in the log from `base` on."""
        for at in self._fresh:
            self._places[at] = base - 1 - self._places[at]
        ranges = joined((), ((start if start >= 0 else base - 1 - start, n) for start, n in self.ranges))
        return Kept(self._value, self._looks, self._digests, self._places, ranges, self._by_id, self._by_digest)

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
            self._digests[at], self._places[at] = self._placed(data)
            self._index(at)

    def _add(self, at: int, element: Any, again: Collection[int] | None) -> None:
        look = look_of(element)
        digest, place = self._known_by_id(element, look, again) or self._placed(self._dump(element))
        self._looks.append(look)
        self._digests.append(digest)
        self._places.append(place)
        self._by_id[id(element)] = at
        self._index(at)

    def _known_by_id(self, element: Any, look: Any, again: Collection[int] | None) -> tuple[int, int] | None:
        """Digest and place of an element that is at another position, or in another list."""
        if again is None or id(element) in again:
            return None
        for kept in (self._so_far(), *self._known):
            at = kept.by_id.get(id(element))
            if at is not None and alike(look, kept.looks[at]):
                return kept.digests[at], kept.places[at]
        return None

    def _placed(self, data: bytes) -> tuple[int, int]:
        """Digest and place of these bytes: where the log has them, or at its end."""
        digest = hash(data)
        for kept in (self._so_far(), *self._known):
            at = kept.by_digest.get(digest)
            if at is not None and kept.digests[at] == digest:
                return digest, kept.places[at]
        self._new.append(data)
        return digest, -len(self._new)

    def _so_far(self) -> Kept:
        return Kept([], self._looks, self._digests, self._places, (), self._by_id, self._by_digest)

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


def changed_looks(elements: Sequence[Any], looks: list[Any]) -> list[int]:
    """Positions of elements that no longer look as they did."""
    views = views_of(elements)
    if alike(views, looks):
        return []
    return [at for at, (view, look) in enumerate(zip(views, looks, strict=True)) if not alike(view, look)]


def alike(view: Any, look: Any) -> bool:
    try:
        return bool(view == look)
    except Exception:  # Not everything can be compared: an array has no single truth.
        return False


# What assignment can change in an element: as it is now, and as a copy to compare with later


def views_of(elements: Sequence[Any]) -> list[Any]:
    try:
        return list(map(_fields_of_model, elements))
    except AttributeError:
        return list(map(view_of, elements))


def looks_of(elements: Sequence[Any]) -> list[Any]:
    try:
        return [
            # As `_look_of_model`, without the call: a thousand messages are read at once.
            (own.copy(), None if extra is None else {})
            if not extra and _has_no_numbers(map(type, own.values()))
            else _look_of_model(own, extra)
            for own, extra in map(_fields_of_model, elements)
        ]
    except AttributeError:
        return list(map(look_of, elements))


def view_of(element: Any) -> Any:
    if isinstance(element, (*_FROZEN, dict, list, set)):
        return element
    try:
        return _fields_of_model(element)
    except AttributeError:
        return getattr(element, "__dict__", _Unseen())


def look_of(element: Any) -> Any:
    view = view_of(element)
    if isinstance(element, _FROZEN) or isinstance(view, _Unseen):
        return view
    if view is not element and isinstance(view, tuple):
        return _look_of_model(*view)
    return _exact(view.copy(), view.values() if isinstance(view, Mapping) else view)


def _look_of_model(own: dict[str, Any], extra: dict[str, Any] | None) -> Any:
    if not extra:
        return _exact((own.copy(), None if extra is None else {}), own.values())
    return _exact((own.copy(), extra.copy()), [*own.values(), *extra.values()])


def _exact(look: Any, values: Collection[Any]) -> Any:
    return look if _has_no_numbers(map(type, values)) else _WithNumbers(look, values)


class _WithNumbers:
    """The look of an element that has numbers: `True` and `1.0` are equal to 1, and are something else."""

    __slots__ = ("_look", "_numbers")
    __hash__ = None  # type: ignore[assignment] # what it is compared with has none either

    def __init__(self, look: Any, values: Iterable[Any]) -> None:
        self._look = look
        self._numbers = _numbers(values)

    def __eq__(self, view: object) -> bool:
        if isinstance(view, _WithNumbers):
            return bool(view._look == self._look) and view._numbers == self._numbers
        return bool(view == self._look) and _numbers(_values(view)) == self._numbers


def _values(view: Any) -> Iterable[Any]:
    if isinstance(view, tuple):
        own, extra = view
        return [*own.values(), *(extra or {}).values()]
    return view.values() if isinstance(view, Mapping) else view


def _numbers(values: Iterable[Any]) -> list[str]:
    return [repr(each) for each in values if type(each) in _NUMBERS]


class _Unseen:
    """The look of what cannot be watched: never the same, so it is dumped each time and its digest compared."""

    __slots__ = ()


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
