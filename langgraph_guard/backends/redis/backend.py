"""`RedisBackend`: budgets, circuits, approvals and executions that all workers share."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from langgraph_guard._redis import RedisLink, check_prefix, checked_terms, part
from langgraph_guard.backends.local import FallbackLedger
from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.backends.redis.approvals import RedisDesk, RedisOutbox
from langgraph_guard.backends.redis.breakers import RedisBreakers
from langgraph_guard.backends.redis.check import inspect
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.backends.redis.ledger.keys import Slots
from langgraph_guard.checks import Report
from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run

LONGEST_CLOSED: Final = 60.0
"""Seconds. A circuit that is taken for closed for longer protects nobody."""


class RedisBackend:
    """Budgets, circuits, approvals and an outbox in Redis 6.2 or newer, Valkey, or what speaks like them; no modules.
    Sync and async.

        backend = RedisBackend.from_url("redis://localhost:6379")

    `client`, `async_client`: your own redis-py client, one or both; standalone, Cluster, or a Sentinel's `master_for`.
    It is never closed here. `tenant`: whose money it is, fixed by the program. `prefix`: what all keys begin with.
    `deadline`: seconds until an operation gives up, retries included.

    `slots`: on a Cluster, `"one"` keeps the whole ledger on one server, so that a reservation over all its scopes is
    one atomic step; `"tenant"` spreads it, and then each scope is. `create=False` begins no ledger where there is none,
    as on a server that was flushed. `clock`: whose time counts; by default the server's, so that no worker's clock
    matters.

    `closed_for`: seconds for which a circuit that was seen closed is not asked for again, which saves a round trip per
    call. After it opened, each process may let through the calls that it starts within so many seconds. 0 asks always.

    Raises `ConfigError` naming the field. What is asked of it while the server is away raises `BudgetUnavailable` or
    `StoreUnavailable` within the deadline; breakers then go on by themselves, and nothing that needs an approval runs.
    """

    def __init__(
        self,
        client: Any = None,
        async_client: Any = None,
        *,
        link: RedisLink | None = None,
        tenant: str = "",
        prefix: str = "lgg",
        slots: Slots = "one",
        create: bool = True,
        deadline: float = 2.0,
        clock: Clock | None = None,
        closed_for: float = 0.0,
    ) -> None:
        if not isinstance(tenant, str):
            raise ConfigError("tenant", f"must be a str, is a {type(tenant).__name__}")
        part(tenant, "tenant")
        check_prefix(prefix)
        if not isinstance(create, bool):
            raise ConfigError("create", f"must be a bool, is a {type(create).__name__}")
        if clock is not None and not isinstance(clock, Clock):
            raise ConfigError("clock", f"must have now, sleep and asleep; is a {type(clock).__name__}")
        _check_seconds("deadline", deadline, above=0.0, most=3_600.0)
        _check_seconds("closed_for", closed_for, above=-1e-9, most=LONGEST_CLOSED)
        self._link = link or RedisLink(client, async_client, deadline=deadline)
        self._prefix = prefix
        self.tenant = tenant
        self.clock: Clock = clock or SystemClock()
        ledger = RedisLedger(self._link, clock, prefix=prefix, tenant=tenant, slots=slots, create=create)
        self.ledger = FallbackLedger(ledger, self.clock)
        self.breakers = RedisBreakers(self._link, clock, prefix=prefix, closed_for=closed_for)
        self.desk = RedisDesk(self._link, clock, prefix=prefix)
        self.outbox = RedisOutbox(self._link, clock, prefix=prefix)

    @classmethod
    def from_url(
        cls, url: str, *, connection_args: Mapping[str, Any] | None = None, deadline: float = 2.0, **options: Any
    ) -> Self:
        """On the server at `url` (`redis://`, `rediss://`, `unix://`), usable at once.

        It is also a context manager, sync and async, that closes its connections. `connection_args`: redis-py's terms
        for a connection, and `max_connections`. `options`: those of the class.
        """
        _check_seconds("deadline", deadline, above=0.0, most=3_600.0)
        return cls(link=RedisLink.from_url(url, deadline=deadline, **checked_terms(connection_args)), **options)

    def check(self) -> Report:
        """Look at the server: version, role, eviction, persistence, permissions … A line for each, in words.

        It tries every command that it needs on scratch keys, and removes them. Nothing that it finds is raised.
        """
        return run(inspect(self._link, self._prefix), self._link.execute)

    async def acheck(self) -> Report:
        return await arun(inspect(self._link, self._prefix), self._link.aexecute)

    def setup(self) -> None:
        """Nothing needs to be made in Redis. Raises what a first use would raise: no server, no permission, too old;
        and for a server that forgets what was spent when its memory is short."""
        self.check().raise_if_unusable()

    async def asetup(self) -> None:
        (await self.acheck()).raise_if_unusable()

    def close(self) -> None:
        """Close the connections; a later use opens new ones. A client that you passed stays as it is."""
        self.ledger.rejoin()
        self._link.close()

    async def aclose(self) -> None:
        """The same, and those of the running event loop."""
        await self.ledger.arejoin()
        await self._link.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


def _check_seconds(field: str, value: object, *, above: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value <= most:
        lower = "above 0" if above >= 0 else "from 0"
        raise ConfigError(field, f"must be a number of seconds {lower} and up to {most:g}")
