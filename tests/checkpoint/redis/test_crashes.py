"""A worker or a server dies in the middle of a run: it goes on elsewhere, and what was finished is not done again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.errors import StoreError
from langgraph_guard.testing.contracts.saver.harness import at
from tests.checkpoint.redis import worker
from tests.servers.redis import RedisCluster, RedisSentinel, RedisServer, until

ROOT = Path(__file__).parents[3]

WHOLE: dict[str, Any] = {
    "items": ["input", *({"step": number, "seen": number + 1} for number in range(worker.STEPS))],
    "last": f"step {worker.STEPS - 1}",
}
"""The state of a run that nothing happened to."""


class Worker:
    """A process that works on a thread, and its journal."""

    def __init__(self, shape: str, where: str, journal: Path, thread: str = "t", **environment: str) -> None:
        self.journal = journal
        command = [sys.executable, "-m", "tests.checkpoint.redis.worker", shape, where, str(journal), thread]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self) -> Any:
        """What it says at its end; `None` when it ended with an error."""
        out, self.errors = self._process.communicate(timeout=60)
        return json.loads(out) if self._process.returncode == 0 else None

    def wrote(self, line: str) -> bool:
        return self.journal.exists() and line in self.journal.read_text().splitlines()


def begun(journal: Path) -> list[str]:
    """Every beginning of a step, in order."""
    return [line for line in journal.read_text().splitlines() if line.startswith("began")]


def finished(saver: RedisSaver) -> int:
    """Steps whose result is stored, as a state or as a write."""
    newest = saver.get_tuple(at())
    if newest is None:
        return 0
    items = newest.checkpoint["channel_values"].get("items", [])
    writes = [name for _, name, _ in newest.pending_writes or [] if name == "items"]
    return max(0, len(items) - 1) + len(writes)


def check_went_on(journal: Path, done: int, result: Any) -> None:
    """The same end, and no step again whose result had been stored."""
    assert result == WHOLE
    counts = [begun(journal).count(f"began {number}") for number in range(worker.STEPS)]
    assert counts[:done] == [1] * done
    assert set(counts[done : done + 1]) <= {1, 2}  # the one that ran when it died
    assert counts[done + 1 :] == [1] * (worker.STEPS - done - 1)


# The worker


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_whose_worker_is_killed_anywhere_goes_on_elsewhere(redis_server: RedisServer, tmp_path: Path) -> None:
    """kill -9 at fifty moments. With durability "sync" a step begins only when what came before it is stored."""
    redis_server.flush()
    rng = random.Random(37)
    with RedisSaver.from_conn_string(redis_server.url) as saver:
        for trial in range(50):
            saver.delete_thread("t")
            journal = tmp_path / f"{trial}"
            killed = Worker("chain", redis_server.url, journal)
            until(lambda: killed.wrote("up"), "the worker")  # noqa: B023 - called at once
            time.sleep(rng.uniform(0, 0.04))  # the moment of a kill is the one thing here that no server can say
            killed.kill()
            done = finished(saver)
            result = Worker("chain", redis_server.url, journal).result()
            check_went_on(journal, done, result)


@pytest.mark.slow
def test_siblings_that_were_finished_are_not_run_again(redis_server: RedisServer, tmp_path: Path) -> None:
    """Three tasks at once, of which one is done when the worker dies."""
    redis_server.flush()
    journal = tmp_path / "journal"
    killed = Worker("parallel", redis_server.url, journal, STUCK="yes")
    with RedisSaver.from_conn_string(redis_server.url) as saver:
        began = [f"began {number}" for number in range(worker.WIDTH)]  # in whatever order
        until(lambda: finished_tasks(saver) == 1 and all(map(killed.wrote, began)), "a task that is done")
        killed.kill()
        result = Worker("parallel", redis_server.url, journal).result()
    assert result == {"items": ["input", 0, 1, 2], "last": "joined 4"}
    assert [begun(journal).count(f"began {number}") for number in range(worker.WIDTH)] == [1, 2, 2]


def finished_tasks(saver: RedisSaver) -> int:
    """Tasks of the step that runs whose writes are stored."""
    newest = saver.get_tuple(at())
    return sum(name == "items" for _, name, _ in newest.pending_writes or []) if newest else 0


@pytest.mark.parametrize("stop", range(0, 40, 3))
def test_a_process_that_dies_between_two_trips_leaves_a_whole_thread(
    redis_server: RedisServer, tmp_path: Path, prefix: str, stop: int
) -> None:
    """The same without a process: the connection to the server ends after so many batches."""
    journal = tmp_path / "journal"
    with RedisSaver.from_conn_string(redis_server.url, prefix=prefix) as saver:
        execute, sent = saver._store.link.execute, 0

        def dies(batch: Any) -> list[Any]:
            nonlocal sent
            sent += 1
            if sent > stop:
                raise Killed
            return execute(batch)

        saver._store.link.execute = dies  # type: ignore[method-assign]
        with suppress(Killed):
            worker.chain(saver, journal).invoke({"items": ["input"]}, at(), durability="sync")
    with RedisSaver.from_conn_string(redis_server.url, prefix=prefix) as saver:
        done = finished(saver)
        graph = worker.chain(saver, journal)
        started = graph.get_state(at()).values
        result = graph.invoke(None if started else {"items": ["input"]}, at(), durability="sync")
        check_went_on(journal, done, result)


class Killed(BaseException):
    """Nothing handles this, as nothing handles a kill."""


# The server


@pytest.mark.slow
def test_a_run_whose_server_is_killed_goes_on_when_it_is_back(tmp_path: Path) -> None:
    """kill -9 of Redis with an append-only file, ten times in one run; requests wait until it is there again."""
    journal = tmp_path / "journal"
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        with RedisSaver.from_conn_string(server.url, deadline=20.0) as saver:
            graph = worker.chain(saver, journal)
            ended = threading.Event()

            def trouble() -> None:
                for number in range(worker.STEPS):
                    until(lambda: ended.is_set() or f"began {number}" in _text(journal), "the next step")  # noqa: B023
                    if ended.is_set():
                        return
                    server.restart()
                ended.wait()  # a server dies with the thread that started it

            chaos = threading.Thread(target=trouble)
            chaos.start()
            try:
                result = graph.invoke({"items": ["input"]}, at(), durability="sync")
            finally:
                ended.set()
                chaos.join()
        server.restart()
        with RedisSaver.from_conn_string(server.url) as saver:
            newest = saver.get_tuple(at())
    assert result == WHOLE
    assert newest is not None
    assert newest.checkpoint["channel_values"]["items"] == WHOLE["items"]
    assert begun(journal) == [f"began {number}" for number in range(worker.STEPS)]


def _text(journal: Path) -> str:
    return journal.read_text() if journal.exists() else ""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, 4, 9])
def test_a_fail_over_in_a_run_ends_in_an_error_or_success(
    redis_sentinel: RedisSentinel, tmp_path: Path, moment: int
) -> None:
    """What the new master did not receive is lost: the thread is an earlier one, whole, and can be gone on with."""
    where = f"sentinel:{','.join(str(port) for _, port in redis_sentinel.addresses)}"
    journal = tmp_path / "journal"
    run = Worker("chain", where, journal)
    until(lambda: run.wrote(f"began {moment}"), "the run")
    redis_sentinel.master.kill()
    result = run.result()
    assert result in (None, WHOLE), run.errors
    with worker.connect(where) as saver:
        check_each_follows_its_parent(saver)
        state = Worker("chain", where, journal).result()
        assert state in (WHOLE, None)
        newest = saver.get_tuple(at())
        assert newest is not None
        assert newest.checkpoint["channel_values"]["items"] == WHOLE["items"]
        check_each_follows_its_parent(saver)


def check_each_follows_its_parent(saver: RedisSaver) -> None:
    """No checkpoint has a part of another state: a step adds one element to what its parent has."""
    found = {each.checkpoint["id"]: each.checkpoint["channel_values"].get("items", []) for each in saver.list(at())}
    for each in saver.list(at()):
        items = found[each.checkpoint["id"]]
        assert items == WHOLE["items"][: len(items)]
        if each.parent_config:
            assert len(items) - len(found[each.parent_config["configurable"]["checkpoint_id"]]) in (0, 1)


@pytest.mark.slow
def test_a_slot_that_moves_during_a_run_is_followed(redis_cluster: RedisCluster, tmp_path: Path) -> None:
    """Key by key to another node and back, as a resharding does it, while ten steps write."""
    with worker.connect(f"cluster:{redis_cluster.nodes[0].port}") as saver:
        saver.delete_thread("moving")
        keys = saver._store.keys.thread("moving")
        slot = int(redis_cluster.nodes[0].tell("CLUSTER", "KEYSLOT", keys.meta))
        moves: list[int] = []

        def moving(put: Any) -> Any:
            def act(*args: Any) -> Any:
                source = redis_cluster.holder(slot)
                target = redis_cluster.nodes[(redis_cluster.nodes.index(source) + 1) % 3]
                migrate(redis_cluster, slot, source, target, keys, len(moves) % 5)
                moves.append(target.port)
                return put(*args)

            return act

        saver.put = moving(saver.put)  # type: ignore[method-assign]
        graph = worker.chain(saver, tmp_path / "journal")
        result = graph.invoke({"items": ["input"]}, at("moving"), durability="sync")
        assert result == WHOLE
        assert len(set(moves)) == 3
        assert len([*saver.list(at("moving"))]) == worker.STEPS + 2


def migrate(cluster: RedisCluster, slot: int, source: RedisServer, target: RedisServer, keys: Any, first: int) -> None:
    """Move a slot with all its keys, asking nobody to wait."""
    names = {node: node.tell("CLUSTER", "MYID") for node in (source, target)}
    target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    for key in [*keys[first:], *keys[:first]]:
        source.tell("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
    cluster.move(slot, target)


@pytest.mark.slow
def test_a_run_during_a_slow_migration_waits_or_says_so(redis_cluster: RedisCluster, tmp_path: Path) -> None:
    """Half of a thread's keys are on each node: nothing can be done with it as a whole, until the rest has moved."""
    with worker.connect(f"cluster:{redis_cluster.nodes[0].port}") as saver:
        saver.delete_thread("moving")
        graph = worker.chain(saver, tmp_path / "journal")
        graph.invoke({"items": ["input"]}, at("moving"), durability="sync")
        keys = saver._store.keys.thread("moving")
        slot = int(redis_cluster.nodes[0].tell("CLUSTER", "KEYSLOT", keys.meta))
        source = redis_cluster.holder(slot)
        target = redis_cluster.nodes[(redis_cluster.nodes.index(source) + 1) % 3]
        names = {node: node.tell("CLUSTER", "MYID") for node in (source, target)}
        before = [*saver.list(at("moving"))]
        target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        source.tell("MIGRATE", "127.0.0.1", target.port, keys.meta, 0, 5_000)
        saver._store.link._deadline = 0.5
        with pytest.raises(StoreError):
            graph.update_state(at("moving"), {"items": ["more"]})
        source.tell("MIGRATE", "127.0.0.1", target.port, keys.entries, 0, 5_000)
        source.tell("MIGRATE", "127.0.0.1", target.port, keys.log, 0, 5_000)
        redis_cluster.move(slot, target)
        saver._store.link._deadline = 10.0
        assert [*saver.list(at("moving"))] == before
        graph.update_state(at("moving"), {"items": ["more"]})
        assert len([*saver.list(at("moving"))]) == len(before) + 1
