"""A master that Sentinels watch: after a fail-over the next batch finds the new one."""

from __future__ import annotations

from typing import Any

import pytest
import redis.asyncio.sentinel
import redis.sentinel

from langgraph_guard._redis import RedisLink, Script
from langgraph_guard.errors import ConfigError, StoreUnavailable
from tests._redis.conftest import Execute
from tests.servers.redis import RedisSentinel, RedisServer, until

SET = Script("set", "return redis.call('SET', KEYS[1], ARGV[1])")
KINDS = {"client": redis.sentinel.Sentinel, "async_client": redis.asyncio.sentinel.Sentinel}


def link_to(watched: RedisSentinel, given: str, **terms: Any) -> RedisLink:
    """By the Sentinels' addresses alone."""
    master = KINDS[given](watched.addresses).master_for(watched.service)
    return RedisLink(**{given: master, **terms})


@pytest.mark.slow
@pytest.mark.parametrize("given", KINDS)
def test_a_fail_over_goes_unnoticed(redis_sentinel: RedisSentinel, execute: Execute, given: str) -> None:
    """The master dies; the batch waits for its successor, and the scripts are loaded there."""
    link = link_to(redis_sentinel, given, deadline=30.0)
    assert execute(link, (SET, 1, "k", "old")) == [b"OK"]
    redis_sentinel.master.kill()
    assert execute(link, (SET, 1, "k", "new"), ("GET", "k")) == [b"OK", b"new"]
    assert redis_sentinel.replica.tell("GET", "k") == b"new"
    link.close()


@pytest.mark.slow
def test_a_master_that_was_demoted_is_left(redis_sentinel: RedisSentinel, execute: Execute) -> None:
    """It still answers: READONLY sends us back to the Sentinels. Until it says so it takes writes, which are lost."""
    link = link_to(redis_sentinel, "client", deadline=30.0)
    execute(link, ("SET", "k", "old"))
    redis_sentinel.sentinels[0].tell("SENTINEL", "FAILOVER", redis_sentinel.service)

    def demoted() -> bool:
        assert execute(link, ("SET", "k", "between")) == [b"OK"]
        return bool(redis_sentinel.master.client().role()[0] in ("slave", b"slave"))

    until(demoted, "the change-over")
    assert execute(link, ("SET", "k", "newest")) == [b"OK"]
    assert redis_sentinel.replica.tell("GET", "k") == b"newest"
    link.close()


def test_a_sentinel_that_is_gone_is_passed_over(execute: Execute) -> None:
    """One of several is enough."""
    with RedisServer() as master:
        watch = f"sentinel monitor mymaster 127.0.0.1 {master.port} 1"
        with RedisServer(watch, mode="--sentinel") as sentinel:
            addresses = [("127.0.0.1", 1), ("127.0.0.1", sentinel.port)]
            link = RedisLink(redis.sentinel.Sentinel(addresses).master_for("mymaster", db=4))
            assert execute(link, ("SET", "k", "v")) == [b"OK"]
            assert master.client(db=4).get("k") == b"v"
            link.close()


def test_a_master_that_nobody_knows_is_unavailable(execute: Execute) -> None:
    """A misspelt service name, or Sentinels that have lost it."""
    with RedisServer(mode="--sentinel") as sentinel:
        master = redis.sentinel.Sentinel([("127.0.0.1", sentinel.port)]).master_for("no-such-master")
        with pytest.raises(StoreUnavailable):
            execute(RedisLink(master, deadline=0.2), ("PING",))


def test_a_replica_is_no_place_for_checkpoints() -> None:
    """What was just written may not be there yet; said at construction."""
    with pytest.raises(ConfigError, match="use master_for"):
        RedisLink(redis.sentinel.Sentinel([("127.0.0.1", 1)]).slave_for("mymaster"))
