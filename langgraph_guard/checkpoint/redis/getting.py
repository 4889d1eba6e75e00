"""Get one checkpoint, the newest or by its id, in one trip."""

from __future__ import annotations

from typing import Final

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis import indexes
from langgraph_guard.checkpoint.redis.layout import group_span, namespace_span
from langgraph_guard.checkpoint.redis.reading import ATTEMPTS, Changed, Opened, Reader
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import StoreRefused

NEWEST: Final = 8
"""Entries that are read to find the newest checkpoint with its writes; when they do not hold it, more are."""


def get_tuple(store: Store, codec: Codec, thread: str, ns: str, id: str | None) -> RedisFlow[CheckpointTuple | None]:
    for _ in range(ATTEMPTS):
        reader = Reader(store, codec, thread)
        try:
            found = yield from _find(reader, ns, id)
            if found is None:
                return None
            yield from reader.fetch([found])
            newest = reader.tuple(found, remember=True)
            yield from indexes.prolong_if_due(reader)
            return newest
        except Changed:
            continue
    raise StoreRefused("redis", "get_tuple", f"the thread was rewritten {ATTEMPTS} times meanwhile")


def _find(reader: Reader, ns: str, id: str | None) -> RedisFlow[Opened | None]:
    """One checkpoint, or the newest. What has writes alone is not a checkpoint yet."""
    if id is not None:
        groups = yield from reader.entries(group_span(ns, id), None, guess=ns)
        return reader.opened(groups[0]) if groups and groups[0].record else None
    limit, ended = NEWEST, False
    while not ended:
        groups = yield from reader.entries(namespace_span(ns), limit, guess=ns)
        for group in groups:
            if group.record is not None:
                return reader.opened(group)
        ended, limit = reader.ended, limit * 16
    return None
