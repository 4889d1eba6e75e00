"""Pieces of a thread's log and its blobs, as they arrive."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any, Final

from langgraph_guard.checkpoint.redis.layout import Range, ThreadKeys
from langgraph_guard.checkpoint.redis.memory import Plan
from langgraph_guard.checkpoint.redis.store import Command
from langgraph_guard.errors import CorruptCheckpoint

GAP: Final = 16
"""Entries between two ranges that are read along rather than asked around."""

PER_COMMAND: Final = 500


class Fetched:
    """What was read of one storage of a thread: `off` is the index of its log's first entry."""

    def __init__(self, keys: ThreadKeys, off: int = 0) -> None:
        self._keys = keys
        self._off = off
        self._starts: list[int] = []
        self._pieces: dict[int, list[bytes]] = {}
        self._blobs: dict[str, bytes | None] = {}

    # Asking

    def ask(self, plan: Plan, *, open_end: bool = False) -> list[Command]:
        """Commands for what of `plan` is not here. `open_end`: the last range reads on to the end of the log."""
        self._wanted = merged((each for each in plan.ranges if self._piece(each) is None), GAP)
        self._named = [name for name in dict.fromkeys(plan.blobs) if name not in self._blobs]
        stops = [start + n for start, n in self._wanted]
        if open_end and stops:
            stops[-1] = self._off
        reads: list[Command] = [
            ("LRANGE", self._keys.log, start - self._off, stop - self._off - 1)
            for (start, _), stop in zip(self._wanted, stops, strict=True)
        ]
        return [*reads, *(("HMGET", self._keys.blobs, *part) for part in self._parts())]

    def take(self, replies: list[Any]) -> None:
        """The replies to what was asked last."""
        for (start, _), piece in zip(self._wanted, replies, strict=False):
            self._keep(start, piece)
        for part, found in zip(self._parts(), replies[len(self._wanted) :], strict=True):
            self._blobs.update(zip(part, found, strict=True))

    def _keep(self, start: int, piece: list[bytes]) -> None:
        """A piece takes the place of those that it covers: `_from` looks into the last one that begins before."""
        stop = start + len(piece)
        for at in [at for at in self._starts if start <= at and at + len(self._pieces[at]) <= stop]:
            self._starts.remove(at)
        if start not in self._starts:
            insort(self._starts, start)
        self._pieces[start] = piece

    def _parts(self) -> Iterator[list[str]]:
        return (self._named[at : at + PER_COMMAND] for at in range(0, len(self._named), PER_COMMAND))

    # Having

    def lacks(self, plan: Plan) -> bool:
        return any(name not in self._blobs for name in plan.blobs) or any(
            self._piece(each) is None for each in plan.ranges
        )

    def elements(self, ranges: Iterable[Range]) -> list[bytes]:
        found: list[bytes] = []
        for each in ranges:
            piece = self._piece(each)
            if piece is None:
                raise CorruptCheckpoint("the log of a thread", "lacks elements that a checkpoint names")
            found += piece
        return found

    def blob(self, name: str) -> bytes:
        found = self._blobs.get(name)
        if found is None:
            raise CorruptCheckpoint("the blobs of a thread", "lack one that a checkpoint names")
        return found

    def _piece(self, wanted: Range) -> list[bytes] | None:
        start, n = wanted
        found = self._from(start, n)
        while 0 < len(found) < n and (more := self._from(start + len(found), n - len(found))):
            found = found + more
        return found if len(found) == n else None

    def _from(self, start: int, n: int) -> list[bytes]:
        """Up to `n` elements of one piece."""
        at = bisect_right(self._starts, start) - 1
        if at < 0:
            return []
        first = self._starts[at]
        piece = self._pieces[first]
        return piece if start == first and n == len(piece) else piece[start - first : start - first + n]


def merged(ranges: Iterable[Range], gap: int = 0) -> list[Range]:
    """Ranges in order, those that overlap or lie within `gap` of each other as one."""
    found: list[Range] = []
    for start, n in sorted(ranges):
        if found and start <= found[-1][0] + found[-1][1] + gap:
            first, length = found[-1]
            found[-1] = (first, max(length, start + n - first))
        else:
            found.append((start, n))
    return found
