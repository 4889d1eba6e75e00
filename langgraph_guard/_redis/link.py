"""`RedisLink`: one batch of commands, one round trip, sync and async.

    link = RedisLink.from_url("redis://localhost:6379/0")
    value, count = link.execute([("GET", "k"), ("INCR", "n")])
    (reply,) = await link.aexecute([(script, 1, "k", "argument")])

Replies come as Redis sent them: bytes, int, `None` and lists of these, whatever the client was told about decoding.
"""

from __future__ import annotations

from typing import Any

from langgraph_guard._redis.actions import Deadline, Known
from langgraph_guard._redis.clients import Settings, Sharded, check_client
from langgraph_guard._redis.delivery import deliver
from langgraph_guard._redis.loops import Loops
from langgraph_guard._redis.request import Batch
from langgraph_guard._redis.threads import Threads
from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run

DEADLINE = 10.0


class RedisLink:
    """Connections to one Redis, Cluster or Sentinel-watched master, for both worlds. Many may share it, threads too.

    `client` and `async_client` are read for their settings; they are neither used nor closed. One is enough: the other
    world's connections follow from it.
    """

    def __init__(self, client: Any = None, async_client: Any = None, *, deadline: float = DEADLINE) -> None:
        if client is None and async_client is None:
            raise ConfigError("client", "give one, or use from_url")
        for given, asynchronous in ((client, False), (async_client, True)):
            if given is not None:
                check_client(given, asynchronous)
        self._open(
            None if client is None else Settings.of_client(client),
            None if async_client is None else Settings.of_client(async_client),
            deadline,
        )

    @classmethod
    def from_url(cls, url: str, *, deadline: float = DEADLINE, **terms: Any) -> RedisLink:
        """`terms`: `max_connections`, and what redis-py's connections take (`socket_timeout`, `ssl_ca_certs`, …)."""
        link = cls.__new__(cls)
        link._open(Settings.of_url(url, **terms), None, deadline)
        return link

    def _open(self, settings: Settings | None, async_settings: Settings | None, deadline: float) -> None:
        is_number = isinstance(deadline, int | float) and not isinstance(deadline, bool)
        if not is_number or not 0 < deadline < float("inf"):
            raise ConfigError("deadline", "must be a number of seconds above 0")
        self._deadline = deadline
        self._known = Known()
        self._given = settings, async_settings
        self._threads = None if settings is None else Threads(settings)
        self._loops = None if async_settings is None else Loops(async_settings)

    def execute(self, batch: Batch) -> list[Any]:
        """Send `batch` and return its replies; raises a `StoreError`."""
        threads = self._threads or self._derive_threads()
        return run(deliver(batch, threads.route, self._until(threads.settings)), threads.perform)

    async def aexecute(self, batch: Batch) -> list[Any]:
        """The same on the running event loop."""
        loops = self._loops or self._derive_loops()
        return await arun(deliver(batch, loops.route, self._until(loops.settings)), loops.perform)

    def close(self) -> None:
        """Close the threads' connections. A link that is used again opens new ones."""
        if self._threads:
            self._threads.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the threads'."""
        if self._loops:
            await self._loops.close()
        self.close()

    @property
    def settings(self) -> Settings:
        """All that it was told of the server."""
        settings = self._given[0] or self._given[1]
        assert settings
        return settings

    @property
    def is_cluster(self) -> bool:
        return isinstance(self.settings.topology, Sharded)

    @property
    def atomic_across_slots(self) -> bool:
        """Whether a batch is atomic whatever its keys are. On a Cluster only its runs of one slot are."""
        return not self.is_cluster

    def _until(self, settings: Settings) -> Deadline:
        return Deadline(self._deadline, settings.terms.patience, self._known)

    def _derive_threads(self) -> Threads:
        assert self._given[1]
        self._threads = Threads(self._given[1].in_other_world())
        return self._threads

    def _derive_loops(self) -> Loops:
        assert self._given[0]
        self._loops = Loops(self._given[0].in_other_world())
        return self._loops
