"""Waiting for exporters, never longer than asked: theirs have no bound of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)


class Flusher:
    """One exporter's flush, in a thread of its own that holds neither its caller nor the end of the program.

    One thread at a time: while an exporter hangs, whoever flushes again waits for the same one.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._thread: threading.Thread | None = None
        self.gave_up = False

    def start(self) -> _Flush:
        under_way = self._thread
        if under_way is not None and under_way.is_alive():
            return _Flush(self, under_way)  # what came after it began needs another
        return _Flush(self, None)

    def begin(self) -> threading.Thread:
        self._thread = thread = threading.Thread(target=self._work, name="langgraph_guard flush", daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        try:
            self.gave_up = self._flush() is False
        except Exception as error:  # its text may quote what was sent
            _log.warning("a flush failed: %s", type(error).__name__)


class _Flush:
    def __init__(self, flusher: Flusher, before: threading.Thread | None) -> None:
        self._flusher = flusher
        self._before = before
        self._thread = None if before is not None else flusher.begin()

    def wait(self, until: float) -> bool:
        """Whether it was over, and nothing given up, before the monotonic time `until`."""
        if self._before is not None and not _joined(self._before, until):
            return False
        thread = self._thread or self._flusher.begin()
        return _joined(thread, until) and not self._flusher.gave_up


def _joined(thread: threading.Thread, until: float) -> bool:
    thread.join(max(0.0, until - time.monotonic()))
    return not thread.is_alive()


def flush_all(flushers: Sequence[Flusher], timeout: float) -> bool:
    """Flush side by side; whether all were done within `timeout` seconds."""
    until = time.monotonic() + timeout
    under_way = [flusher.start() for flusher in flushers]
    over = [each.wait(until) for each in under_way]  # all of them, whatever the first says
    return all(over)
