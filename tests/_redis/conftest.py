"""Real servers, a network that fails on demand, and the two worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.testing import FaultProxy
from tests.servers.redis import HOST, RedisServer, redis_cluster, redis_sentinel, redis_server, servers_last_word

__all__ = ["redis_cluster", "redis_sentinel", "redis_server", "servers_last_word"]

Execute: TypeAlias = Callable[..., list[Any]]


@contextmanager
def hurried(link: RedisLink) -> Iterator[None]:
    """For what must fail: it should not take the usual ten seconds."""
    usual, link._deadline = link._deadline, 0.3
    try:
        yield
    finally:
        link._deadline = usual


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.flush()
    return redis_server


@pytest.fixture(params=["sync", "async"])
def execute(request: pytest.FixtureRequest) -> Iterator[Execute]:
    """`execute(link, *commands)`, in the blocking world and on one event loop."""
    if request.param == "sync":
        yield lambda link, *batch: link.execute(batch)
        return
    with asyncio.Runner() as runner:
        yield lambda link, *batch: runner.run(link.aexecute(batch))


@pytest.fixture
def link(server: RedisServer) -> Iterator[RedisLink]:
    link = RedisLink.from_url(server.url)
    yield link
    link.close()


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(HOST, server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: FaultProxy) -> Iterator[Callable[..., RedisLink]]:
    """Makes links to the server that lead through the proxy."""
    links: list[RedisLink] = []

    def make(**terms: Any) -> RedisLink:
        links.append(RedisLink.from_url(f"redis://{HOST}:{proxy.port}", **terms))
        return links[-1]

    yield make
    for link in links:
        link.close()
