"""Both ways to a namespace: for threads and for event loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_guard.checkpoint.cloudflare.clock import Clock
from langgraph_guard.checkpoint.cloudflare.commands import Command
from langgraph_guard.checkpoint.cloudflare.delivery import Terms
from langgraph_guard.checkpoint.cloudflare.loops import Loops
from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.checkpoint.cloudflare.rest import Address
from langgraph_guard.checkpoint.cloudflare.rest_transport import RestTransport
from langgraph_guard.checkpoint.cloudflare.threads import Stored, Threads
from langgraph_guard.checkpoint.cloudflare.transport import AsyncTransport, Transport
from langgraph_guard.errors import ConfigError


class Link:
    """Executes flows' commands by one transport or the other. One is enough for who uses one world only.

    `window`: of the group commit; `None` is without one.
    `owner`: the transport that was made for this saver, and is closed with it; one that a user passed is not.
    """

    def __init__(
        self,
        transport: Transport | None,
        async_transport: AsyncTransport | None,
        terms: Terms,
        clock: Clock,
        window: float | None,
        stored: Stored,
    ) -> None:
        self.owner: RestTransport | None = None
        if transport is None and async_transport is None:
            raise ConfigError("transport", "give one, or use from_account or from_conn_string")
        self._transports, self._terms, self._clock, self._stored = (transport, async_transport), terms, clock, stored
        self._threads = None if transport is None else Threads(transport, terms, clock, window, stored)
        self._loops = None if async_transport is None else Loops(async_transport, terms, clock, window, stored)

    def impatient(self, throttled: float) -> Link:
        """The same ways, for who does not wait for others, nor longer than `throttled` seconds for a rate limit."""
        terms = Terms(self._terms.deadline, min(self._terms.throttled, throttled))
        return Link(*self._transports, terms, self._clock, None, self._stored)

    @property
    def pace(self) -> Pace:
        """What the server told."""
        blocking, asynchronous = self._transports
        known = blocking if blocking is not None else asynchronous
        assert known is not None  # the constructor refuses a link without a way
        return known.pace

    @property
    def url(self) -> str | None:
        """The namespace's, as far as a transport has one."""
        addresses = (getattr(each, "address", None) for each in self._transports)
        return next((each.url for each in addresses if isinstance(each, Address)), None)

    def execute(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to `commands`; raises a `StoreError`."""
        if self._threads is None:
            raise ConfigError("transport", "is missing: this saver was made for event loops only")
        return self._threads.execute(commands)

    async def aexecute(self, commands: Sequence[Command]) -> list[Any]:
        """The same on the running event loop."""
        if self._loops is None:
            raise ConfigError("async_transport", "is missing: this saver was made for threads only")
        return await self._loops.execute(commands)

    def close(self) -> None:
        """Close the threads' connections. One that is used again opens new ones."""
        if self.owner is not None:
            self.owner.close()

    async def aclose(self) -> None:
        """Let writes that are on their way arrive, and close the running loop's connections, and the threads'."""
        if self._loops is not None:
            await self._loops.close()
        if self.owner is not None:
            await self.owner.aio.aclose()
        self.close()
