"""The async world: connections that the tasks of one event loop share; each loop has its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import redis

from langgraph_guard._redis.actions import Action, Ask, Drop, Pause
from langgraph_guard._redis.clients import Place, Settings
from langgraph_guard._redis.errors import PoolBusy
from langgraph_guard._redis.routes import route_of


class Loops:
    """Performs a delivery's actions on the running event loop. What a loop opened is closed before the loop ends."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.route = route_of(settings.topology)
        self._homes: dict[asyncio.AbstractEventLoop, Home] = {}

    async def perform(self, actions: Sequence[Action]) -> list[Any]:
        replies: list[Any] = []
        for action in actions:
            match action:
                case Ask():
                    replies = await (await self._lane(action.place)).exchange(action)
                case Drop():
                    await (await self._lane(action.place)).drop()
                case Pause():
                    await asyncio.sleep(action.seconds)
        return replies

    async def close(self) -> None:
        """Close what the running loop opened."""
        if home := self._homes.pop(asyncio.get_running_loop(), None):
            await home.close()

    async def _lane(self, place: Place) -> AsyncLane:
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is None:
            home = await self._settle(loop)
        lane = home.lanes.get(place)
        if lane is None:
            lane = home.lanes[place] = AsyncLane(place, self.settings)
        return lane

    async def _settle(self, loop: asyncio.AbstractEventLoop) -> Home:
        for other in list(self._homes):
            if other.is_closed():
                self._homes.pop(other, None)
        home = self._homes[loop] = Home()
        await home.open()
        return home


class Home:
    """What one loop opened.

    `asyncio.run` closes async generators before it closes the loop: one that waits for that is how we come to know of
    the end while connections can still be closed.
    """

    def __init__(self) -> None:
        self.lanes: dict[Place, AsyncLane] = {}
        self._guest = self._stay()

    async def open(self) -> None:
        await anext(self._guest)

    async def close(self) -> None:
        await self._guest.aclose()

    async def _stay(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            lanes, self.lanes = self.lanes, {}
            for lane in lanes.values():
                await lane.drop()


class AsyncLane:
    """The connections of one loop to one server; at most `connections` are in use at once, and who comes then waits."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self._place, self._settings = place, settings
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(settings.connections)

    async def exchange(self, ask: Ask) -> list[Any]:
        """The replies, error replies among them. A connection that was interrupted is never used again."""
        await self._enter(ask.patience)
        try:
            connection = self._take()
            try:
                replies = await _in_time(connection, ask)
            except BaseException:
                await _hang_up(connection, nowait=True)
                raise
            self._idle.append(connection)
            return replies
        finally:
            self._room.release()

    async def drop(self) -> None:
        while self._idle:
            await _hang_up(self._idle.pop())

    async def _enter(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience if self._room.locked() else None):
                await self._room.acquire()
        except TimeoutError as error:
            raise PoolBusy(self._settings.connections) from error

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._settings.connection(self._place)


async def _in_time(connection: Any, ask: Ask) -> list[Any]:
    try:
        async with asyncio.timeout(ask.patience):
            return await _converse(connection, ask)
    except TimeoutError as error:
        if not connection.is_connected:
            raise redis.TimeoutError("Timeout connecting to server") from error  # as the driver's other world says it
        raise


async def _converse(connection: Any, ask: Ask) -> list[Any]:
    if not connection.is_connected:
        await connection.connect()
    await connection.send_packed_command([ask.data], check_health=False)
    replies = []
    for _ in range(ask.expected):
        try:
            replies.append(await connection.read_response(disable_decoding=True))
        except redis.ResponseError as error:
            replies.append(error)
    return replies


async def _hang_up(connection: Any, nowait: bool = False) -> None:
    with suppress(redis.RedisError, OSError, RuntimeError):
        await connection.disconnect(nowait=nowait)
