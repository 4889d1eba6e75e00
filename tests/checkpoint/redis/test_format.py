"""What version 1 of the format wrote can be read for ever, and what is written is still version 1.

`golden_v1.json` is never written again. When one of these tests fails, the code is wrong, not the file: a change of the
format is a new version, with a file of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.errors import CorruptCheckpoint
from langgraph_guard.testing.contracts.saver.harness import anywhere, at, uid
from langgraph_guard.testing.contracts.saver.model import ModelSaver
from langgraph_guard.testing.contracts.saver.same import agree, same
from tests.checkpoint.redis import golden
from tests.checkpoint.redis.golden import THREADS
from tests.servers.redis import RedisServer

NAMES = sorted(THREADS)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """Where the golden threads are, one at a time."""
    yield redis_server
    golden.empty(redis_server)


def read_back(server: RedisServer, name: str) -> RedisSaver:
    """A saver that finds the thread as it was written then."""
    golden.restore(server, golden.stored()[name])
    return THREADS[name].saver(server)


def model_of(name: str) -> ModelSaver:
    """What was put, in a saver that keeps it in memory."""
    model = ModelSaver()
    THREADS[name].write(model, THREADS[name].thread)
    return model


def test_every_thread_is_in_the_file() -> None:
    """A scenario that is not in the file protects nothing."""
    assert sorted(golden.stored()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_version_1_wrote_can_be_read(server: RedisServer, name: str) -> None:
    """Values, metadata, parents and writes, in every namespace, newest first."""
    thread = THREADS[name].thread
    with read_back(server, name) as saver:
        found, expected = [*saver.list(anywhere(thread))], [*model_of(name).list(anywhere(thread))]
        assert [each.config for each in found] == [each.config for each in expected]
        for mine, theirs in zip(found, expected, strict=True):
            agree(mine, theirs)
            agree(saver.get_tuple(theirs.config), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_threads_of_version_1_are_listed_without_their_ids(server: RedisServer, name: str) -> None:
    """The registry is a part of the format."""
    with read_back(server, name) as saver:
        assert {each.config["configurable"]["thread_id"] for each in saver.list(None)} == {THREADS[name].thread}


def test_deltas_of_version_1_are_replayed(server: RedisServer) -> None:
    """A snapshot and the writes since."""
    with read_back(server, "deltas") as saver:
        found = saver.get_delta_channel_history(config=at(id=uid(3)), channels=["d"])
        expected = model_of("deltas").get_delta_channel_history(config=at(id=uid(3)), channels=["d"])
    assert same(dict(found), dict(expected))


def test_runs_of_version_1_are_deleted(server: RedisServer) -> None:
    """Their index is a part of the format too."""
    with read_back(server, "values") as saver:
        saver.delete_for_runs(["run-2"])
        assert [each.config["configurable"]["checkpoint_id"] for each in saver.list(at())] == [uid(1)]


@pytest.mark.parametrize("name", NAMES)
def test_a_thread_of_version_1_goes_on(server: RedisServer, name: str) -> None:
    """What this release adds stands beside what was there; what was there stays as it was."""
    own = THREADS[name]
    with read_back(server, name) as saver:
        before = [*saver.list(anywhere(own.thread))]
        latest = saver.get_tuple(at(own.thread, before[0].config["configurable"]["checkpoint_ns"]))
        assert latest is not None
        ns = latest.config["configurable"]["checkpoint_ns"]
        golden.put(saver, own.thread, 9, {"l": ["new"]}, {"l": "9"}, ns=ns, id="~")
        assert len([*saver.list(anywhere(own.thread))]) == len(before) + 1
        with own.saver(server) as cold:
            for each in before:
                agree(cold.get_tuple(each.config), each)


@pytest.mark.parametrize("name", [name for name in NAMES if THREADS[name].pinned])
def test_what_is_written_is_still_version_1(server: RedisServer, name: str) -> None:
    """Byte by byte, key by key: an older release beside this one reads it. Runs name no thread that is gone."""
    assert golden.written(server, THREADS[name]) == golden.of_the_living(golden.stored()[name], THREADS[name].thread)


@pytest.mark.parametrize("name", ["sealed", "compressed and sealed"])
def test_sealed_threads_of_version_1_need_their_key(server: RedisServer, name: str) -> None:
    """What the file holds is sealed indeed."""
    golden.restore(server, golden.stored()[name])
    with RedisSaver.from_conn_string(server.url, prefix=golden.PREFIX) as saver, pytest.raises(CorruptCheckpoint):
        saver.get_tuple(at())


def test_a_thread_of_a_newer_version_is_refused(server: RedisServer) -> None:
    """Not guessed at: a release that is older than the data says so."""
    contents: dict[str, Any] = golden.stored()["values"]
    golden.restore(server, contents)
    saver = THREADS["values"].saver(server)
    server.tell("HSET", saver._store.keys.thread("t").meta, "v", 2)
    with saver, pytest.raises(CorruptCheckpoint, match="version"):
        saver.get_tuple(at())
