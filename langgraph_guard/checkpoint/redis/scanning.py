"""Go through a thread's checkpoints, newest first, a page of entries at a time."""

from __future__ import annotations

from typing import Final

from langgraph_guard.checkpoint.redis.layout import EVERYTHING, Span
from langgraph_guard.checkpoint.redis.reading import Group, Reader
from langgraph_guard.checkpoint.redis.store import RedisFlow

PAGE: Final = 512
"""Entries per trip."""


class Scan:
    """Pages of whole groups: a checkpoint and all its writes come together."""

    def __init__(self, reader: Reader, span: Span, page: int = PAGE) -> None:
        self.done = False
        self._reader = reader
        self._span = span
        self._page = page

    def next(self) -> RedisFlow[list[Group]]:
        groups = yield from self._reader.entries(self._span, self._page)
        if self._reader.ended:
            self.done = True
            return groups
        # A record is the last of its group, so the last group is whole if it has one.
        whole = groups if groups[-1].record is not None else groups[:-1]
        if whole:
            self._span = Span(self._span.low, b"(" + whole[-1].key)
        else:
            self._page *= 8
        return whole


def everything(reader: Reader) -> RedisFlow[list[Group]]:
    """All checkpoints and writes of a thread."""
    scan, found = Scan(reader, EVERYTHING, 4 * PAGE), []
    while not scan.done:
        found += yield from scan.next()
    return found
