"""Waiting for exporters, never longer than asked: theirs have no bound of their own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from langgraph_guard.errors import ConfigError

EXIT: Final = 2.0
"""Seconds that the end of a program waits for what is still to be sent."""
LONGEST: Final = threading.TIMEOUT_MAX / 2
"""Seconds that can be waited, rounding included; `inf` is as many."""

_log = logging.getLogger(__name__)


class Flusher:
    """One exporter's flush, in a thread of its own that holds neither its caller nor the end of the program.

    One flush at a time, and they are numbered: while an exporter hangs, whoever flushes again waits for the next one.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self.start_anew()

    def start_anew(self) -> None:
        """Of a process that was forked: it has none of its parent's threads, and nothing is under way in it."""
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._wanted = self._begun = self._ended = 0
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._gave_up = False

    def ready(self) -> None:
        """Have the thread now: when a program ends, none can be started any more."""
        with self._changed:
            self._stopped = False
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="langgraph_guard flush", daemon=True)
                thread.start()
                self._thread = thread

    def start(self) -> int:
        """The number of a flush that begins after now: what came after another began needs another."""
        if self._pid != os.getpid():
            self.start_anew()
        self.ready()
        with self._changed:
            self._wanted = self._begun + 1
            self._changed.notify_all()
            return self._wanted

    def wait(self, number: int, until: float) -> bool:
        """Whether it was over, and nothing given up, before the monotonic time `until`."""
        with self._changed:
            over = self._changed.wait_for(lambda: self._ended >= number, max(0.0, until - time.monotonic()))
            return over and not self._gave_up

    def stop(self) -> None:
        """Let the thread go; the next flush gets a new one."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        while self._next():
            gave_up = False
            try:
                gave_up = self._flush() is False
            except Exception as error:  # its text may quote what was sent
                _log.warning("a flush failed: %s", type(error).__name__)
            with self._changed:
                self._gave_up, self._ended = gave_up, self._begun
                self._changed.notify_all()

    def _next(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._wanted > self._begun)
            if self._wanted > self._begun:
                self._begun += 1
                return True
            self._thread = None
            return False


def seconds(timeout: float) -> float:
    """A time that can be waited. Raises `ConfigError` for what is no number."""
    if not isinstance(timeout, int | float):
        raise ConfigError("timeout", f"is a {type(timeout).__name__}, and must be a number of seconds")
    return min(timeout, LONGEST)


def flush_all(flushers: Sequence[Flusher], timeout: float) -> bool:
    """Flush side by side; whether all were done within `timeout` seconds. Raises `ConfigError` as `seconds` does."""
    until = time.monotonic() + seconds(timeout)
    under_way = [(flusher, flusher.start()) for flusher in flushers]
    over = [flusher.wait(number, until) for flusher, number in under_way]  # all of them, whatever the first says
    return all(over)


class AtExit:
    """The flushers that the end of the program waits for, all of them together for `EXIT` seconds at most."""

    def __init__(self) -> None:
        self._flushers: list[Flusher] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_anew)

    def add(self, flusher: Flusher) -> Callable[[], None]:
        """Wait for it too, until the returned function is called, once or more often."""
        flusher.ready()
        self._flushers.append(flusher)
        atexit.unregister(self._flush)
        atexit.register(self._flush)
        return lambda: self._remove(flusher)

    def _remove(self, flusher: Flusher) -> None:
        with suppress(ValueError):
            self._flushers.remove(flusher)

    def _start_anew(self) -> None:
        for flusher in self._flushers:
            flusher.start_anew()
            flusher.ready()

    def _flush(self) -> None:
        flush_all(tuple(self._flushers), EXIT)


at_exit: Final = AtExit()
