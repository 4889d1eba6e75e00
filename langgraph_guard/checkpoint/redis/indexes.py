"""Which threads a run wrote to: an index per run, outside of the threads' slots. It may name too many, never too few.

So a thread is noted ahead of what is committed to it, and its name goes with or behind what is removed. An index
expires, as threads with a ttl do, and after every thread that it names: a thread knows until when the indexes of its
runs are sure to stay. Once in a ttl, when it is written or read, they are looked up and prolonged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from langgraph_guard._redis import Pipelined
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.redis.layout import EVERYTHING
from langgraph_guard.checkpoint.redis.reading import Changed, Reader
from langgraph_guard.checkpoint.redis.scanning import PAGE, Scan
from langgraph_guard.checkpoint.redis.scripts import INDEXED
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import CorruptCheckpoint, StoreRefused

AT_ONCE: Final = 1_000
"""Indexes per trip."""


def runs_of(store: Store, codec: Codec, thread: str) -> RedisFlow[set[str]]:
    """The runs that have a checkpoint in a thread, as far as it can be read."""
    found: set[str] = set()
    with suppress(Changed, CorruptCheckpoint, StoreRefused):
        yield from _look_up(_reader(store, codec, thread), found)
    return found


def prolong_if_due(reader: Reader) -> RedisFlow[None]:
    """Behind a read that put off the thread's expiry."""
    if reader.due:
        reader.due = False
        yield from prolong(reader.store, reader.codec, reader.thread)


def prolong(store: Store, codec: Codec, thread: str) -> RedisFlow[None]:
    """Let the indexes of a thread's runs outlive it again. What comes between makes it due once more."""
    reader, runs = _reader(store, codec, thread), set[str]()
    with suppress(Changed, CorruptCheckpoint):
        yield from _look_up(reader, runs)
        for some in _parts(runs):
            yield Pipelined(store.index(run) for run in some)
        yield [(INDEXED, 1, reader.keys.meta, reader.sid, store.stay)]


def forget(store: Store, codec: Codec, thread: str, runs: Collection[str]) -> RedisFlow[None]:
    """Take a thread out of the indexes of runs that it has nothing of any more, on a Cluster: behind the removal.

    A run whose writer came between is put back.
    """
    for some in _parts(runs):
        yield Pipelined(("SREM", store.keys.run(run), thread.encode()) for run in some)
    if runs:
        back = (yield from runs_of(store, codec, thread)).intersection(runs)
        yield Pipelined(store.index(run, thread) for run in sorted(back))


def _look_up(reader: Reader, found: set[str]) -> RedisFlow[None]:
    scan = Scan(reader, EVERYTHING, 4 * PAGE)
    while not scan.done:
        for group in (yield from scan.next()):
            with suppress(CorruptCheckpoint):
                if group.record and (run := reader.record(group.record).run) is not None:
                    found.add(run)


def _reader(store: Store, codec: Codec, thread: str) -> Reader:
    return Reader(replace(store, refresh_on_read=False), codec, thread)  # to look up is not to use


def _parts(runs: Collection[str]) -> Iterator[list[str]]:
    every = sorted(runs)
    return (every[at : at + AT_ONCE] for at in range(0, len(every), AT_ONCE))
