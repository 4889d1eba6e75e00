"""Calls of savers, written once for sync and async, and what can be measured of a call: seconds, or traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Protocol, Self, TypeVar

from benchmarks.peers import How, Peer
from langgraph_guard.flow import Flow, arun, run
from langgraph_guard.testing.faults import FaultProxy

Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """A method of a saver, by its sync name."""

    name: str
    arguments: tuple[Any, ...]


class Gauge(Protocol):
    """Measures a `with` block."""

    value: Any

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc: object) -> None: ...


class Clock:
    """Seconds of wall time: savers wait."""

    value = 0.0

    def __enter__(self) -> Self:
        self._began = perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.value = perf_counter() - self._began


@dataclass(frozen=True)
class Traffic:
    """What went over the wire."""

    sent: int
    received: int
    trips: int


class Wire:
    """Traffic through a proxy."""

    value = Traffic(0, 0, 0)

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def __enter__(self) -> Self:
        self._proxy.forget()
        return self

    def __exit__(self, *exc: object) -> None:
        proxy = self._proxy
        self.value = Traffic(proxy.request_bytes, proxy.reply_bytes, proxy.round_trips)


class Session:
    """An open saver, and the way to call it."""

    def __init__(self, saver: Any, runner: asyncio.Runner | None) -> None:
        self.saver = saver
        self._runner = runner

    def perform(self, flow: Flow[Call, Any, Result], gauge: Gauge) -> Result:
        """Make the calls of `flow`; the reply to each is what `gauge` says of it."""
        if self._runner is None:
            return run(flow, lambda calls: [self._call(call, gauge) for call in calls])
        return self._runner.run(arun(flow, partial(self._acalls, gauge=gauge)))

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` on the event loop that the saver belongs to."""
        assert self._runner
        return self._runner.run(work)

    def _call(self, call: Call, gauge: Gauge) -> Any:
        method = getattr(self.saver, call.name)
        with gauge:
            if call.name == "list":
                list(method(call.arguments[0], limit=call.arguments[1]))
            else:
                method(*call.arguments)
        return gauge.value

    async def _acalls(self, calls: Sequence[Call], gauge: Gauge) -> list[Any]:
        return [await self._acall(call, gauge) for call in calls]

    async def _acall(self, call: Call, gauge: Gauge) -> Any:
        method = getattr(self.saver, f"a{call.name}")
        with gauge:
            if call.name == "list":
                [each async for each in method(call.arguments[0], limit=call.arguments[1])]
            else:
                await method(*call.arguments)
        return gauge.value


@contextmanager
def session(peer: Peer, how: How, port: int) -> Iterator[Session]:
    if how == "sync":
        with peer.open(port) as saver:
            yield Session(saver, None)
        return
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield Session(runner.run(stack.enter_async_context(peer.aopen(port))), runner)
        finally:
            runner.run(stack.aclose())
