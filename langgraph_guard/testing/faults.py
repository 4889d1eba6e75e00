"""A network that fails when a test says so."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self, TypeAlias, cast

Direction: TypeAlias = Literal["request", "reply"]


class FaultProxy:
    """A TCP proxy between a client and the server at `host`:`port`; what it does to the bytes between them is yours.

        with FaultProxy("127.0.0.1", 6379) as proxy:
            saver = RedisSaver.from_conn_string(f"redis://127.0.0.1:{proxy.port}")
            proxy.cut_after(20, "reply")     # the next reply tears after 20 bytes
            proxy.blackhole()                # nothing arrives any more, and nobody says so
            proxy.heal()

    Switches hold until `heal`, have taken effect when they return, and may be called from any thread. It counts what
    passes: `connections`, `request_bytes`, `reply_bytes`, and `round_trips`: how often a client went on sending after
    it had been answered (or began to).
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._cut: tuple[Direction, int] | None = None
        self._dark = False
        self._delay = 0.0
        self.port = 0
        self.forget()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *exc: object) -> None:
        self._do(self._close_listener, self._hang_up, self._finish)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Switches

    def refuse(self) -> None:
        """Break what is connected and refuse new connections, as a host without the server does."""
        self._do(self._close_listener, self._hang_up)

    def blackhole(self) -> None:
        """Hold every byte back, both ways. Connections open and stay open."""
        self._do(lambda: setattr(self, "_dark", True))

    def reset(self) -> None:
        """Break what is connected, with a TCP reset. New connections work."""
        self._do(self._hang_up)

    def cut_after(self, size: int, direction: Direction) -> None:
        """Let `size` more bytes pass in `direction`, then break their connection. What comes later works."""
        self._do(lambda: setattr(self, "_cut", (direction, size)))

    def delay(self, seconds: float) -> None:
        """Let every byte arrive so much later, both ways."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def heal(self) -> None:
        """No more faults; what a blackhole held back arrives now."""
        self._do(self._heal, self._listen)

    def forget(self) -> None:
        """Start all counts again at 0."""
        self.connections = self.request_bytes = self.reply_bytes = self.round_trips = 0

    # On the proxy's own thread

    def _do(self, *steps: Callable[[], object]) -> None:
        asyncio.run_coroutine_threadsafe(self._steps(*steps), self._loop).result()

    async def _steps(self, *steps: Callable[[], object]) -> None:
        for step in steps:
            done = step()
            if asyncio.iscoroutine(done):
                await done

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await self._loop.create_server(lambda: _Pair(self).client, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            listener.close()

    def _hang_up(self) -> None:
        for pair in list(self._pairs):
            pair.reset()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _heal(self) -> None:
        self._cut, self._dark, self._delay = None, False, 0.0
        for pair in list(self._pairs):
            pair.release()

    def _let_pass(self, direction: Direction, size: int) -> int | None:
        """How many of `size` bytes pass before their connection breaks; `None` when it does not."""
        if self._cut is None or self._cut[0] != direction:
            return None
        left = self._cut[1]
        self._cut = None if size >= left else (direction, left - size)
        return left if size >= left else None


class _Pair:
    """A client's connection and its twin to the server."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.client = _End(self, "request")
        self.server = _End(self, "reply")
        self._held: list[tuple[Direction, bytes]] = []
        self._heard: Direction = "reply"

    async def connect(self) -> None:
        try:
            await self.proxy._loop.create_connection(lambda: self.server, *self.proxy._server)
        except OSError:
            self.reset()
        if self.client.transport is None or self.client.transport.is_closing():
            self.close()
        else:
            self.release()

    def carry(self, direction: Direction, data: bytes) -> None:
        self._count(direction, len(data))
        if self.proxy._dark or self._held or self.server.transport is None:
            self._held.append((direction, data))
        elif self.proxy._delay:
            self.proxy._loop.call_later(self.proxy._delay, self._deliver, direction, data)
        else:
            self._deliver(direction, data)

    def release(self) -> None:
        if self.proxy._dark or self.server.transport is None:
            return
        held, self._held = self._held, []
        for direction, data in held:
            self._deliver(direction, data)

    def close(self) -> None:
        """Both ends see the end after what was sent to them."""
        self.proxy._pairs.discard(self)
        for end in (self.client, self.server):
            if end.transport:
                end.transport.close()

    def reset(self) -> None:
        """Both ends see a reset."""
        self.proxy._pairs.discard(self)
        for end in (self.client, self.server):
            if end.transport:
                _reset(end.transport)

    def _deliver(self, direction: Direction, data: bytes) -> None:
        sink = self.server if direction == "request" else self.client
        if sink.transport is None or sink.transport.is_closing():
            return
        passes = self.proxy._let_pass(direction, len(data))
        sink.transport.write(data[:passes])
        if passes is not None:
            self.close()

    def _count(self, direction: Direction, size: int) -> None:
        proxy = self.proxy
        if direction == "reply":
            proxy.reply_bytes += size
        else:
            proxy.request_bytes += size
            proxy.round_trips += self._heard == "reply"
        self._heard = direction


class _End(asyncio.Protocol):
    """One of the two; what it receives flows in `direction`."""

    def __init__(self, pair: _Pair, direction: Direction) -> None:
        self._pair, self._direction = pair, direction
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._direction == "request":
            proxy = self._pair.proxy
            proxy.connections += 1
            proxy._pairs.add(self._pair)
            self._connecting = proxy._loop.create_task(self._pair.connect())

    def data_received(self, data: bytes) -> None:
        self._pair.carry(self._direction, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.close()


def _reset(transport: asyncio.Transport) -> None:
    # To linger for 0 seconds is to send a reset instead of a goodbye.
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
