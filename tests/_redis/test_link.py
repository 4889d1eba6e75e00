"""One batch, one round trip, in both worlds; replies as the server sent them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from langgraph_guard._redis import RedisLink, Script
from langgraph_guard.errors import ConfigError
from langgraph_guard.testing import FaultProxy
from tests._redis.conftest import Execute
from tests.servers.redis import HOST, RedisServer, until

SET = Script("set", "return redis.call('SET', KEYS[1], ARGV[1])")


def test_replies_come_as_the_server_sent_them(link: RedisLink, execute: Execute) -> None:
    """A flow reads one shape, whoever runs it."""
    execute(link, ("DEL", "h", "k"), ("HSET", "h", "f", b"\xff"), ("SET", "k", "é"))
    replies = execute(link, ("HGETALL", "h"), ("GET", "k"), ("GET", "none"), ("STRLEN", "k"), ("PING",), ("HKEYS", "h"))
    assert replies == [[b"f", b"\xff"], "é".encode(), None, 2, b"PONG", [b"f"]]


def test_a_batch_is_one_round_trip(proxy: FaultProxy, distant: Callable[..., RedisLink], execute: Execute) -> None:
    """Between regions a round trip costs more than all else together."""
    link = distant()
    execute(link, (SET, 1, "k", "v"))
    for batch in ([("GET", "k")], [("SET", "k", "v" * 2_000), ("GET", "k"), (SET, 1, "k", "v")]):
        proxy.forget()
        execute(link, *batch)
        assert proxy.round_trips == 1


def test_a_batch_happens_as_a_whole_or_not_at_all(server: RedisServer, link: RedisLink) -> None:
    """A command that cannot be queued leaves nothing half-written."""
    with pytest.raises(RuntimeError):
        link.execute([("SET", "k", "v"), ("GET",)])
    assert server.tell("EXISTS", "k") == 0


@pytest.mark.parametrize("terms", [{"protocol": 3}, {"decode_responses": True}, {"encoding": "latin-1"}])
def test_a_client_s_own_settings_do_not_change_replies(server: RedisServer, terms: Any, execute: Execute) -> None:
    """A user decodes responses for their own code; a checkpoint is bytes."""
    link = RedisLink(server.client(**terms))
    execute(link, ("HSET", "h", "f", b"\xff"))
    assert execute(link, ("HGETALL", "h"), ("HGET", "h", "f")) == [[b"f", b"\xff"], b"\xff"]
    link.close()


@pytest.mark.parametrize("given", ["client", "async_client"])
def test_one_client_serves_both_worlds(server: RedisServer, given: str, execute: Execute) -> None:
    """`invoke` and `ainvoke` on one saver, whichever client the user had."""
    kind = redis.Redis if given == "client" else redis.asyncio.Redis
    link = RedisLink(**{given: kind(host=HOST, port=server.port, db=3)})
    execute(link, ("SET", "k", "v"))
    with server.client(db=3) as client:
        assert client.get("k") == b"v"
    link.close()


async def test_a_client_of_the_user_s_is_not_closed(server: RedisServer) -> None:
    """It is theirs: other code goes on using it."""
    async with redis.asyncio.Redis(host=HOST, port=server.port) as client:
        await client.set("k", "v")
        link = RedisLink(async_client=client)
        assert await link.aexecute([("GET", "k")]) == [b"v"]
        await link.aclose()
        assert client.connection_pool._available_connections[0].is_connected


def test_a_link_that_was_closed_opens_again(link: RedisLink, execute: Execute) -> None:
    """A saver that is used after its `with` works, as a client does."""
    execute(link, ("PING",))
    link.close()
    asyncio.run(link.aclose())
    assert execute(link, ("PING",)) == [b"PONG"]


def test_closing_leaves_no_connection(server: RedisServer) -> None:
    """Servers count connections, and have a limit."""

    def connected() -> bool:
        return "name=mine" in str(server.tell("CLIENT", "LIST"))

    link = RedisLink.from_url(server.url, client_name="mine")

    async def use() -> None:
        await link.aexecute([("PING",)])
        assert connected()
        await link.aclose()

    link.execute([("PING",)])
    asyncio.run(use())
    until(lambda: not connected(), "the end of all connections")


def test_a_unix_socket_is_a_server_too(execute: Execute) -> None:
    """The usual set-up on one host."""
    with RedisServer(unixsocket="redis.sock") as server:
        link = RedisLink.from_url(f"unix://{server.folder}/redis.sock?db=1")
        assert execute(link, ("SET", "k", "v"), ("GET", "k")) == [b"OK", b"v"]
        link.close()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "client"),
        ({"client": "redis://localhost"}, "client"),
        ({"client": redis.asyncio.Redis()}, "client"),
        ({"async_client": redis.Redis()}, "async_client"),
        ({"client": redis.Redis(), "deadline": 0}, "deadline"),
        ({"client": redis.Redis(), "deadline": float("nan")}, "deadline"),
        ({"client": redis.Redis(), "deadline": "10"}, "deadline"),
        ({"client": redis.Redis(), "deadline": True}, "deadline"),
    ],
)
def test_a_wrong_setting_fails_at_once(arguments: dict[str, Any], field: str) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError) as caught:
        RedisLink(**arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("url", ["http://user:hunter2@host", "redis://user:hunter2@host:port", "hunter2"])
def test_a_wrong_url_is_not_quoted(url: str) -> None:
    """It has the password in it."""
    with pytest.raises(ConfigError) as caught:
        RedisLink.from_url(url)
    assert caught.value.field == "url"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"client": redis.asyncio.Redis()}, "client: is a client of redis.asyncio: pass it as async_client="),
        ({"async_client": redis.Redis()}, "async_client: is a client of redis: pass it as client="),
        ({"client": "redis://h"}, "client: must be a redis.Redis or RedisCluster, is a str: a URL goes to from_"),
    ],
    ids=["async", "sync", "url"],
)
def test_a_client_of_another_kind_is_told_where_it_belongs(given: dict[str, Any], says: str) -> None:
    """The way out, in the error."""
    with pytest.raises(ConfigError) as caught:
        RedisLink(**given)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "must be like redis://localhost:6379, rediss:// or unix://"),
        ("", "must be like redis://localhost:6379"),
        (b"redis://h", "must be a str like redis://localhost:6379, is a bytes"),
        (None, "is a NoneType"),
        (redis.Redis(), "is a Redis"),
        ("redis://h:abc", "its port is no number"),
        ("redis://h/abc", "its path must be the number of a database"),
        ("rediss://h/0/1", "its path must be the number of a database"),
        ("redis://a..b", "its host is not a name that a host can have"),
    ],
    ids=["no scheme", "empty", "bytes", "none", "client", "port", "path", "long path", "host"],
)
def test_a_wrong_url_says_how_it_should_be(url: Any, says: str) -> None:
    """The driver takes `redis://h/abc` for database 0, where somebody else's data are."""
    with pytest.raises(ConfigError) as caught:
        RedisLink.from_url(url)
    assert caught.value.field == "url"
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("url", "terms", "says"),
    [
        ("redis://localhost", {"no_such_term": 1}, "connection_args: there is no term no_such_term"),
        ("redis://localhost?no_such_term=1", {}, "url: there is no term no_such_term"),
        ("redis://localhost", {"max_connections": 0}, "max_connections: must be a number, 1 or more"),
        ("redis://localhost", {"max_connections": "9"}, "max_connections: must be a number, 1 or more"),
    ],
    ids=["argument", "url", "none", "text"],
)
def test_an_unknown_connection_term_fails_at_once(url: str, terms: dict[str, Any], says: str) -> None:
    """A misspelt `ssl_ca_cert` must not mean no check."""
    with pytest.raises(ConfigError) as caught:
        RedisLink.from_url(url, **terms)
    assert str(caught.value).startswith(says)
