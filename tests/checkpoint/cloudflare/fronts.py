"""Savers on the Workers KV of the tests: in memory, with weather and faults, on a clock that only a test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver import STORED_TYPES
from langgraph_guard.testing.contracts.saver.harness import blank
from tests.servers.kv_front import NAMESPACE, KVFront, Quota
from tests.servers.kv_store import Weather

BUSY = 300.0
"""Seconds that a saver waits for a server behind a socket: a machine that is busy may be slow to answer itself."""


def front(quota: Quota | None = None, **weather: Any) -> KVFront:
    """One namespace, and what stands before it. `weather`: as `Weather` has it."""
    return KVFront(FakeClock(), Weather(**weather), quota)


def transport(front: KVFront) -> RestTransport:
    """Without a socket, blocking or not."""
    place = front.place
    wire = front.transport
    return RestTransport.of_url(
        place.url, api_token=place.api_token, blocking=wire, asynchronous=wire, now=front.clock.now
    )


def saver(front: KVFront, **options: Any) -> CloudflareKVSaver:
    """A process that just started. Nothing is waited for but what a test asks for."""
    return over(transport(front), front, **options)


def over(transport: RestTransport, front: KVFront, **options: Any) -> CloudflareKVSaver:
    """The same over a transport of the test's own."""
    terms = {"group_window": 0.0, "allowed_types": STORED_TYPES, "clock": front.clock, **options}
    return CloudflareKVSaver(transport, **terms)


def names(front: KVFront) -> list[str]:
    """Every key that is there, visible yet or not."""
    return front.store.names(NAMESPACE)


def checkpoint(id: str, **values: Any) -> Any:
    """One with these values."""
    return {**blank(1), "id": id, "channel_values": values, "channel_versions": dict.fromkeys(values, "1")}


def answering(front: KVFront, answer: Callable[[httpx.Request], httpx.Response | None]) -> RestTransport:
    """A transport to where something else may answer first: `None` leaves it to the front."""
    wire = front.transport

    def respond(request: httpx.Request) -> httpx.Response:
        return answer(request) or wire.handler(request)  # type: ignore[return-value]

    place, other = front.place, httpx.MockTransport(respond)
    return RestTransport.of_url(
        place.url, api_token=place.api_token, blocking=other, asynchronous=other, now=front.clock.now
    )


def young(front: KVFront, age: float = 0.0) -> str:
    """A checkpoint id that was made so many seconds ago, by the clock of the test."""
    ticks = int((front.clock.now() - age) * 10_000_000) + 0x01B21DD213814000
    fields = (ticks >> 28 & 0xFFFFFFFF) << 96 | (ticks >> 12 & 0xFFFF) << 80 | 6 << 76 | (ticks & 0xFFF) << 64
    return str(UUID(int=fields | 0x8000 << 48))
