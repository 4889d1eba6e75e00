"""Where the contract is run: every kind of server, client and option that `RedisSaver` promises to work with."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from typing import Any, ClassVar

import pytest
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.core.serde import StrictSerializer
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.testing.contracts.saver import STORED_TYPES
from langgraph_guard.testing.contracts.saver.harness import Harness
from tests.servers.redis import HOST, RedisCluster, RedisSentinel, RedisServer


class OnRedis(Harness):
    """Each test has a prefix of its own on one server."""

    options: ClassVar[dict[str, Any]] = {}

    def connect(self, **options: Any) -> RedisSaver:
        return RedisSaver.from_conn_string(self.server.url, **options)

    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def make_saver(self) -> RedisSaver:
        return self._saver(f"t{secrets.token_hex(6)}", "")

    def another(self, saver: Any) -> RedisSaver:
        keys = saver._store.keys
        return self._saver(keys.prefix, keys.tenant)

    def of_tenant(self, saver: Any, tenant: str) -> RedisSaver:
        return self._saver(saver._store.keys.prefix, tenant)

    def close(self, saver: Any) -> None:
        saver.close()

    async def aclose(self, saver: Any) -> None:
        await saver.aclose()

    def _saver(self, prefix: str, tenant: str) -> RedisSaver:
        return self.connect(prefix=prefix, tenant=tenant, allowed_types=STORED_TYPES, **self.options)


class Sealed(OnRedis):
    """Encrypted, and small. One key for all processes of a test run."""

    options: ClassVar[dict[str, Any]] = {"seal": Seal(os.urandom(32)), "compress": True}


class Strict(OnRedis):
    """Every element compared at each put."""

    options: ClassVar[dict[str, Any]] = {"strict": True}


class Expiring(OnRedis):
    """Threads that go in an hour."""

    options: ClassVar[dict[str, Any]] = {"ttl": 3_600}


class WithAUsersClient(OnRedis):
    """One that was made for other purposes: it decodes, and it speaks RESP3."""

    def connect(self, **options: Any) -> RedisSaver:
        client = redis.Redis(host=HOST, port=self.server.port, decode_responses=True, protocol=3)
        return RedisSaver(client, **options)


class Encrypted(OnRedis):
    """By LangGraph's own serializer, around the one that has an allow-list."""

    def connect(self, *, allowed_types: Any = (), **options: Any) -> RedisSaver:
        serde = EncryptedSerializer(_Stream(), StrictSerializer(allowed_types))
        return RedisSaver.from_conn_string(self.server.url, serde=serde, **options)


class OnACluster(OnRedis):
    """Three masters; each thread is on one of them."""

    @pytest.fixture(autouse=True)
    def _cluster(self, redis_cluster: RedisCluster) -> None:
        self.cluster = redis_cluster

    def connect(self, **options: Any) -> RedisSaver:
        client = redis.RedisCluster(host=HOST, port=self.cluster.nodes[0].port)
        try:
            return RedisSaver(client, **options)
        finally:
            client.close()  # it was read, not kept


class OnAClusterByAsyncio(OnACluster):
    """The same from the other world's client."""

    def connect(self, **options: Any) -> RedisSaver:
        client = redis.asyncio.RedisCluster(host=HOST, port=self.cluster.nodes[0].port)
        return RedisSaver(async_client=client, **options)


class BehindSentinels(OnRedis):
    """A master that Sentinels name."""

    @pytest.fixture(autouse=True)
    def _watched(self, watched: RedisSentinel) -> None:
        self.watched_by = watched

    def connect(self, **options: Any) -> RedisSaver:
        return RedisSaver(
            redis.sentinel.Sentinel(self.watched_by.addresses).master_for(RedisSentinel.service), **options
        )


class _Stream(CipherProtocol):
    """No cipher to use, and one that is its own opposite: what matters is that nothing can be read without it."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "stream", self._mixed(plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "stream"
        return self._mixed(ciphertext)

    def _mixed(self, data: bytes) -> bytes:
        blocks = (sha256(b"%d" % at).digest() for at in range(len(data) // 32 + 1))
        return bytes(one ^ other for one, other in zip(data, b"".join(blocks), strict=False))
