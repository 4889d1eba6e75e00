"""Shared by the threads and tasks of one process; gone when it ends. Checkpointed state re-seeds it."""

from __future__ import annotations

from langgraph_guard.backends.memory.breakers import MemoryBreakers
from langgraph_guard.backends.memory.desk import MemoryDesk
from langgraph_guard.backends.memory.journal import Journal
from langgraph_guard.backends.memory.ledger import MemoryLedger
from langgraph_guard.backends.memory.outbox import MemoryOutbox
from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.errors import ConfigError


class MemoryBackend:
    """The embedded default: no server, no file. `tenant` is whose money it is, fixed by the program."""

    def __init__(self, *, tenant: str = "", clock: Clock | None = None) -> None:
        if not isinstance(tenant, str):
            raise ConfigError("tenant", f"must be a str, is a {type(tenant).__name__}")
        if clock is not None and not isinstance(clock, Clock):
            raise ConfigError("clock", f"must have now, sleep and asleep; is a {type(clock).__name__}")
        self.tenant = tenant
        self.clock: Clock = clock or SystemClock()
        self.ledger = MemoryLedger(self.clock)
        self.breakers = MemoryBreakers(self.clock)
        journal = Journal(self.clock)
        self.desk = MemoryDesk(journal)
        self.outbox = MemoryOutbox(journal)


__all__ = ["MemoryBackend", "MemoryBreakers", "MemoryDesk", "MemoryLedger", "MemoryOutbox"]
