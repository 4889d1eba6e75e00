"""Where requests to Workers KV are counted, and where they go: as they leave the process, whatever sends them."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx

from benchmarks.cloudflare_prices import Operations
from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport
from langgraph_guard.checkpoint.cloudflare.clock import SystemClock
from tests.servers.kv import KVPlace, KVSimulator
from tests.servers.kv_front import KVFront

PATIENCE: Final = 600.0
"""Seconds that a saver waits for a simulator on a busy machine; a request that is sent twice would count twice."""

_CALL: Final = re.compile(r"/namespaces/[^/]+/(bulk/get|bulk/delete|bulk|keys|values)")
_OBJECT: Final = re.compile(r"[^/]+/[^/]+/t/[^/]+/")
"""The part of a key that names its object, as the gateway has it."""


@dataclass
class Log:
    """The requests of one saver. `objects`: those of the gateway's that they would reach. `size`: of values written.

    `away`: seconds that each request takes beyond what it takes here.
    """

    away: float = 0.0
    calls: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    size: int = 0
    values: int = 0
    objects: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: httpx.Request) -> None:
        found = _CALL.search(request.url.path)
        call = f"{request.method} {found[1] if found else '?'}"
        body = json.loads(request.content) if request.content else None
        with self._lock:
            self._add(call, body)

    def _add(self, call: str, body: Any) -> None:
        keys: list[str] = []
        if call == "PUT bulk":
            keys = [pair["key"] for pair in body]
            self.written += keys
            self.size += sum(len(pair["value"]) for pair in body)
        elif call == "POST bulk/get":
            keys = body["keys"]
            self.values += len(keys)
        self.objects += len({_object(key) for key in keys}) or 1
        self.calls.append(call)

    def counted(self, runs: int = 1) -> Operations:
        """Of each run."""
        threads = len({_object(key) for key in self.written} - {""})
        totals = {
            "requests": len(self.calls),
            "bulk writes": self.calls.count("PUT bulk"),
            "keys written": len(self.written),
            "lists": self.calls.count("GET keys"),
            "values read": self.values,
            "object requests": self.objects + threads,  # a new thread's name is told to the home object, once
        }
        return {name: total / runs for name, total in totals.items()}


def _object(key: str) -> str:
    return found[0] if (found := _OBJECT.match(key)) else ""


class Counting(httpx.BaseTransport):
    """A blocking transport that is looked at."""

    def __init__(self, wire: httpx.BaseTransport, log: Log) -> None:
        self._wire, self._log = wire, log

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._log.note(request)
        return self._wire.handle_request(request)

    def close(self) -> None:
        self._wire.close()


class AsyncCounting(httpx.AsyncBaseTransport):
    """The same on an event loop."""

    def __init__(self, wire: httpx.AsyncBaseTransport, log: Log) -> None:
        self._wire, self._log = wire, log

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._log.note(request)
        await asyncio.sleep(self._log.away)
        return await self._wire.handle_async_request(request)

    async def aclose(self) -> None:
        await self._wire.aclose()


# Where it goes


class Connect(Protocol):
    """A saver in a namespace that holds nothing yet, or in the one that `again` was connected to."""

    def __call__(self, log: Log, *, again: Log | None = None, **options: Any) -> CloudflareKVSaver: ...


@contextmanager
def in_memory() -> Iterator[Connect]:
    """The KV of the unit tests: no socket, no waiting."""
    fronts: dict[int, KVFront] = {}

    def connect(log: Log, *, again: Log | None = None, **options: Any) -> CloudflareKVSaver:
        front = fronts[id(log)] = fronts[id(again)] if again else KVFront(SystemClock())
        return _saver(front.place, log, lambda: front.transport, lambda: front.transport, options)

    yield connect


@contextmanager
def in_simulator() -> Iterator[Connect]:
    """Cloudflare's own, in `wrangler dev`."""
    places: dict[int, KVPlace] = {}
    with KVSimulator() as simulator:

        def connect(log: Log, *, again: Log | None = None, **options: Any) -> CloudflareKVSaver:
            place = places[id(log)] = places[id(again)] if again else simulator.explorer()
            return _saver(place, log, _blocking, _asynchronous, options)

        yield connect


_LIMITS: Final = httpx.Limits(max_connections=20, keepalive_expiry=30.0)
"""As many as the saver's own."""


def _blocking() -> httpx.BaseTransport:
    return httpx.HTTPTransport(verify=False, limits=_LIMITS)


def _asynchronous() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=False, limits=_LIMITS)


def _saver(
    place: KVPlace,
    log: Log,
    blocking: Callable[[], httpx.BaseTransport],
    asynchronous: Callable[[], httpx.AsyncBaseTransport],
    options: dict[str, Any],
) -> CloudflareKVSaver:
    wires = {"blocking": Counting(blocking(), log), "asynchronous": AsyncCounting(asynchronous(), log)}
    transport = RestTransport.of_url(place.url, api_token=place.api_token, **wires)
    return CloudflareKVSaver(transport, deadline=PATIENCE, **options)
