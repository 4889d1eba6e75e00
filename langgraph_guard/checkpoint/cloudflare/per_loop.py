"""One thing for each event loop, closed before its loop ends: connections and futures belong to one loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What is closed on its loop."""

    async def aclose(self) -> None: ...


Thing = TypeVar("Thing", bound=Closable)


class PerLoop(Generic[Thing]):
    """Things that `make` makes, one for each loop that asks."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._homes: dict[asyncio.AbstractEventLoop, _Home[Thing]] = {}

    async def get(self) -> Thing:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is None:
            for other in [other for other in list(self._homes) if other.is_closed()]:
                self._homes.pop(other, None)
            home = self._homes[loop] = _Home(self._make())
            await home.open()
        return home.thing

    async def close(self) -> None:
        """Close the running loop's."""
        if home := self._homes.pop(asyncio.get_running_loop(), None):
            await home.close()


class _Home(Generic[Thing]):
    """`asyncio.run` closes async generators before it closes the loop: one that waits for that tells us of the end."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self._guest = self._stay()

    async def open(self) -> None:
        await anext(self._guest)

    async def close(self) -> None:
        await self._guest.aclose()

    async def _stay(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.thing.aclose()
