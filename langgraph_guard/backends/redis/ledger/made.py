"""What this process reserved and has not closed yet.

So that closing takes one round trip, and a fail-over that lost the reservation does not lose what the call did cost.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from langgraph_guard.policies.ledger import Account

KEPT: Final = 16_384
"""Reservations. What is forgotten can still be closed, as another process's can."""


class Part(NamedTuple):
    """A reservation in the books of one slot: which they are, its owners, what the server wrote, and its accounts."""

    place: str
    names: tuple[str, ...]
    record: bytes
    accounts: tuple[Account, ...]


class Made:
    """By id. Without a lock: the garbage collector may close an abandoned stream in the middle of anything."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Part, ...]] = {}

    def of(self, id: str) -> tuple[Part, ...]:
        return self._parts.get(id, ())

    def remember(self, id: str, parts: tuple[Part, ...]) -> None:
        self._parts[id] = parts
        while len(self._parts) > KEPT:
            with suppress(RuntimeError, StopIteration):  # another thread was faster
                self._parts.pop(next(iter(self._parts)), None)

    def forget(self, id: str) -> None:
        self._parts.pop(id, None)
