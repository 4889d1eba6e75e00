"""`saver.check()` tells what is wrong with a server, in words, before the first thread is lost to it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from langgraph_guard._redis.clients import Settings
from langgraph_guard.checkpoint.redis import RedisSaver, findings
from langgraph_guard.checkpoint.redis.check import Report
from langgraph_guard.checkpoint.redis.findings import Finding
from langgraph_guard.errors import ConfigError, StoreRefused, StoreUnavailable
from tests.servers.redis import HOST, RedisCluster, RedisSentinel, RedisServer, free_port

SOME = "10.0.0.7"
"""Another machine."""


def saver(server: RedisServer, **options: Any) -> RedisSaver:
    """On that server."""
    return RedisSaver.from_conn_string(server.url, **options)


def level(report: Report, name: str) -> str:
    """Of the worst finding of that name."""
    levels = {each.level for each in report.findings if each.name == name}
    return next(each for each in ("error", "warning", "ok") if each in levels)


def says(report: Report, name: str) -> str:
    """All that is found under that name."""
    return " ".join(each.says for each in report.findings if each.name == name)


# A server as it should be


@pytest.fixture(scope="module")
def sound() -> Iterator[RedisServer]:
    """It writes what it is told to disk."""
    with RedisServer(appendonly="yes") as server:
        yield server


def test_a_sound_server_has_no_errors_and_no_warnings(sound: RedisServer) -> None:
    """A report that always warns is not read."""
    report = saver(sound).check()
    assert report.ok
    assert {each.level for each in report.findings} == {"ok"}


def test_both_worlds_find_the_same(sound: RedisServer) -> None:
    """One flow, two drivers."""

    async def acheck() -> Report:
        async with saver(sound) as checked:
            await checked.asetup()
            return await checked.acheck()

    assert asyncio.run(acheck()) == saver(sound).check()


def test_nothing_is_left_behind(sound: RedisServer) -> None:
    """The scratch thread is removed, and was never listed."""
    sound.flush()
    saver(sound).check()
    assert sound.tell("DBSIZE") == 0


def test_the_threads_that_are_there_stay(sound: RedisServer) -> None:
    """Checks run in production, every time a process starts."""
    sound.flush()
    checked = saver(sound, ttl=60)
    sound.tell("SET", checked._store.keys.threads, "as it was")
    checked.check()
    assert sound.tell("GET", checked._store.keys.threads) == b"as it was"


def test_setup_may_run_again_and_again(sound: RedisServer) -> None:
    """LangGraph's examples call it at every start."""
    checked = saver(sound)
    checked.setup()
    checked.setup()


def test_a_report_reads_well_in_a_terminal() -> None:
    """One line for each finding, the worst first."""
    report = Report(
        (Finding("ok", "version", "Redis 7."), Finding("error", "role", "A replica. Name the master.")), "redis"
    )
    assert str(report) == "error    role     A replica. Name the master.\nok       version  Redis 7."


def test_what_is_raised_has_every_error_and_no_warning() -> None:
    """All that has to be repaired, at once."""
    found = (Finding("error", "a", "This."), Finding("warning", "b", "That."), Finding("error", "c", "And this."))
    with pytest.raises(StoreRefused) as caught:
        Report(found, "redis").raise_if_unusable()
    assert caught.value.reason == "This. And this."


def test_warnings_do_not_raise() -> None:
    """A server without a disk is what many tests want."""
    Report((Finding("warning", "persistence", "Nothing is written to disk."),), "redis").raise_if_unusable()


# Wrong settings


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seal": "secret"}, "seal: must be a Seal(key), is a str"),
        ({"serde": "json"}, "serde: must have dumps_typed and loads_typed; is a str"),
        ({"max_value_bytes": "1MB"}, "max_value_bytes: is no number of bytes"),
        ({"ttl": "1h"}, "ttl: must be a timedelta, or seconds, above 0"),
        ({"tenant": 5}, "tenant: must be a str, is a int"),
        ({"connection_args": ["x"]}, "connection_args: must be a dict of terms, is a list"),
    ],
    ids=["seal", "serde", "max_value_bytes", "ttl", "tenant", "connection_args"],
)
def test_a_wrong_setting_fails_when_the_saver_is_made(options: dict[str, Any], says: str) -> None:
    """With its name, before the first thread is begun."""
    with pytest.raises(ConfigError) as caught:
        RedisSaver.from_conn_string("redis://localhost", **options)
    assert str(caught.value) == says


# No server, the wrong server


def test_a_server_that_is_not_there_is_said_to_be_missing() -> None:
    """And `setup` raises what a first use would raise."""
    checked = RedisSaver.from_conn_string(f"redis://{HOST}:{free_port()}", deadline=0.2)
    report = checked.check()
    assert "did not answer" in says(report, "server")
    with pytest.raises(StoreUnavailable):
        checked.setup()


