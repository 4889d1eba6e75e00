"""Real servers, started once per test process, and savers on them that are closed after the test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.testing import FaultProxy
from langgraph_guard.testing.contracts.saver import STORED_TYPES
from tests.servers.redis import (
    HOST,
    RedisSentinel,
    RedisServer,
    redis_cluster,
    redis_sentinel,
    redis_server,
    servers_last_word,
)

__all__ = ["redis_cluster", "redis_sentinel", "redis_server", "servers_last_word"]

Open: TypeAlias = Callable[..., RedisSaver]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ten thousand tests take half a minute to be found and not run."""
    skipped = collection_path.name == "test_contract_everywhere.py" and config.option.markexpr == "not slow"
    return True if skipped else None


@pytest.fixture(scope="session")
def watched() -> Iterator[RedisSentinel]:
    """A master, its replica and three Sentinels, for tests that let them live."""
    with RedisSentinel(down_after=60_000) as sentinel:  # a busy machine must not change them over
        yield sentinel


@pytest.fixture
def prefix() -> str:
    """A key space of this test's own."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def open_saver(redis_server: RedisServer, prefix: str) -> Iterator[Open]:
    """Makes savers on one key space; each is a process that just started. `url` leads elsewhere, or a client does."""
    opened: list[RedisSaver] = []

    def make(*clients: Any, url: str = "", **options: Any) -> RedisSaver:
        terms = {"prefix": prefix, "allowed_types": STORED_TYPES, **options}
        if clients or "async_client" in options:
            opened.append(RedisSaver(*clients, **terms))
        else:
            opened.append(RedisSaver.from_conn_string(url or redis_server.url, **terms))
        return opened[-1]

    yield make
    for saver in opened:
        saver.close()


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The network between the savers and the server."""
    with FaultProxy(HOST, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(open_saver: Open, proxy: FaultProxy) -> Open:
    """Makes savers whose way to the server leads through the proxy."""
    return lambda **options: open_saver(url=f"redis://{HOST}:{proxy.port}", **options)
