"""`RestTransport`: the five calls by httpx, for threads and for event loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx

from langgraph_guard.checkpoint.cloudflare import rest
from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.checkpoint.cloudflare.per_loop import PerLoop
from langgraph_guard.checkpoint.cloudflare.transport import Page, Pair
from langgraph_guard.forks import renew_in_children

PATIENCE: Final = httpx.Timeout(30.0, connect=5.0)
"""Seconds without a byte in either direction. A body of many megabytes may take longer than a saver's deadline."""

CONNECTIONS: Final = httpx.Limits(max_connections=20, keepalive_expiry=30.0)


class RestTransport:
    """A namespace over the REST API: Cloudflare's own, its local simulator's, or a gateway Worker's.

    `account_id` and `api_token` are left out where the server knows neither. `blocking`, `asynchronous`: httpx
    transports in place of the network, for tests. `now`: the clock that rate limits are counted by.
    """

    def __init__(
        self,
        namespace_id: str,
        *,
        account_id: str | None = None,
        api_token: str | None = None,
        base_url: str = rest.CLOUDFLARE,
        blocking: httpx.BaseTransport | None = None,
        asynchronous: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.address: Final = rest.Address(namespace_id, account_id, api_token, base_url)
        self.pace: Final = Pace()
        self._blocking, self._now = blocking, now
        self._client: httpx.Client | None
        self.renew()
        renew_in_children(self)
        self.aio: Final = AsyncRestTransport(self.address, self.pace, asynchronous, now)
        """The same on event loops."""

    @classmethod
    def of_url(cls, url: str, *, api_token: str | None = None, **terms: Any) -> RestTransport:
        """Of a namespace's URL."""
        address = rest.Address.of_url(url, api_token)
        return cls(
            address.namespace_id,
            account_id=address.account_id,
            api_token=api_token,
            base_url=address.base_url,
            **terms,
        )

    def list_keys(self, prefix: str, limit: int, cursor: str) -> Page:
        return rest.page(self._send(rest.list_keys(prefix, limit, cursor)))

    def get_many(self, keys: Sequence[str]) -> dict[str, str | None]:
        return rest.values(self._send(rest.get_many(keys)), keys)

    def get_one(self, key: str) -> str | None:
        return rest.value(self._send(rest.get_one(key)))

    def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        return rest.undone(self._send(rest.put_many(pairs)))

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        return rest.undone(self._send(rest.delete_many(keys)))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def renew(self) -> None:
        """No connection is open: those from before a fork are the parent's."""
        self._client = None
        self._opening = threading.Lock()

    def _send(self, sent: rest.Sent) -> httpx.Response:
        since = self._now()
        try:
            response = self._connected().request(sent.method, self.address.url + sent.path, **sent.terms)
        except httpx.HTTPError as error:
            raise rest.lost(error) from error
        self.pace.hear(response.headers, self._now(), since)
        return response

    def _connected(self) -> httpx.Client:
        client = self._client
        if client is None:
            with self._opening:
                client = self._client = self._client or self._connect()
        return client

    def _connect(self) -> httpx.Client:
        return httpx.Client(
            headers=self.address.headers,
            timeout=PATIENCE,
            limits=CONNECTIONS,
            transport=self._blocking,
            verify=self.address.is_https,
        )


class AsyncRestTransport:
    """The five calls on event loops; each loop has its own connections."""

    def __init__(
        self, address: rest.Address, pace: Pace, transport: httpx.AsyncBaseTransport | None, now: Callable[[], float]
    ) -> None:
        self.address: Final = address
        self.pace: Final = pace
        self._transport, self._now = transport, now
        self._clients = PerLoop(self._connect)

    async def list_keys(self, prefix: str, limit: int, cursor: str) -> Page:
        return rest.page(await self._send(rest.list_keys(prefix, limit, cursor)))

    async def get_many(self, keys: Sequence[str]) -> dict[str, str | None]:
        return rest.values(await self._send(rest.get_many(keys)), keys)

    async def get_one(self, key: str) -> str | None:
        return rest.value(await self._send(rest.get_one(key)))

    async def put_many(self, pairs: Sequence[Pair]) -> list[str]:
        return rest.undone(await self._send(rest.put_many(pairs)))

    async def delete_many(self, keys: Sequence[str]) -> list[str]:
        return rest.undone(await self._send(rest.delete_many(keys)))

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._clients.close()

    async def _send(self, sent: rest.Sent) -> httpx.Response:
        client = await self._clients.get()
        since = self._now()
        try:
            response = await client.request(sent.method, self.address.url + sent.path, **sent.terms)
        except httpx.HTTPError as error:
            raise rest.lost(error) from error
        self.pace.hear(response.headers, self._now(), since)
        return response

    def _connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self.address.headers,
            timeout=PATIENCE,
            limits=CONNECTIONS,
            transport=self._transport,
            verify=self.address.is_https,
        )
