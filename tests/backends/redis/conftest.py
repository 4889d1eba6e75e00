"""Real servers, started once per test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_guard.testing import FakeClock
from tests.backends.redis.circuits import new_prefix
from tests.servers.redis import RedisSentinel, redis_cluster, redis_sentinel, redis_server, servers_last_word

__all__ = ["redis_cluster", "redis_sentinel", "redis_server", "servers_last_word"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Thousands of tests take a while to be found and not run."""
    skipped = collection_path.name.endswith("_everywhere.py") and config.option.markexpr == "not slow"
    return True if skipped else None


@pytest.fixture(scope="session")
def watched() -> Iterator[RedisSentinel]:
    """A master, its replica and three Sentinels, for tests that let them live."""
    with RedisSentinel(down_after=60_000) as sentinel:  # a busy machine must not change them over
        yield sentinel


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def prefix() -> str:
    """A key space of this test's own."""
    return new_prefix()
