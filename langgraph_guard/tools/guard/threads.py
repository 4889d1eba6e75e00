"""Threads for tools that may hang. A tool that is given up keeps its thread until it returns; others come instead.

Not `ThreadPoolExecutor`, nor the event loop's own: those have a fixed number of threads, and wait for all of them when
the program ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Final

from langgraph_guard import forks

IDLE: Final = 32
"""Threads that are kept for the next call."""


class Outcome:
    """What a call returned or raised, once it has ended."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._context = copy_context()
        self._value: Any = None
        self._error: BaseException | None = None

    def settle(self) -> None:
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:
            self._error = error

    def get(self) -> Any:
        try:
            if self._error is not None:
                raise self._error
            return self._value
        finally:
            self._error = None  # Its traceback holds this frame, which holds it.


class Threads:
    """Daemon threads, as many as are needed at once."""

    def __init__(self) -> None:
        self.renew()
        forks.renew_in_children(self)

    def renew(self) -> None:
        """A child of a fork has none of its parent's threads: what was handed to one of them would never run."""
        self._idle: deque[SimpleQueue[Callable[[], None]]] = deque()

    def run(self, call: Callable[[], Any], timeout: float) -> Any:
        """What `call` returns or raises; `TimeoutError` when it has not within `timeout` seconds."""
        outcome, ended = Outcome(call), threading.Lock()
        ended.acquire()

        def work() -> None:
            outcome.settle()
            ended.release()

        self._start(work)
        if not ended.acquire(timeout=timeout):
            raise TimeoutError
        return outcome.get()

    async def arun(self, call: Callable[[], Any]) -> Any:
        """What `call` returns or raises, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        ended, outcome = loop.create_future(), Outcome(call)

        def work() -> None:
            outcome.settle()
            with suppress(RuntimeError):  # The loop is closed: nobody waits.
                loop.call_soon_threadsafe(wake)

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        self._start(work)
        await ended
        return outcome.get()

    def _start(self, work: Callable[[], None]) -> None:
        try:
            self._idle.pop().put(work)
        except IndexError:
            threading.Thread(target=self._serve, args=(work,), name="langgraph_guard tool", daemon=True).start()

    def _serve(self, work: Callable[[], None]) -> None:
        mine: SimpleQueue[Callable[[], None]] = SimpleQueue()
        while True:
            work()
            del work  # It holds what the tool returned.
            if len(self._idle) >= IDLE:
                return
            self._idle.append(mine)
            work = mine.get()


shared: Final = Threads()
"""For the guards of a process together, so that a guard for each request leaves no threads behind."""
