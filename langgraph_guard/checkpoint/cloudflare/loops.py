"""The async world: tasks of one event loop share a transport and a group commit; each loop has its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from langgraph_guard.checkpoint.cloudflare.clock import Clock
from langgraph_guard.checkpoint.cloudflare.commands import Action, Command, Delivery, PutMany, Request, Wait
from langgraph_guard.checkpoint.cloudflare.commits import Queue, Ticket, commit
from langgraph_guard.checkpoint.cloudflare.delivery import STORE, Terms, deliver
from langgraph_guard.checkpoint.cloudflare.per_loop import PerLoop
from langgraph_guard.checkpoint.cloudflare.threads import Stored
from langgraph_guard.checkpoint.cloudflare.transport import AsyncTransport
from langgraph_guard.errors import StoreUnavailable
from langgraph_guard.flow import arun


class Loops:
    """Executes the commands of flows on the running event loop."""

    def __init__(
        self, transport: AsyncTransport, terms: Terms, clock: Clock, window: float | None, stored: Stored
    ) -> None:
        self._transport, self._terms, self._clock = transport, terms, clock
        self._window, self._stored = window, stored
        self._commits = PerLoop(self._new_commits)

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        return [await self._do(command) for command in commands]

    async def _do(self, command: Command) -> Any:
        if isinstance(command, Wait):
            return await self._clock.asleep(command.seconds)
        if isinstance(command, PutMany):
            return await self._put(command)
        return await arun(self._deliver(command), self._perform)

    async def _put(self, put: PutMany) -> None:
        if self._window is None:
            ticket = Ticket(put)
            await self._send([ticket])
            if ticket.error is not None:
                raise ticket.error
        else:
            await (await self._commits.get()).put(put)

    def _deliver(self, request: Request) -> Delivery[Any]:
        return deliver(request, self._terms, self._transport.pace, self._clock.now)

    async def _perform(self, actions: Sequence[Action]) -> list[Any]:
        return [
            await (self._clock.asleep(action.seconds) if isinstance(action, Wait) else action.of(self._transport))
            for action in actions
        ]

    async def close(self) -> None:
        """Let what is on its way from the running loop arrive."""
        await self._commits.close()

    def _new_commits(self) -> Commits:
        return Commits(self._window or 0.0, self._send)

    async def _send(self, tickets: list[Ticket]) -> None:
        await arun(commit(tickets, self._deliver, self._stored), self._perform)


class Commits:
    """The group commit of one loop. A task of its own sends, so that a caller who is cancelled takes nobody along."""

    def __init__(self, window: float, send: Callable[[list[Ticket]], Awaitable[None]]) -> None:
        self._queue = Queue(window)
        self._send_all = send
        self._more = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def put(self, put: PutMany) -> None:
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = Ticket(put, partial(_tell, settled))
        self._queue.add(ticket, time.monotonic())
        self._more.set()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        await settled
        if ticket.error is not None:
            raise ticket.error

    async def aclose(self) -> None:
        """Let what is on its way arrive."""
        if self._sender is not None:
            with suppress(Exception):
                await asyncio.shield(self._sender)

    async def _send(self) -> None:
        try:
            while self._queue:
                if (wait := self._queue.wait(time.monotonic())) > 0:
                    await self._wait_for_more(wait)
                else:
                    await self._send_next()
        finally:
            self._sender = None
            self._abandon()

    async def _send_next(self) -> None:
        tickets = self._queue.take()
        try:
            await self._send_all(tickets)
        finally:
            self._queue.landed(tickets, time.monotonic())

    def _abandon(self) -> None:
        """Someone cancelled every task there is; who waits all the same must not wait for ever."""
        while self._queue:
            for ticket in self._queue.take():
                ticket.settle(StoreUnavailable(STORE, ticket.put.name, 0.0))

    async def _wait_for_more(self, seconds: float) -> None:
        self._more.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._more.wait()


def _tell(settled: asyncio.Future[None]) -> None:
    if not settled.done():  # a caller who was cancelled waits for nothing
        settled.set_result(None)
