"""A read is several commands that are no transaction: whatever comes between any two of them, it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_guard._redis import Pipelined
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.checkpoint.redis.getting import get_tuple
from langgraph_guard.checkpoint.redis.indexes import runs_of
from langgraph_guard.flow import run
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at, task
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import HOST, RedisServer

BIG = "b" * 5_000
LONG = "l" * 20_000
"""More than goes through a script."""

FIRST = {"list": ["a", {"b": 1}], "document": BIG, "n": 1}
SECOND = {"list": ["a", {"b": 1}, "c"], "n": 2}
THIRD = {"list": ["x", {"b": 1}, LONG], "document": BIG + "3", "n": 3}
ANOTHER = {"list": ["another", "thread"], "document": BIG + "another", "n": 1}

OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"ttl": 3_600}, {"seal": Seal(os.urandom(32))}], ids=["plain", "ttl", "seal"]
)


def begun(saver: RedisSaver) -> Author:
    """A thread of two checkpoints, the second with a big write."""
    author = Author(Both(saver, None))
    author.put(1, FIRST, run="first")
    author.put(2, SECOND, after=1, run="second")
    saver.put_writes(author.at(2), [("c", BIG), ("d", 1)], task(1))
    return author


def recreate(saver: RedisSaver, author: Author) -> None:
    """Another thread of the same name, with checkpoints of the same ids."""
    saver.delete_thread("t")
    other = Author(Both(saver, None))
    other.put(1, ANOTHER)
    other.put(2, {"n": 2}, after=1)


MEANWHILE: dict[str, Callable[[RedisSaver, Author], Any]] = {
    "put": lambda saver, author: author.put(3, THIRD, after=2),
    "put_writes": lambda saver, author: saver.put_writes(author.at(2), [("e", BIG + "e")], task(2)),
    "prune": lambda saver, author: saver.prune(["t"]),
    "delete_for_runs": lambda saver, author: saver.delete_for_runs(["second"]),
    "delete_thread": lambda saver, author: saver.delete_thread("t"),
    "recreate": recreate,
}


class Between:
    """Sends a flow's batches command by command, and lets something happen ahead of one of them."""

    def __init__(self, saver: RedisSaver, place: int, act: Callable[[], Any]) -> None:
        self._link, self._place, self._act = saver._store.link, place, act
        self.happened = False

    def __call__(self, batch: Sequence[Any]) -> list[Any]:
        parts = [[command] for command in batch] if isinstance(batch, Pipelined) else [batch]
        return [reply for part in parts for reply in self._sent(part)]

    def _sent(self, part: Sequence[Any]) -> list[Any]:
        if self._place == 0:
            self.happened = True
            self._act()
        self._place -= 1
        return self._link.execute(part)


def whole(found: CheckpointTuple) -> bool:
    """Whether a checkpoint has its own values, and all of its writes of one moment."""
    known = {
        ("00000001", 1): FIRST,
        ("00000002", 2): {**FIRST, **SECOND},
        ("00000003", 3): THIRD,
    }
    values, place = found.checkpoint["channel_values"], found.checkpoint["id"][:8]
    writes = [value for _, _, value in found.pending_writes or []]
    if values["document"] == ANOTHER["document"]:
        return values == {**ANOTHER, "n": int(place)} and writes == []
    expected = [[BIG, 1], [BIG, 1, BIG + "e"]] if place == "00000002" else [[]]
    return values == known[place, values["n"]] and writes in expected


