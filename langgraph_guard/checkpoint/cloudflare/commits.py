"""Group commit: writes that are made at the same time travel in one request, and each caller learns of its own.

One request is on its way at a time; what is written meanwhile goes with the next. Beyond that:

- a run that is alone never waits: its checkpoint leaves at once, with what its tasks wrote just before;
- writes of tasks wait a moment for that checkpoint, which follows them, for nobody waits for them;
- while several runs are active, each request waits that moment for the others, unless all of them are there, or none
  came the last time: a process that serves one run after another waits in vain once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Final

from langgraph_guard.checkpoint.cloudflare.commands import Delivery, PutMany
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.errors import StoreError, StoreRefused

MOST_PAIRS: Final = 5_000
MOST_CHARACTERS: Final = 40 * 2**20
"""Of values in a request that several callers share. Cloudflare takes 10,000 pairs and 100 MB, the gateway 50 MB."""

ACTIVE: Final = 0.5
"""Seconds for which a run counts as active after a write."""


@dataclass(eq=False)
class Ticket:
    """What one caller writes. `told` is called once it is settled."""

    put: PutMany
    told: Callable[[], None] = lambda: None
    settled: bool = False
    error: Exception | None = None

    def settle(self, error: Exception | None = None) -> None:
        if not self.settled:
            self.settled, self.error = True, error
            self.told()

    @property
    def size(self) -> int:
        return sum(len(pair.value) for pair in self.put.pairs)


@dataclass
class Queue:
    """Tickets that wait. `window`: seconds that writes wait for each other at most. Times are of any one clock."""

    window: float
    _tickets: list[Ticket] = field(default_factory=list)
    _since: float = 0.0
    _active: dict[str, float] = field(default_factory=dict)
    _in_vain: bool = False

    def __bool__(self) -> bool:
        return bool(self._tickets)

    def add(self, ticket: Ticket, now: float) -> None:
        if not self._tickets:
            self._since = now
        self._tickets.append(ticket)
        self._active[ticket.put.thread] = now

    def landed(self, tickets: Sequence[Ticket], now: float) -> None:
        """Their request came back: what it made go on will write in a moment. What was not sent waits again."""
        alone = self._is_alone(now)  # it forgets, too, who was active: each time, or threads would pile up
        together = len(_threads(tickets) | _threads(self._tickets)) > 1
        self._in_vain = not together and (self._in_vain or (bool(tickets) and not alone))
        self._tickets[:0] = [ticket for ticket in tickets if not ticket.settled]
        self._since = now

    def wait(self, now: float) -> float:
        """Seconds until the next request should leave."""
        if self._is_full() or (self._in_a_hurry() and (self._in_vain or self._all_are_here(now))):
            return 0.0
        return max(self._since + self.window - now, 0.0)

    def take(self) -> list[Ticket]:
        """The next request's tickets: as many as fit, and one in any case."""
        pairs = size = count = 0
        for ticket in self._tickets:
            pairs, size = pairs + len(ticket.put.pairs), size + ticket.size
            if count and (pairs > MOST_PAIRS or size > MOST_CHARACTERS):
                break
            count += 1
        taken, self._tickets = self._tickets[:count], self._tickets[count:]
        return taken

    def _is_full(self) -> bool:
        return (
            sum(len(ticket.put.pairs) for ticket in self._tickets) >= MOST_PAIRS
            or sum(ticket.size for ticket in self._tickets) >= MOST_CHARACTERS
        )

    def _in_a_hurry(self) -> bool:
        return any(ticket.put.hurry for ticket in self._tickets)

    def _all_are_here(self, now: float) -> bool:
        """Whether nobody is left who could still come: each active run waits with a checkpoint."""
        here = {ticket.put.thread for ticket in self._tickets if ticket.put.hurry}
        return self._is_alone(now) or self._active.keys() <= here

    def _is_alone(self, now: float) -> bool:
        self._active = {thread: at for thread, at in self._active.items() if now - at < ACTIVE}
        return len(self._active) <= 1


def _threads(tickets: Sequence[Ticket]) -> set[str]:
    return {ticket.put.thread for ticket in tickets}


def commit(
    tickets: Sequence[Ticket],
    deliver: Callable[[PutMany], Delivery[list[str]]],
    stored: Callable[[Sequence[Pair]], None],
) -> Delivery[None]:
    """Send the tickets in one request and settle each. What one of them did wrong is not held against the others."""
    pairs = {pair.key: pair for ticket in tickets for pair in ticket.put.pairs}
    try:
        failed = frozenset((yield from deliver(PutMany([*pairs.values()]))))
    except StoreRefused as error:
        if len(tickets) == 1:
            tickets[0].settle(error)
        else:
            for ticket in tickets:
                yield from commit([ticket], deliver, stored)
        return
    except Exception as error:
        for ticket in tickets:
            ticket.settle(_of_its_own(error))
        return
    for ticket in tickets:
        stored([pair for pair in ticket.put.pairs if pair.key not in failed])
        missed = failed.intersection(ticket.put.keys)
        ticket.settle(StoreRefused(STORE, "bulk write", _not_written(missed, ticket)) if missed else None)


def _of_its_own(error: Exception) -> Exception:
    """Several threads will raise it, each with its own traceback."""
    if not isinstance(error, StoreError):
        return error
    twin = copy(error)
    twin.__cause__ = error.__cause__
    return twin


def _not_written(missed: frozenset[str], ticket: Ticket) -> str:
    return f"{len(missed)} of {len(ticket.put.pairs)} keys were not written, and it does not say why"
