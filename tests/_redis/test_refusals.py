"""A server that says no: at once, with a reason, without a retry that cannot help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langgraph_guard._redis import RedisLink, Script
from langgraph_guard.errors import StoreRefused, StoreUnavailable
from langgraph_guard.testing import FaultProxy
from tests._redis.conftest import Execute
from tests.servers.redis import HOST, SLOW_TO_LOAD, RedisServer, until

SCRIPT = Script("put", "return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server with a user who may do little."""
    users = ["user little on >secret ~mine:* +get +set +multi +exec +evalsha"]
    with RedisServer(*users) as server:
        yield server


def refusal(execute: Execute, link: RedisLink, *batch: Any) -> StoreRefused:
    """What the server's no becomes."""
    with pytest.raises(StoreRefused) as caught:
        execute(link, *batch)
    link.close()
    assert caught.value.__cause__ is not None
    return caught.value


def url(server: RedisServer, user: str = "little:secret") -> str:
    """The server, as that user."""
    return f"redis://{user}@{HOST}:{server.port}/0"


def test_a_wrong_password_is_refused_at_once(guarded: RedisServer, execute: Execute) -> None:
    """And counted: retries would lock accounts out."""
    guarded.forget_calls()
    error = refusal(execute, RedisLink.from_url(url(guarded, "little:hunter2")), ("GET", "mine:k"))
    assert error.reason == "the user name or the password is wrong"
    assert "hunter2" not in f"{error!r} {error.__cause__!r}"
    assert guarded.calls()["auth"] == 1


def test_a_missing_password_is_refused_at_once(execute: Execute) -> None:
    """The usual first mistake."""
    with RedisServer(requirepass="secret") as server:
        error = refusal(execute, RedisLink.from_url(server.url), ("GET", "k"))
    assert error.reason == "it wants a password"


@pytest.mark.parametrize(
    "batch",
    [
        [("DEL", "mine:k")],
        [("GET", "theirs:k")],
        [("SET", "mine:k", 1), ("DEL", "mine:k")],
        [(SCRIPT, 1, "theirs:k", 1)],
        [(Script("unknown", "return 1"), 1, "mine:k")],
    ],
    ids=["command", "key", "in a transaction", "in a script", "loading a script"],
)
def test_a_missing_permission_is_refused_at_once(guarded: RedisServer, execute: Execute, batch: list[Any]) -> None:
    """One reason, wherever the server notices it; nothing of the batch happened."""
    guarded.tell("DEL", "mine:k")
    guarded.tell("SCRIPT", "LOAD", SCRIPT.source)
    error = refusal(execute, RedisLink.from_url(url(guarded)), *batch)
    assert error.reason == "the user has no permission for this command or these keys (ACL)"
    assert guarded.tell("EXISTS", "mine:k") == 0


def test_a_full_server_refuses_writes(execute: Execute) -> None:
    """And still reads; the reason is the same when a transaction or a script writes."""
    with RedisServer() as server:
        server.tell("SET", "k", "v")
        server.tell("SCRIPT", "LOAD", SCRIPT.source)
        server.tell("CONFIG", "SET", "maxmemory", 1)
        link = RedisLink.from_url(server.url)
        assert execute(link, ("GET", "k")) == [b"v"]
        for batch in ([("SET", "l", 1)], [("GET", "k"), ("SET", "l", 1)], [(SCRIPT, 1, "l", 1)]):
            assert refusal(execute, link, *batch).reason == "it is out of memory (maxmemory)"


@pytest.mark.usefixtures("servers_last_word")
def test_a_replica_refuses_writes_when_it_stays_one(server: RedisServer, execute: Execute) -> None:
    """It may be promoted any moment, so that is waited for, and then said."""
    with RedisServer(replicaof=f"{HOST} {server.port}") as replica:
        until(lambda: replica.client().info("replication")["master_link_status"] == "up", "replication")
        error = refusal(execute, RedisLink.from_url(replica.url, deadline=1.0), ("SET", "k", 1))
        assert error.reason == "it is a read-only replica"
        replica.tell("REPLICAOF", "NO", "ONE")


def test_a_server_that_cannot_save_refuses_writes(execute: Execute) -> None:
    """A disk that is full: what was acknowledged could be lost."""
    with RedisServer(save="3600 1000000") as server:
        (server.folder / "dump.rdb").mkdir()
        server.tell("SET", "k", 1)
        server.tell("BGSAVE")
        until(lambda: server.client().info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
        error = refusal(execute, RedisLink.from_url(server.url), ("SET", "k", 1))
    assert error.reason == "it cannot write to its disk (MISCONF)"


def test_a_command_that_the_server_does_not_know_is_named_by_us(server: RedisServer, execute: Execute) -> None:
    """The server's own message quotes the arguments."""
    error = refusal(execute, RedisLink.from_url(server.url), ("HSETEX", "key-canary", "value-canary"))
    assert error.operation == "HSETEX"
    assert "too old" in error.reason
    assert "canary" not in str(error)


def test_a_key_of_another_type_is_a_refusal(server: RedisServer, execute: Execute) -> None:
    """Someone else's key under our name is not ours to repair."""
    server.tell("LPUSH", "k", 1)
    error = refusal(execute, RedisLink.from_url(server.url), ("GET", "k"))
    assert error.reason == "a key of ours holds something else"


def test_a_loading_server_is_waited_for(execute: Execute) -> None:
    """It answers, and cannot yet; after a restart with much data that takes seconds."""
    with RedisServer(**SLOW_TO_LOAD) as server:
        server.tell("SET", "k", "v")
        server.reload()
        link = RedisLink.from_url(server.url, deadline=60)
        assert execute(link, ("GET", "k")) == [b"v"]
        link.close()


def test_a_full_house_is_waited_for(execute: Execute) -> None:
    """`maxclients` is reached for a moment when all workers start at once."""
    with RedisServer(maxclients=1) as server:
        with server.client() as client, pytest.raises(StoreUnavailable):
            client.ping()
            execute(RedisLink.from_url(server.url, deadline=0.2), ("PING",))
        link = RedisLink.from_url(server.url)
        assert execute(link, ("PING",)) == [b"PONG"]
        link.close()


def test_a_refusal_is_one_round_trip(
    server: RedisServer, proxy: FaultProxy, distant: Callable[..., RedisLink], execute: Execute
) -> None:
    """No retry where none can help."""
    server.tell("LPUSH", "k", 1)
    link = distant()
    execute(link, ("PING",))
    proxy.forget()
    refusal(execute, link, ("GET", "k"))
    assert proxy.round_trips == 1