def test_of_a_server_that_is_not_there_nothing_good_is_said() -> None:
    """One line: where nothing is, and what to do. "ok" beside it would say that something was found."""
    port = free_port()
    (line,) = str(RedisSaver.from_conn_string(f"redis://{HOST}:{port}", deadline=0.2).check()).splitlines()
    assert re.sub(r"within \S+ s", "within … s", line) == (
        f"error    server  Redis at {HOST}:{port} did not answer TIME within … s: nothing listens there."
        " Start the server, or correct the address."
    )


def test_of_a_server_that_lets_nobody_in_nothing_good_is_said() -> None:
    """What is wrong, who says so, and what to do."""
    with RedisServer(requirepass="secret") as server:
        report = RedisSaver.from_conn_string(server.url).check()
    assert str(report) == (
        f"error    server  The server at {HOST}:{server.port} says no: it wants a password."
        " Give it: redis://:password@host:port, or password= of your client."
    )


def test_a_wrong_password_is_said_to_be_wrong_and_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Reports are pasted into tickets."""
    caplog.set_level(logging.DEBUG)
    with RedisServer(requirepass="secret") as server:
        url = f"redis://:hunter2@{HOST}:{server.port}"
        report = RedisSaver.from_conn_string(url).check()
    assert "password is wrong" in says(report, "server")
    assert "hunter2" not in f"{report} {report!r} {caplog.text}"


def test_a_replica_is_refused() -> None:
    """It would answer every read and refuse every write."""
    with RedisServer() as master, RedisServer(replicaof=f"{HOST} {master.port}") as replica:
        report = saver(replica).check()
        assert level(report, "role") == "error"
        with pytest.raises(StoreRefused, match="replica"):
            saver(replica).setup()


def test_a_full_server_is_refused() -> None:
    """It reads, so nothing else would show it before the first put."""
    with RedisServer() as server:
        server.tell("CONFIG", "SET", "maxmemory", "100kb")  # less than it has in use already
        report = saver(server).check()
    assert level(report, "memory") == "warning"
    assert "out of memory" in says(report, "server")
    assert not report.ok


def test_one_server_of_a_cluster_is_refused(redis_cluster: RedisCluster) -> None:
    """With a client that does not know of the others, a third of the threads would seem to work."""
    report = RedisSaver.from_conn_string(redis_cluster.url).check()
    assert "RedisCluster" in says(report, "cluster")
    assert not report.ok


def test_a_cluster_client_on_a_single_server_is_refused(sound: RedisServer) -> None:
    """The driver's own message does not say which of the two is wrong."""
    client = redis.asyncio.RedisCluster(host=HOST, port=sound.port)  # connects when it is used
    report = RedisSaver(async_client=client).check()
    assert "redis.Redis" in says(report, "cluster")


# Clusters and Sentinels


def test_a_sound_cluster_has_no_errors(redis_cluster: RedisCluster) -> None:
    """Every master was tried: nothing that one lacks hides behind another."""
    for node in redis_cluster.nodes:
        node.flush()
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        report = RedisSaver(client).check()
    assert report.ok, str(report)
    assert level(report, "slots") == "ok"
    assert [node.tell("DBSIZE") for node in redis_cluster.nodes] == [0, 0, 0]


def test_a_user_that_one_node_does_not_know_well_is_named_with_it(redis_cluster: RedisCluster) -> None:
    """A Cluster's nodes do not share users: this is what is forgotten."""
    rules = ("on", "nopass", "~*", "+@all")
    for node in redis_cluster.nodes:
        node.tell("ACL", "SETUSER", "worker", *rules, *(["-restore"] if node is redis_cluster.nodes[1] else []))
    with redis.RedisCluster.from_url(redis_cluster.url, username="worker", password="") as client:
        found = RedisSaver(client).check().of("error")
    assert [each.says.startswith(f"{HOST}:{redis_cluster.nodes[1].port}: ") for each in found] == [True]
    assert found[0].says.endswith("+restore")


def test_slots_without_a_server_are_counted() -> None:
    """Their threads fail; the others make it look like bad luck."""
    found = findings.coverage([[0, 99, [b"a", 1]], [200, 16_383, [b"b", 2]]])
    assert (found.level, found.says.split(" have ")[0]) == ("error", "100 of 16384 slots")


def test_the_master_that_sentinels_name_is_checked(watched: RedisSentinel) -> None:
    """The usual way to run Redis where a machine may die."""
    sentinel = redis.Sentinel(watched.addresses)
    report = RedisSaver(sentinel.master_for(watched.service)).check()
    assert report.ok, str(report)


# Settings that lose threads


