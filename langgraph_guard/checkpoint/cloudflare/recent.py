"""What this process wrote and deleted a moment ago: it sees it at once, wherever else it is not visible yet."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_guard.checkpoint.cloudflare.transport import Listed, Pair
from langgraph_guard.forks import renew_in_children

CACHED: Final = 64 * 2**20
"""Bytes of values that are kept with their keys, those of the last reads and writes."""

AN_ENTRY: Final = 300
"""Bytes that an entry takes beside its key and its value, about: many small ones count, too."""


@dataclass(frozen=True, slots=True)
class Known:
    """A key that was written, or deleted: then there is nothing to list."""

    listed: Listed | None
    at: float


class Recent:
    """Keys written or deleted within the last `horizon` seconds, merged into what is listed, and a cache of values.

    With a horizon of 0 what the store lists is the truth: it is told of what others deleted, too. Keys are never
    forgotten before their time: a process that forgot its own checkpoint would silently go on from an older one.
    A value may be; then it has to be read, once the store lists its key.
    """

    def __init__(self, now: Callable[[], float], horizon: float, cached: int = CACHED) -> None:
        self._now, self._horizon, self._most = now, horizon, cached
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._values: OrderedDict[str, str] = OrderedDict()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Whoever held the lock may have stopped halfway."""
        self._order = sorted(self._known)
        self._size = sum(_weight(key, value) for key, value in self._values.items())
        self._lock = threading.Lock()

    def wrote(self, pairs: Iterable[Pair]) -> None:
        now = self._now()
        with self._lock:
            for pair in pairs:
                expires = None if pair.ttl is None else now + pair.ttl
                self._note(pair.key, Known(Listed(pair.key, pair.metadata, expires), now))
                self._keep(pair.key, pair.value)

    def deleted(self, keys: Iterable[str]) -> None:
        now = self._now()
        with self._lock:
            for key in keys:
                self._note(key, Known(None, now))
                self._drop(key)

    def read(self, key: str, value: str) -> None:
        """Keep a value that was read. Keys are written once, so it stays what it is."""
        with self._lock:
            self._keep(key, value)

    def value(self, key: str) -> str | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def has(self, key: str) -> bool:
        """Whether this process wrote the key a moment ago."""
        with self._lock:
            self._forget()
            return (known := self._known.get(key)) is not None and known.listed is not None

    def names(self, prefix: str) -> list[str]:
        """Keys that this process wrote a moment ago."""
        return [each.name for each in self.merged(prefix, [], "", None)]

    def deleted_under(self, prefix: str) -> bool:
        """Whether this process deleted a key there a moment ago."""
        with self._lock:
            self._forget()
            return any(self._known[name].listed is None for name in self._between(prefix, "", None))

    def merged(self, prefix: str, listed: Sequence[Listed], after: str, upto: str | None) -> list[Listed]:
        """What is listed behind `after` and not behind `upto`, with what was written there and without what is gone."""
        now = self._now()
        with self._lock:
            self._forget()
            found = {each.name: each for each in listed}
            for name in self._between(prefix, after, upto):
                known = self._known[name]
                if known.listed is None:
                    found.pop(name, None)
                else:
                    found.setdefault(name, known.listed)
        alive = (each for each in found.values() if each.expiration is None or each.expiration > now)
        return sorted(alive, key=lambda each: each.name)

    def _between(self, prefix: str, after: str, upto: str | None) -> list[str]:
        start = max(bisect_left(self._order, prefix), bisect_right(self._order, after))
        stop = bisect_left(self._order, prefix + "\U0010ffff") if upto is None else bisect_right(self._order, upto)
        return self._order[start:stop]

    def _note(self, name: str, known: Known) -> None:
        if self._horizon == 0:
            return
        self._forget()
        if name not in self._known:
            insort(self._order, name)
        self._known[name] = known
        self._known.move_to_end(name)

    def _forget(self) -> None:
        since = self._now() - self._horizon
        while self._known and next(iter(self._known.values())).at <= since:
            name, _ = self._known.popitem(last=False)
            del self._order[bisect_left(self._order, name)]

    def _keep(self, key: str, value: str) -> None:
        self._drop(key)
        self._values[key] = value
        self._size += _weight(key, value)
        while self._size > self._most:
            self._drop(next(iter(self._values)))

    def _drop(self, key: str) -> None:
        if (value := self._values.pop(key, None)) is not None:
            self._size -= _weight(key, value)


def _weight(key: str, value: str) -> int:
    return len(key) + len(value) + AN_ENTRY
