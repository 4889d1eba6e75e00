"""A bounded queue and one thread behind it: whoever puts a record in never waits for a file, a function or a disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from langgraph_guard.forks import renew_in_children
from langgraph_guard.observability.flushing import seconds
from langgraph_guard.observability.steps.step import Step

_log = logging.getLogger(__name__)

BATCH: Final = 500
LINGER: Final = 0.05
"""Seconds that a file waits for more records: one transaction for many costs a run less than one for each."""

MOST_CHARS: Final = 64_000_000
"""Characters that may wait, beside the number of records: exact prompts are long."""


Record = TypeVar("Record")
"""What is put in: a step, or what a step is made of."""


class Sink(Protocol):
    """Where records go. `write` may raise: all of its records are lost then, and the next ones are tried again."""

    batch: int
    """Records that one `write` takes at the most."""

    def write(self, steps: list[Step]) -> None: ...

    def close(self) -> None: ...


class Writer(Generic[Record]):
    """Hands the steps that `make` makes of records to a sink, `most` records behind.

    What does not fit, cannot be made or cannot be written is counted in `dropped`; the first is logged.
    """

    def __init__(self, sink: Sink, most: int, make: Callable[[Record], Step]) -> None:
        self.dropped = 0
        self._sink = sink
        self._most = most
        self._make = make
        self._closed = False
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew: a fork has no threads, and its parent writes what was waiting."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[tuple[Record, int]] = deque()
        self._chars = 0
        self._busy = 0
        self._flushing = 0
        self._told = False
        self._thread: threading.Thread | None = None

    def put(self, record: Record, chars: int = 0) -> None:
        with self._lock:
            if self._closed or len(self._queue) >= self._most or (self._queue and self._chars + chars > MOST_CHARS):
                self._lose(1, "closed" if self._closed else "its queue is full")
                return
            self._queue.append((record, chars))
            self._chars += chars
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="langgraph-guard-steps", daemon=True)
                self._thread.start()
            elif len(self._queue) in (1, self._sink.batch):
                self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Whether all that was put before is written, or lost, within `timeout` seconds."""
        if threading.current_thread() is self._thread:
            return False  # the last who held a recorder may be what it writes to
        until = time.monotonic() + seconds(timeout)
        with self._lock:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not (self._queue or self._busy), until - time.monotonic())
            finally:
                self._flushing -= 1

    def close(self, timeout: float) -> bool:
        """Write what waits, for `timeout` seconds at the most, and take nothing more."""
        done = self.flush(timeout)
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        if self._thread is None:
            self._end()
        return done

    # In the thread

    def _work(self) -> None:
        while batch := self._next():
            try:
                self._sink.write(self._made(batch))
            except BaseException as error:  # a `SystemExit` too: it would end this thread, and nobody would know
                with self._lock:
                    self._lose(len(batch), f"{type(error).__name__} while writing")
            finally:
                with self._lock:
                    self._busy = 0
                    self._changed.notify_all()
        self._end()

    def _made(self, batch: list[Record]) -> list[Step]:
        """One that cannot be made costs no other."""
        steps = []
        for record in batch:
            try:
                steps.append(self._make(record))
            except Exception as error:
                with self._lock:
                    self._lose(1, f"{type(error).__name__} while making one")
        return steps

    def _next(self) -> list[Record]:
        """The next records; none when it is closed and all are written."""
        with self._lock:
            while not self._queue and not self._closed:
                self._changed.wait()
            if self._sink.batch > 1:
                self._changed.wait_for(self._is_due, LINGER)
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._sink.batch))]
            self._chars -= sum(chars for _, chars in taken)
            self._busy = len(taken)
            return [record for record, _ in taken]

    def _is_due(self) -> bool:
        return self._closed or self._flushing > 0 or len(self._queue) >= self._sink.batch

    def _end(self) -> None:
        try:
            self._sink.close()
        except Exception as error:
            _log.warning("the step log did not close: %s", type(error).__name__)

    def _lose(self, count: int, why: str) -> None:
        self.dropped += count
        if not self._told:
            self._told = True
            _log.warning("steps are lost: the step log is not written (%s); more of them are counted, not told", why)
