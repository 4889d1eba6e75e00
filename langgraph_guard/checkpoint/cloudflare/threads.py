"""The blocking world: threads that share a transport, and whose writes travel together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from langgraph_guard.checkpoint.cloudflare.clock import Clock
from langgraph_guard.checkpoint.cloudflare.commands import Action, Command, Delivery, PutMany, Request, Wait
from langgraph_guard.checkpoint.cloudflare.commits import Queue, Ticket, commit
from langgraph_guard.checkpoint.cloudflare.delivery import Terms, deliver
from langgraph_guard.checkpoint.cloudflare.transport import Pair, Transport
from langgraph_guard.flow import run
from langgraph_guard.forks import renew_in_children

Stored = Callable[[Sequence[Pair]], None]


class Threads:
    """Executes the commands of flows. Safe to use from many threads, and after a fork."""

    def __init__(self, transport: Transport, terms: Terms, clock: Clock, window: float | None, stored: Stored) -> None:
        self._transport, self._terms, self._clock = transport, terms, clock
        self._window, self._stored = window, stored
        self.renew()
        renew_in_children(self)

    def execute(self, commands: Sequence[Command]) -> list[Any]:
        return [self._do(command) for command in commands]

    def _do(self, command: Command) -> Any:
        if isinstance(command, PutMany):
            return self._put(Ticket(command))
        return self._act(command) if isinstance(command, Wait) else run(self._deliver(command), self._perform)

    def _deliver(self, request: Request) -> Delivery[Any]:
        return deliver(request, self._terms, self._transport.pace, self._clock.now)

    def _perform(self, actions: Sequence[Action]) -> list[Any]:
        return [self._act(action) for action in actions]

    def _act(self, action: Action) -> Any:
        if isinstance(action, Wait):
            self._clock.sleep(action.seconds)
            return None
        return action.of(self._transport)

    # Group commit: whoever finds no request on its way sends one, for all that wait

    def renew(self) -> None:
        """Nobody waits, and no request is on its way: who waited before a fork is in the parent."""
        self._queue = Queue(self._window or 0.0)
        self._sending = False
        self._changed = threading.Condition()

    def _put(self, ticket: Ticket) -> None:
        if self._window is None:
            self._send([ticket])
        else:
            self._commit(ticket)
        if ticket.error is not None:
            raise ticket.error

    def _commit(self, ticket: Ticket) -> None:
        with self._changed:
            self._queue.add(ticket, time.monotonic())
            self._changed.notify_all()
        while tickets := self._next(ticket):
            self._send_shared(tickets)

    def _next(self, mine: Ticket) -> list[Ticket]:
        """What to send; nothing once `mine` is settled."""
        with self._changed:
            while not mine.settled:
                if self._sending:
                    self._changed.wait()
                elif (wait := self._queue.wait(time.monotonic())) > 0:
                    self._changed.wait(wait)
                else:
                    self._sending = True
                    return self._queue.take()
            return []

    def _send_shared(self, tickets: list[Ticket]) -> None:
        try:
            self._send(tickets)
        finally:
            with self._changed:
                self._sending = False
                self._queue.landed(tickets, time.monotonic())
                self._changed.notify_all()

    def _send(self, tickets: list[Ticket]) -> None:
        run(commit(tickets, self._deliver, self._stored), self._perform)