@pytest.mark.parametrize(
    ("policy", "ttl", "expected"),
    [
        ("noeviction", None, "ok"),
        ("volatile-lru", None, "ok"),
        ("volatile-lru", 60, "warning"),
        ("allkeys-lru", None, "warning"),
        ("allkeys-lfu", 60, "warning"),
    ],
)
def test_a_policy_that_evicts_threads_is_a_warning(sound: RedisServer, policy: str, ttl: Any, expected: str) -> None:
    """Redis evicts keys, not threads: what is left cannot be read. Keys without a ttl are safe from `volatile-*`."""
    sound.tell("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        assert level(saver(sound, ttl=ttl).check(), "eviction") == expected
    finally:
        sound.tell("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("told", "expected", "word"),
    [
        ({"aof_enabled": "1", "aof_last_write_status": "ok"}, "ok", "append-only"),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, "warning", "disk"),
        ({"aof_enabled": "0", "save": ""}, "warning", "every thread"),
        ({"aof_enabled": "0", "save": "3600 1"}, "warning", "snapshots"),
        ({"aof_enabled": "0"}, "warning", "could not be read"),
        ({}, "warning", "could not be read"),
    ],
)
def test_a_restart_that_forgets_is_a_warning(told: dict[str, str], expected: str, word: str) -> None:
    """Redis' own default keeps snapshots only."""
    found = findings.persistence(told)
    assert (found.level, word in found.says) == (expected, True)


def test_snapshots_are_read_from_the_configuration() -> None:
    """INFO does not tell whether there are any."""
    with RedisServer(save="3600 1") as server:
        assert "snapshots" in says(saver(server).check(), "persistence")


@pytest.mark.parametrize(
    ("used", "most", "expected"), [("80", "100", "ok"), ("95", "100", "warning"), ("5", "0", "ok"), ("5", "", "ok")]
)
def test_a_server_that_is_nearly_full_is_a_warning(used: str, most: str, expected: str) -> None:
    """There is time to act."""
    assert findings.memory({"used_memory": used, "maxmemory": most}).level == expected


# Versions, clocks, the way there


@pytest.mark.parametrize(
    ("told", "expected", "word"),
    [
        ({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"redis_version": "8.0.1"}, "ok", "Redis 8.0.1"),
        ({"redis_version": "6.0.16"}, "error", "too old"),
        ({"redis_version": "5.0.14"}, "error", "too old"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "ok", "Valkey 8.1.0"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.27.1"}, "ok", "Dragonfly df-v1.27.1"),
        ({"redis_version": "4.0.0", "kvrocks_version": "2.9.0"}, "warning", "Kvrocks 2.9.0"),
        ({"redis_version": "unstable"}, "warning", "does not say"),
        ({}, "warning", "does not say"),
    ],
)
def test_versions_are_told_by_the_server_s_own_name(told: dict[str, str], expected: str, word: str) -> None:
    """Servers that speak like Redis have two versions; what they can do is tried anyway."""
    found = findings.version(told)
    assert (found.level, word in found.says) == (expected, True)


@pytest.mark.parametrize(
    ("server", "expected", "word"),
    [(100.0, "ok", ""), (101.5, "ok", ""), (103.0, "warning", "1.5 s behind"), (97.0, "warning", "3.0 s ahead of")],
)
def test_clocks_that_differ_are_a_warning(server: float, expected: str, word: str) -> None:
    """The time on the way is no difference: asked at 100 and answered at 101.5, anything between is right."""
    found = findings.clock(server, 100.0, 101.5)
    assert (found.level, word in found.says) == (expected, True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", "ok"),
        ("redis://127.0.0.9", "ok"),
        ("redis://[::1]:6379", "ok"),
        ("unix:///run/redis.sock", "ok"),
        (f"redis://{SOME}", "warning"),
        ("redis://redis.internal", "warning"),
        (f"rediss://{SOME}", "ok"),
        (f"rediss://{SOME}?ssl_cert_reqs=none", "warning"),
    ],
)
def test_a_connection_that_others_can_read_is_a_warning(url: str, expected: str) -> None:
    """States hold what people said. On the same machine nobody listens."""
    assert findings.transport(Settings.of_url(url)).level == expected


@pytest.mark.parametrize("make", [redis.Redis, redis.asyncio.Redis])
def test_a_client_is_looked_at_like_a_url(make: Callable[..., Any]) -> None:
    """TLS is a matter of its connection class."""
    plain, tls = Settings.of_client(make(host=SOME)), Settings.of_client(make(host=SOME, ssl=True))
    assert (findings.transport(plain).level, findings.transport(tls).level) == ("warning", "ok")


def test_addresses_of_sentinels_are_looked_at_too() -> None:
    """They stand on other machines where the client itself names none."""
    client = redis.Sentinel([("127.0.0.1", 1), (SOME, 2)]).master_for("mymaster")
    assert SOME in findings.transport(Settings.of_client(client)).says
