"""Go through keys page by page, those that this process just wrote among them; newest checkpoint first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from langgraph_guard.checkpoint.cloudflare.commands import KVFlow, ListKeys
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.layout import Group, Keyspace
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Listed, Page
from langgraph_guard.errors import StoreRefused

PAGE: Final = 1_000
"""Keys of a page, at most; each page is billed as one."""

A_LOOK: Final = 100
"""Keys of a first page where only the newest checkpoint is wanted."""


class Scan:
    """Keys under a prefix, in order. `first`: how many the first page may have; a later one has as many as can be."""

    def __init__(self, store: Store, prefix: str, first: int = PAGE) -> None:
        self.done = False
        self._store, self._prefix, self._limit = store, prefix, first
        self._cursor = self._last = ""
        self._began_again: str | None = None

    def next(self) -> KVFlow[list[Listed]]:
        """The next keys. There may be none though there are more: pages are counted before what is gone is left out."""
        page = yield from self._page()
        if page.cursor and page.cursor == self._cursor:
            raise StoreRefused(STORE, ListKeys.name, "its pages have no end: one leads to itself")
        self._limit, self._cursor = PAGE, page.cursor
        after, keys = self._last, [each for each in page.keys if each.name > self._last]
        self._last = keys[-1].name if keys else self._last
        self.done = not page.cursor
        return self._store.recent.merged(self._prefix, keys, after, None if self.done else self._last)

    def _page(self) -> KVFlow[Page]:
        try:
            (page,) = yield [ListKeys(self._prefix, self._limit, self._cursor)]
        except StoreRefused:
            if not self._cursor or self._began_again == self._last:
                raise
            # A list that is read slowly: its cursor is not known any more. From the start, and leave out what was seen.
            self._began_again, self._cursor = self._last, ""
            (page,) = yield [ListKeys(self._prefix, PAGE)]
        found: Page = page
        return found


class Groups:
    """Checkpoints with their writes, under a prefix of threads' keys."""

    def __init__(self, store: Store, prefix: str, first: int = PAGE) -> None:
        self.done = False
        self._keys = store.keys
        self._scan = Scan(store, prefix, first)
        self._open: list[Listed] = []

    def next(self) -> KVFlow[list[Group]]:
        """The next groups, each whole: what a page cuts is kept until the rest has come."""
        keys = self._open + (yield from self._scan.next())
        groups = list(grouped(self._keys, keys))
        self.done, self._open = self._scan.done, []
        if groups and not self.done:
            last = groups.pop()
            self._open = [*last.heads, *last.writes]
        return groups


def grouped(keys: Keyspace, listed: Iterable[Listed]) -> Iterator[Group]:
    group: Group | None = None
    for each in listed:
        place = keys.place_of(each.name)
        if group is None or (group.space, group.id) != (place.space, place.id):
            if group is not None:
                yield group
            group = Group(place.space, place.id)
        (group.heads if place.is_head else group.writes).append(each)
    if group is not None:
        yield group


def everything(store: Store, prefix: str) -> KVFlow[list[Group]]:
    groups, found = Groups(store, prefix), []
    while not groups.done:
        found += yield from groups.next()
    return found


def all_keys(store: Store, prefix: str) -> KVFlow[list[str]]:
    scan, found = Scan(store, prefix), []
    while not scan.done:
        found += [each.name for each in (yield from scan.next())]
    return found