@OPTIONS
@pytest.mark.parametrize("knows", ["cold", "knows"])
@pytest.mark.parametrize("name", MEANWHILE)
@pytest.mark.parametrize("read", ["newest", "by id", "list"])
def test_what_comes_between_two_commands_of_a_read_does_not_tear_it(
    open_saver: Open, options: dict[str, Any], read: str, name: str, knows: str
) -> None:
    """Elements of one thread in another of its name, or a checkpoint without a part, would be a wrong answer."""
    place, happened = 0, True
    while happened:
        writer, reader = open_saver(**options), open_saver(**options)
        writer.delete_thread("t")
        author = begun(writer)
        if knows == "knows":
            reader.get_tuple(at())
        between = Between(reader, place, lambda: MEANWHILE[name](writer, author))  # noqa: B023 - called at once
        found = [each for each in read_by(reader, read, between) if each is not None]
        assert [each for each in found if not whole(each)] == []
        assert found or name in ("delete_thread", "delete_for_runs", "prune")
        place, happened = place + 1, between.happened
    assert place > 3


def read_by(reader: RedisSaver, read: str, between: Between) -> list[CheckpointTuple | None]:
    """What one kind of read finds."""
    store, codec = reader._store, reader._codec
    if read == "list":
        listing, found = reader._list(at(), {}, None, None), []
        while not listing.done:
            found += run(listing.page(), between)
        return [*found]
    id = at()["configurable"].get("checkpoint_id") if read == "newest" else f"{1:08x}-0000-6000-8000-000000000000"
    return [run(get_tuple(store, codec, "t", "", id), between)]


@pytest.mark.parametrize("name", MEANWHILE)
@pytest.mark.parametrize("removal", ["prune", "delete_for_runs"])
def test_a_removal_that_was_overtaken_looks_again(open_saver: Open, removal: str, name: str) -> None:
    """Another one's prune, too: its places in the log are not ours any more."""
    place, happened = 0, True
    while happened:
        writer, remover = open_saver(), open_saver()
        writer.delete_thread("t")
        author = begun(writer)
        between = Between(remover, place, lambda: MEANWHILE[name](writer, author))  # noqa: B023 - called at once
        run(remover._prune("t") if removal == "prune" else remover._delete_for_runs(["first"]), between)
        assert [each for each in open_saver().list(at()) if not whole(each)] == []
        place, happened = place + 1, between.happened


@pytest.fixture(params=["standalone", "cluster"])
def process(request: pytest.FixtureRequest, open_saver: Open) -> Iterator[Callable[[], RedisSaver]]:
    """Makes savers; on a Cluster the indexes of runs are elsewhere than the threads."""
    if request.param == "standalone":
        yield open_saver
        return
    nodes: list[RedisServer] = request.getfixturevalue("redis_cluster").nodes
    yield lambda: open_saver(redis.RedisCluster(host=HOST, port=nodes[0].port))
    for node in nodes:
        node.tell("FLUSHALL")


REMOVALS: dict[str, Callable[[RedisSaver], Any]] = {
    "delete_thread": lambda saver: saver._delete_thread("t"),
    "prune": lambda saver: saver._prune("t"),
    "delete_for_runs": lambda saver: saver._delete_for_runs(["first"]),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_a_run_that_goes_on_while_its_thread_is_removed_is_still_found(
    process: Callable[[], RedisSaver], name: str
) -> None:
    """Its index may name too many threads, never too few: whoever deletes the run must find what it wrote."""
    place, happened = 0, True
    while happened:
        writer, remover = process(), process()
        writer.delete_thread("t")
        author = begun(writer)
        between = Between(remover, place, lambda: author.put(3, THIRD, after=2, run="first"))  # noqa: B023 - called at once
        run(REMOVALS[name](remover), between)
        assert runs_there(writer) <= runs_named(writer)
        place, happened = place + 1, between.happened


def runs_there(saver: RedisSaver) -> set[str]:
    """The runs that have a checkpoint in the thread."""
    return run(runs_of(saver._store, saver._codec, "t"), saver._store.link.execute)


def runs_named(saver: RedisSaver) -> set[str]:
    """The runs whose index names the thread."""
    runs = ("first", "second")
    found = saver._store.link.execute([("SISMEMBER", saver._store.keys.run(each), "t") for each in runs])
    return {each for each, there in zip(runs, found, strict=True) if there}
