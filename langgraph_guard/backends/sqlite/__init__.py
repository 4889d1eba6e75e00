"""Shared by the processes of one machine, in one file; still there when they all have ended.

file       whole transactions on a file that threads, tasks and processes share
schema     its tables, and which files are ours
rows       the rules' rows as text
ledger     the ledger in it
breakers   the circuits in it
journal    the rows of the desk and the outbox in it, and the chain of what was done there
desk       the approval desk in it
outbox     the outbox in it
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from langgraph_guard.backends.local import FallbackLedger
from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.backends.sqlite.breakers import SqliteBreakers
from langgraph_guard.backends.sqlite.desk import SqliteDesk
from langgraph_guard.backends.sqlite.file import File
from langgraph_guard.backends.sqlite.journal import Journal
from langgraph_guard.backends.sqlite.ledger import SqliteLedger
from langgraph_guard.backends.sqlite.outbox import SqliteOutbox
from langgraph_guard.errors import ConfigError, StoreRefused


class SqliteBackend:
    """Several processes on one machine, one file, no server: they share every limit, every breaker and every approval.

    The file is made when it is not there; its folder must be. It has to lie on a disk of this machine, not on a network
    share. What was acknowledged survives the end of any process, kill -9 included, and with `durable=True` a power cut
    too, but then each command waits for the disk. A command waits `busy_timeout` seconds at the most while others hold
    the file. Raises `ConfigError` for a path that cannot be it, and `StoreUnavailable` when others hold it meanwhile.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        tenant: str = "",
        clock: Clock | None = None,
        busy_timeout: float = 5.0,
        durable: bool = False,
    ) -> None:
        if not isinstance(tenant, str):
            raise ConfigError("tenant", f"must be a str, is a {type(tenant).__name__}")
        if clock is not None and not isinstance(clock, Clock):
            raise ConfigError("clock", f"must have now, sleep and asleep; is a {type(clock).__name__}")
        if not isinstance(durable, bool):
            raise ConfigError("durable", f"must be a bool, is a {type(durable).__name__}")
        self.tenant = tenant
        self.clock: Clock = clock or SystemClock()
        self._file = File(_checked(path), busy_timeout=_seconds(busy_timeout), durable=durable)
        self.ledger = FallbackLedger(SqliteLedger(self._file, self.clock), self.clock)
        self.breakers = SqliteBreakers(self._file, self.clock)
        journal = Journal(self._file, self.clock)
        self.desk = SqliteDesk(journal)
        self.outbox = SqliteOutbox(journal)
        try:
            self._file.read("open", lambda connection: None)
        except StoreRefused as error:
            raise ConfigError("path", error.reason) from error.__cause__

    def close(self) -> None:
        """Let go of the file, as the end of the process does too. A later command opens it again.

        What was spent while it was out of reach is charged before."""
        self.ledger.rejoin()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(path: object) -> Path:
    """The path as it is from wherever the process goes later."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise ConfigError("path", f"must be a str or a Path, is a {type(path).__name__}")
    name = str(os.fspath(path))
    if not name or name.startswith((":memory:", "file:")):
        raise ConfigError("path", "must name a file that processes can share; MemoryBackend() is the one without")
    if "\0" in name:
        raise ConfigError("path", "has a NUL character in it")
    found = Path(name).absolute()
    if found.is_dir():
        raise ConfigError("path", "is a folder; a file in it is needed")
    if not found.parent.is_dir():
        raise ConfigError("path", "is in a folder that does not exist")
    return found


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 86_400:
        raise ConfigError("busy_timeout", "must be a number of seconds from 0 to 86400")
    return float(value)


__all__ = ["SqliteBackend", "SqliteBreakers", "SqliteDesk", "SqliteLedger", "SqliteOutbox"]
