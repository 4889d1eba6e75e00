"""A network that breaks: within the deadline there is an answer or a clear error, and never another one's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_guard._redis import RedisLink, Script
from langgraph_guard.errors import StoreUnavailable
from langgraph_guard.testing import FaultProxy
from tests._redis.conftest import Execute, hurried
from tests.servers.redis import HOST, RedisServer

Links = Callable[..., RedisLink]
SET = Script("set", "return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.mark.parametrize(
    "batch",
    [[("ECHO", "one")], [("SET", "k", "one"), ("GET", "k")], [(SET, 1, "k", "one")]],
    ids=["command", "transaction", "script"],
)
def test_a_reply_torn_anywhere_is_asked_for_again(
    proxy: FaultProxy, distant: Links, execute: Execute, batch: list[Any]
) -> None:
    """At every byte: the batch gets its whole reply, and the next command gets its own."""
    link = distant()
    whole = execute(link, *batch)
    proxy.forget()
    execute(link, *batch)
    for size in range(proxy.reply_bytes):
        proxy.cut_after(size, "reply")
        assert execute(link, *batch) == whole
        assert execute(link, ("ECHO", "mine")) == [b"mine"]


def test_a_request_torn_anywhere_is_sent_again(proxy: FaultProxy, distant: Links, execute: Execute) -> None:
    """At every byte: the server does it once or more, and never half of it."""
    link = distant()
    batch = [("SET", "k", "one"), ("SET", "l", "one")]
    execute(link, *batch)
    proxy.forget()
    execute(link, *batch)
    for size in range(proxy.request_bytes):
        execute(link, ("DEL", "k", "l"))
        proxy.cut_after(size, "request")
        execute(link, *batch)
        assert execute(link, ("MGET", "k", "l")) == [[b"one", b"one"]]


@pytest.mark.parametrize("fault", ["blackhole", "refuse"])
@pytest.mark.parametrize("connected", [True, False])
def test_no_answer_is_an_error_within_the_deadline(
    proxy: FaultProxy, distant: Links, execute: Execute, fault: str, connected: bool
) -> None:
    """An agent that hangs for ever on its store looks like one that thinks."""
    link = distant()
    if connected:
        execute(link, ("PING",))
    getattr(proxy, fault)()
    with hurried(link), pytest.raises(StoreUnavailable) as caught:
        execute(link, ("GET", "k"), ("HGETALL", "h"))
    assert (caught.value.store, caught.value.operation) == ("redis", "GET+HGETALL")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("fault", ["blackhole", "refuse", "reset"])
def test_a_server_that_comes_back_is_used_again(
    proxy: FaultProxy, distant: Links, execute: Execute, fault: str
) -> None:
    """Nobody has to restart the workers, and no late reply of the bad time is taken for a new one."""
    link = distant()
    execute(link, ("PING",))
    getattr(proxy, fault)()
    if fault != "reset":
        with hurried(link), pytest.raises(StoreUnavailable):
            execute(link, ("ECHO", "lost"))
    proxy.heal()
    assert execute(link, ("ECHO", "mine")) == [b"mine"]


def test_a_reset_in_between_goes_unnoticed(proxy: FaultProxy, distant: Links, execute: Execute) -> None:
    """Load balancers cut idle connections; a run must not fail for it."""
    link = distant()
    for number in range(5):
        assert execute(link, ("ECHO", number)) == [b"%d" % number]
        proxy.reset()


def test_a_server_that_restarts_goes_unnoticed(execute: Execute) -> None:
    """A deployment of the server is not an incident; its scripts are loaded again."""
    with RedisServer(appendonly="yes") as server:
        link = RedisLink.from_url(server.url)
        execute(link, (SET, 1, "k", "v"))
        server.restart()
        assert execute(link, (SET, 1, "k", "v"), ("GET", "k")) == [b"OK", b"v"]
        link.close()


def test_a_slow_network_is_only_slow(proxy: FaultProxy, distant: Links, execute: Execute) -> None:
    """Latency is not failure."""
    link = distant()
    proxy.delay(0.05)
    assert execute(link, ("SET", "k", b"x" * 300_000), ("STRLEN", "k")) == [b"OK", 300_000]


async def test_a_task_that_is_cancelled_leaves_no_reply_behind(proxy: FaultProxy, distant: Links) -> None:
    """Cancelled anywhere, with its reply still to come: the next command gets its own."""
    link = distant()
    await link.aexecute([("PING",)])
    proxy.forget()
    for _ in range(20):
        proxy.blackhole()
        task = asyncio.create_task(link.aexecute([("ECHO", "theirs"), ("ECHO", "theirs")]))
        while not proxy.request_bytes:  # noqa: ASYNC110 - counted on the proxy's thread
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.heal()
        proxy.forget()
        assert await link.aexecute([("ECHO", "mine")]) == [b"mine"]
        proxy.forget()
    await link.aclose()


@pytest.mark.parametrize("passing", range(0, 200, 7))
async def test_a_handshake_that_was_cancelled_is_not_gone_on_with(
    proxy: FaultProxy, distant: Links, passing: int
) -> None:
    """Cancelled while it logs in and selects its database: the next command runs there, and gets its own reply."""
    link = distant(db=5, client_name="mine", max_connections=1)
    proxy.delay(0.005)
    task = asyncio.create_task(link.aexecute([("ECHO", "theirs")]))
    while proxy.request_bytes <= passing and not task.done():  # noqa: ASYNC110 - counted on the proxy's thread
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    proxy.heal()
    assert await link.aexecute([("SET", "k", "v"), ("ECHO", "mine")]) == [b"OK", b"mine"]
    assert await link.aexecute([("SELECT", 5), ("GET", "k")]) == [b"OK", b"v"]
    await link.aclose()


def test_an_interrupt_of_the_user_s_leaves_no_reply_behind(
    server: RedisServer, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control-C between the request and its reply, in a notebook that goes on."""
    from langgraph_guard._redis import threads

    converse = threads._converse

    def interrupted(connection: Any, ask: Any) -> list[Any]:
        connection.send_packed_command([ask.data])
        raise KeyboardInterrupt

    link.execute([("PING",)])
    with monkeypatch.context() as patch:
        patch.setattr(threads, "_converse", interrupted)
        with pytest.raises(KeyboardInterrupt):
            link.execute([("ECHO", "theirs")])
    assert threads._converse is converse
    assert link.execute([("ECHO", "mine")]) == [b"mine"]


def test_an_error_names_no_secret(proxy: FaultProxy, execute: Execute) -> None:
    """Errors go to logs that many read."""
    proxy.refuse()
    link = RedisLink.from_url(f"redis://user-canary:password-canary@{HOST}:{proxy.port}", deadline=0.1)
    with pytest.raises(StoreUnavailable) as caught:
        execute(link, ("SET", "key-canary", "value-canary"))
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "canary" not in f"{shown!r} {shown}"
        shown = shown.__cause__ or shown.__context__
