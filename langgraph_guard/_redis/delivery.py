"""How a batch is delivered: to which server, how often, for how long. Written once, as a flow; it touches no socket.

What a batch does, it may do twice (every script and command of ours is idempotent), so a request whose answer was lost
is sent again until the deadline. Pauses grow from 10 to 500 ms, with full jitter: a hundred processes should not come
back at the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from redis.crc import key_slot

from langgraph_guard._redis import errors
from langgraph_guard._redis.actions import Action, Ask, Deadline, Delivery, Drop, Pause
from langgraph_guard._redis.clients import Place
from langgraph_guard._redis.request import Batch, Command, Pipelined, Request, key_of, loads, packed, sound
from langgraph_guard._redis.routes import Route

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.5
ASKING: Command = ("ASKING",)
REDIRECTS = 3
"""In a row without a pause; more means that two servers disagree."""


def deliver(batch: Batch, route: Route, deadline: Deadline) -> Delivery:
    """The replies to `batch`. On a Cluster its runs are sent one after the other, each for itself atomic."""
    if not batch:
        return []
    atomic = not isinstance(batch, Pipelined)
    if not route.is_cluster:
        return (yield from _send(Errand(Request.of(batch, atomic), None, route, deadline)))
    replies = []
    for slot, run in runs(batch):
        replies += yield from _send(Errand(Request.of(run, atomic), slot, route, deadline))
    return replies


def runs(batch: Batch) -> Iterator[tuple[int | None, list[Command]]]:
    """Neighbours that belong to one slot. A command without a key joins any."""
    slot: int | None = None
    run: list[Command] = []
    for command in batch:
        key = key_of(command)
        its = slot if key is None else key_slot(key)
        if run and slot is not None and its != slot:
            yield slot, run
            run = []
        slot = its
        run.append(command)
    if run:
        yield slot, run


def _send(errand: Errand) -> Delivery:
    while True:
        try:
            place = errand.place() or (yield from errand.route.discover(errand.slot, errand.deadline))
            replies = yield [errand.ask(place)]
            errand.deadline.known.met = True
            return errand.results(replies)
        except Exception as error:
            steps = errand.learn(error)
        if steps:
            yield steps


class Errand:
    """A request on its way, and what its failures taught."""

    def __init__(self, request: Request, slot: int | None, route: Route, deadline: Deadline) -> None:
        self.request, self.slot, self.route, self.deadline = request, slot, route, deadline
        self._failures = 0
        self._asked: Place | None = None
        self._redirect: Place | None = None
        self._prelude: list[Command] = []

    def place(self) -> Place | None:
        """Where to send it; `None` when that must be asked for."""
        self._asked = self._redirect or self.route.place(self.slot)
        return self._asked

    def ask(self, place: Place) -> Ask:
        self._asked = place
        request, prelude = self.request, self._prelude
        data = packed(prelude) + request.packed if prelude else request.packed
        return Ask(place, data, len(prelude) + request.expected, self.deadline.patience())

    def results(self, replies: list[object]) -> list[object]:
        before = len(self._prelude)
        sound(replies[:before])
        return self.request.results(replies[before:])

    def learn(self, error: Exception) -> list[Action]:
        """What to do before the next attempt. Raises ours when there is none."""
        remedy = errors.remedy(error)
        wait = pause(self._failures) if remedy in ("wait", "reconnect") or self._failures >= REDIRECTS else 0.0
        absent = errors.absent(error)
        if remedy == "none" or not self.deadline.leaves_room(wait, absent):
            self._give_up(error)
        if not absent:
            self.deadline.known.met = True
        self._failures += 1
        asked = self._asked or Place()
        if remedy == "load":
            self._prelude = loads(self.request.batch)
        elif remedy in ("moved", "ask"):
            self._follow(remedy == "moved", self.route.at(*errors.target(error), asked))
        else:
            self._redirect, self._prelude = None, []
        if remedy == "reconnect":
            self.route.doubt(asked)
            return [Drop(asked), Pause(wait)]
        return [Pause(wait)] if wait else []

    def _follow(self, for_good: bool, place: Place) -> None:
        if for_good:
            self.route.moved(self.slot, place)
        else:
            # Half of the slot is elsewhere. By itself a command would take a key that is still on its way for one
            # that does not exist, and ASKING is good for one command; a transaction is told to try again.
            self.request = self.request.as_transaction()
        self._redirect, self._prelude = (None, []) if for_good else (place, [ASKING])

    def _give_up(self, error: Exception) -> None:
        address = self.route.address(self._asked)
        ours = errors.final(error, self.request.operation, self.deadline.waited(), address)
        if ours is None:
            raise error
        raise ours from error


def pause(failures: int) -> float:
    """Full jitter: anything between nothing and twice the last bound."""
    return random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10)))
