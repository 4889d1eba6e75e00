"""A Cluster: batches go where their keys are, also when the keys move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.crc import key_slot

from langgraph_guard._redis import Pipelined, RedisLink, Script, errors
from langgraph_guard.errors import StoreUnavailable
from tests._redis.conftest import Execute, hurried
from tests.servers.redis import HOST, RedisCluster

SET = Script("set", "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])")


@pytest.fixture(params=["client", "async_client"])
def link(request: pytest.FixtureRequest, redis_cluster: RedisCluster) -> Iterator[RedisLink]:
    """From a client of one world or the other."""
    for node in redis_cluster.nodes:
        node.flush()
    kind = redis.RedisCluster if request.param == "client" else redis.asyncio.RedisCluster
    link = RedisLink(**{request.param: kind(host=HOST, port=redis_cluster.nodes[1].port)})
    yield link
    link.close()


def test_a_batch_goes_where_its_keys_are(link: RedisLink, execute: Execute) -> None:
    """Slots of all three nodes; replies in the order of the commands."""
    keys = [f"k{number}" for number in range(50)]
    assert execute(link, *(("SET", key, key) for key in keys)) == [b"OK"] * 50
    assert execute(link, *(("GET", key) for key in keys)) == [key.encode() for key in keys]
    assert execute(link, (SET, 1, "k1", "v"), ("TIME",), (SET, 1, "k2", "w"))[::2] == [b"v", b"w"]
    assert link.is_cluster
    assert not link.atomic_across_slots


def test_commands_without_a_key_are_answered_by_any(link: RedisLink, execute: Execute) -> None:
    """A check of the server's version needs no key."""
    assert b"redis_version" in execute(link, ("INFO", "server"))[0]


def test_a_slot_that_moved_is_followed(redis_cluster: RedisCluster, link: RedisLink, execute: Execute) -> None:
    """MOVED: a Cluster that grows must not fail a run."""
    slot = key_slot(b"{moved}")
    execute(link, (SET, 1, "{moved}", "v"))
    old = redis_cluster.holder(slot)
    new = next(node for node in redis_cluster.nodes if node is not old)
    old.tell("DEL", "{moved}")
    redis_cluster.move(slot, new)
    try:
        assert execute(link, (SET, 1, "{moved}", "w"), ("GET", "{moved}")) == [b"w", b"w"]
        new.forget_calls()
        old.forget_calls()
        assert execute(link, ("GET", "{moved}")) == [b"w"]
        assert (new.calls()["get"], old.calls().get("get")) == (1, None)
    finally:
        new.tell("DEL", "{moved}")
        redis_cluster.move(slot, old)


def test_a_pipeline_is_not_taken_in_by_half_a_move(redis_cluster: RedisCluster, link: RedisLink) -> None:
    """One of its keys is here and one is there: neither is missing, so neither server may say so."""
    slot = key_slot(b"{piped}")
    old = redis_cluster.holder(slot)
    new = next(node for node in redis_cluster.nodes if node is not old)
    batch = Pipelined([("GET", "{piped}1"), ("GET", "{piped}2")])
    link.execute([("SET", "{piped}1", "v"), ("SET", "{piped}2", "w")])
    assert link.execute(batch) == [b"v", b"w"]
    new.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", old.tell("CLUSTER", "MYID"))
    old.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", new.tell("CLUSTER", "MYID"))
    link._deadline = 1.0
    try:
        old.tell("MIGRATE", HOST, new.port, "{piped}2", 0, 5_000)
        with pytest.raises(StoreUnavailable):
            link.execute(batch)
        old.tell("MIGRATE", HOST, new.port, "{piped}1", 0, 5_000)
        assert link.execute(batch) == [b"v", b"w"]
    finally:
        new.tell("FLUSHALL")
        new.tell("CLUSTER", "SETSLOT", slot, "STABLE")
        old.tell("CLUSTER", "SETSLOT", slot, "STABLE")


@pytest.mark.parametrize(
    "batch",
    [[("SET", "{asked}", "v")], [("SET", "{asked}", "v"), ("GET", "{asked}")], [(SET, 1, "{asked}", "v")]],
    ids=["command", "transaction", "script"],
)
def test_a_slot_on_its_way_is_asked_for(
    redis_cluster: RedisCluster, link: RedisLink, execute: Execute, batch: list[Any]
) -> None:
    """ASK: while a slot moves, what is not here any more is there already; the map stays as it is."""
    slot = key_slot(b"{asked}")
    old = redis_cluster.holder(slot)
    new = next(node for node in redis_cluster.nodes if node is not old)
    new.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", old.tell("CLUSTER", "MYID"))
    old.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", new.tell("CLUSTER", "MYID"))
    try:
        assert execute(link, *batch)[-1] in (b"v", b"OK")
        assert new.tell("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        assert old.tell("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
    finally:
        new.tell("FLUSHALL")
        new.tell("CLUSTER", "SETSLOT", slot, "STABLE")
        old.tell("CLUSTER", "SETSLOT", slot, "STABLE")


@pytest.mark.usefixtures("servers_last_word")
def test_half_a_move_is_waited_for(redis_cluster: RedisCluster, link: RedisLink, execute: Execute) -> None:
    """TRYAGAIN: one key is here and one is there. It ends with the move, or with the deadline."""
    slot = key_slot(b"{half}")
    old = redis_cluster.holder(slot)
    new = next(node for node in redis_cluster.nodes if node is not old)
    execute(link, ("SET", "{half}1", "v"))
    new.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", old.tell("CLUSTER", "MYID"))
    old.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", new.tell("CLUSTER", "MYID"))
    link._deadline = 1.0
    try:
        with pytest.raises(StoreUnavailable) as caught:
            execute(link, ("MSET", "{half}1", "v", "{half}2", "v"))
        assert caught.value.__cause__ is not None
        assert errors.code(caught.value.__cause__) in ("TRYAGAIN", "ASK")  # up to 6.2 the old node sends us on
    finally:
        new.tell("CLUSTER", "SETSLOT", slot, "STABLE")
        old.tell("CLUSTER", "SETSLOT", slot, "STABLE")


@pytest.mark.slow
def test_a_node_that_is_gone_is_unavailable_until_it_is_back(execute: Execute) -> None:
    """The other nodes' keys stay within reach as long as the Cluster allows it."""
    with RedisCluster() as cluster:
        for node in cluster.nodes:
            node.tell("CONFIG", "SET", "cluster-require-full-coverage", "no")
        link = RedisLink(redis.RedisCluster(host=HOST, port=cluster.nodes[0].port))
        execute(link, ("SET", "k1", "v"))
        gone = cluster.holder(key_slot(b"k1"))
        gone.kill()
        with hurried(link), pytest.raises(StoreUnavailable):
            execute(link, ("SET", "k1", "v"))
        assert execute(link, ("SET", key_of_another(cluster), "v")) == [b"OK"]
        gone.start()
        assert execute(link, ("SET", "k1", "v")) == [b"OK"]
        link.close()


def key_of_another(cluster: RedisCluster) -> str:
    """A key that a living node holds."""
    alive = next(node for node in cluster.nodes if node.greeting())
    slots = next(row for row in alive.tell("CLUSTER", "SLOTS") if row[2][1] == alive.port)
    return next(key for key in map(str, range(100_000)) if key_slot(key.encode()) == slots[0])
