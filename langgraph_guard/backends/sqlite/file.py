"""One file, used by threads, tasks and processes at once: whole transactions, one connection to read, one to write.

Two are enough for a process. Writers of a file wait for each other anyway, and here they do so at a lock that wakes
the next one at once; only one thread of each process stands in the queue of processes. Readers wait for no writer.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final, TypeAlias, TypeVar

from langgraph_guard.backends.sqlite.schema import STORE, prepare
from langgraph_guard.errors import GuardError, StoreError, StoreRefused, StoreUnavailable
from langgraph_guard.forks import halt_in_forks

Result = TypeVar("Result")
Work: TypeAlias = Callable[[sqlite3.Connection], Result]

SHORTEST: Final = 0.0002
LONGEST: Final = 0.005
"""Seconds between two looks at a lock that another process holds, the mean of which doubles from look to look."""


class Lane:
    """A connection, the lock of the thread that has it, and a thread of its own for those who must not wait."""

    def __init__(self) -> None:
        # Reentrant, so that a finalizer that strikes in the middle can tell that its own thread is at it.
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None
        self.renew()

    def renew(self) -> None:
        """Have a new thread; it begins with its first work, and ends with the lane."""
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="langgraph-guard-sqlite")

    def is_ours(self) -> bool:
        """Whether this very thread is in the middle of a transaction."""
        return self.lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # what threading.Condition asks it

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class File:
    """Transactions on `path`. Each is whole: an error, a `KeyboardInterrupt` or the end of the process undoes it.

    They raise `StoreUnavailable` when others hold the file for longer than `busy_timeout` seconds, and `StoreRefused`
    when SQLite says no. Nobody has a connection while the process forks, so each side opens its own afterwards.
    """

    def __init__(self, path: Path, *, busy_timeout: float, durable: bool) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._durable = durable
        self._reader, self._writer = Lane(), Lane()
        self._identity: tuple[int, int] | None = None
        self._late: deque[Callable[[], object]] = deque()
        weakref.finalize(self, _close, self._reader, self._writer)
        halt_in_forks(self)

    def read(self, doing: str, work: Work[Result], since: float | None = None) -> Result:
        """The result of `work` on the file as it is at one moment; `work` only reads, and may be run again.

        `since`: when the caller began to wait, if that was before.
        """
        return self._whole(self._reader, "BEGIN", doing, work, since)

    def write(self, doing: str, work: Work[Result], since: float | None = None) -> Result:
        """The result of `work`, which nobody saw happen halfway; `work` may be run again."""
        try:
            return self._whole(self._writer, "BEGIN IMMEDIATE", doing, work, since)
        finally:
            while self._late and not self._writer.is_ours():
                with suppress(GuardError, IndexError):
                    self._late.popleft()()

    async def aside(self, work: Callable[[], Result], *, writing: bool) -> Result:
        """The result of `work`, done in a thread, because waiting for a lock would hold up the event loop."""
        lane = self._writer if writing else self._reader
        return await asyncio.get_running_loop().run_in_executor(lane.thread, work)

    def is_writing(self) -> bool:
        """Whether this thread is in the middle of `write`: the garbage collector ended something there."""
        return self._writer.is_ours()

    def postpone(self, work: Callable[[], object]) -> None:
        """Do `work` when this thread's `write` is over: waiting for it would be waiting for itself."""
        self._late.append(work)

    def close(self) -> None:
        """Let go of the file. The next transaction opens it again."""
        for lane in (self._reader, self._writer):
            with lane.lock:
                lane.close()
        self._identity = None

    def _whole(self, lane: Lane, begin: str, doing: str, work: Work[Result], since: float | None) -> Result:
        if lane.is_ours():
            raise StoreUnavailable(STORE, doing, 0.0)
        started = monotonic() if since is None else since
        with lane.lock:
            for pause in _pauses():
                try:
                    return _transaction(self._connection(lane, doing), begin, work)
                except sqlite3.Error as error:
                    waited = monotonic() - started
                    if not _is_busy(error) or waited >= self._busy_timeout:
                        raise _explained(error, doing, waited) from error
                # SQLite's own waiting sleeps for up to 0.1 s, and no Ctrl-C reaches it.
                sleep(min(pause, max(0.0, self._busy_timeout - waited)))
        raise AssertionError("pauses do not end")

    def _connection(self, lane: Lane, doing: str) -> sqlite3.Connection:
        """The lane's connection, to the file that was opened first: another one would begin at zero."""
        if self._identity is not None and _identity(self._path) != self._identity:
            raise StoreRefused(STORE, doing, "the file was moved, removed or replaced while it was in use")
        if lane.connection is None:
            lane.connection = self._opened()
            self._identity = _identity(self._path)
        return lane.connection

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            prepare(connection, durable=self._durable)
        except BaseException:
            connection.close()
            raise
        return connection

    # Around a fork

    def halt(self) -> None:
        """Have nothing open: SQLite remembers by process what it has locked, and a child believes to hold locks that it
        does not hold. Somebody else may then remove the log that it writes to."""
        for lane in (self._reader, self._writer):  # in the order in which a finalizer may come to hold both
            lane.lock.acquire()
            lane.close()

    def go_on(self, *, as_child: bool) -> None:
        if as_child:
            self._late.clear()
        for lane in (self._writer, self._reader):
            if as_child:
                lane.renew()
            lane.lock.release()


def _transaction(connection: sqlite3.Connection, begin: str, work: Work[Result]) -> Result:
    try:
        try:
            connection.execute(begin)
            result = work(connection)
            connection.execute("COMMIT")
            return result
        finally:
            _undo(connection)
    finally:
        _undo(connection)  # a KeyboardInterrupt may have fallen into the first


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _pauses() -> Iterator[float]:
    longest = SHORTEST
    while True:
        yield random.random() * longest
        longest = min(2 * longest, LONGEST)


def _is_busy(error: sqlite3.Error) -> bool:
    # Some errors are the driver's own and have no code; the low byte is the kind, the rest its cause.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _explained(error: sqlite3.Error, doing: str, waited: float) -> StoreError:
    if _is_busy(error):
        return StoreUnavailable(STORE, doing, waited)
    return StoreRefused(STORE, doing, str(error))  # SQLite's own sentences: they quote no value


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(*lanes: Lane) -> None:
    for lane in lanes:
        if lane.lock.acquire(timeout=1):  # a daemon thread that is still at it keeps it
            lane.close()
            lane.lock.release()
