"""So many at once, and whoever came first is next: `threading.Semaphore` lets newcomers pass those who wait."""

from __future__ import annotations

import threading
from collections import deque


class Turnstile:
    """`places` may be inside. Safe from any thread, and from the garbage collector within one."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: deque[threading.Lock] = deque()
        self._lock = threading.RLock()

    @property
    def waiting(self) -> int:
        """How many stand before it."""
        return len(self._queue)

    def enter(self, seconds: float) -> bool:
        """Take a place, waiting for `seconds` at the most; whether there was one."""
        ticket = threading.Lock()
        with self._lock:
            if self._free and not self._queue:
                self._free -= 1
                return True
            ticket.acquire()
            self._queue.append(ticket)
        try:
            handed = ticket.acquire(timeout=seconds)
        except BaseException:
            if not self._gave_up(ticket):
                self.leave()
            raise
        return handed or not self._gave_up(ticket)

    def leave(self) -> None:
        """Hand the place to whoever has waited for longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1

    def _gave_up(self, ticket: threading.Lock) -> bool:
        """Whether whoever has this ticket left without a place: it may have been handed to them a moment before."""
        with self._lock:
            if ticket not in self._queue:
                return False
            self._queue.remove(ticket)
            return True
