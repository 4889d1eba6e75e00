"""A tenant's open requests, and its executions in doubt, page by page, as flows."""

from __future__ import annotations

from typing import Final

from langgraph_guard._redis import Pipelined
from langgraph_guard.backends.redis.approvals import wire
from langgraph_guard.backends.redis.approvals.keys import Keyspace, Place, beyond
from langgraph_guard.backends.redis.approvals.reading import (
    Asking,
    Times,
    known_approvals,
    known_doubts,
    read_approvals,
    read_begun,
)
from langgraph_guard.policies.approval.commands import Approval, Pending
from langgraph_guard.policies.approval.desk import waits
from langgraph_guard.policies.outbox import Doubt, Doubts

PAGE: Final = 500
"""Places that are looked at in one round trip."""

AT_ONCE: Final = 25
"""Requests that one call of a script closes: a server does nothing else meanwhile."""

INSTANT: Final = 26
"""Bytes of an instant in a place."""

BEGINNING: Final = b"-"


class Files:
    """What is open, in the order in which it was asked."""

    def __init__(self, keys: Keyspace, times: Times) -> None:
        self._keys = keys
        self._times = times

    def pending(self, command: Pending) -> Asking[tuple[Approval, ...]]:
        """Two round trips a page: which they are, and what they are."""
        found: list[Approval] = []
        start: bytes | None = yield from self._start(command.after)
        while start and len(found) < command.count:
            now, places = yield from self._page(start)
            fitting = [each for each in places if command.thread in (None, each.thread) and _runs(each, now)]
            chosen = fitting[: command.count - len(found)]
            replies = yield Pipelined(read_approvals(self._keys, (each.id for each in chosen)))
            # Of these, somebody may have closed one since the page was read: then there is room for more.
            found += [each for each in known_approvals(replies, now) if each and waits(each, now)]
            start = _behind(chosen[-1]) if len(chosen) < len(fitting) else _next(places)
        return tuple(found)

    def sweep(self) -> Asking[int]:
        """How many were closed, oldest first."""
        closed = 0
        start: bytes | None = BEGINNING
        while start:
            now, places = yield from self._page(start)
            over = [each for each in places if not _runs(each, now)]
            for first in range(0, len(over), AT_ONCE):
                (its,) = yield [wire.sweep(self._keys, self._times.told(), over[first : first + AT_ONCE])]
                closed += its
            start = _next(places)
        return closed

    def _start(self, id: str) -> Asking[bytes]:
        """Where those begin that come after it."""
        if not id:
            return BEGINNING
        replies = yield Pipelined([*self._times.ask(), *read_approvals(self._keys, [id])])
        now, rest = self._times.answered(replies)
        (last,) = known_approvals(rest, now)
        return beyond(last.at, id) if last else BEGINNING

    def _page(self, start: bytes) -> Asking[tuple[float, list[Place]]]:
        asked = ("ZRANGEBYLEX", self._keys.open, start, "+", "LIMIT", 0, PAGE)
        replies = yield Pipelined([*self._times.ask(), asked])
        now, (members,) = self._times.answered(replies)
        return now, [Place.of(each) for each in members]


def doubts(keys: Keyspace, times: Times, command: Doubts) -> Asking[tuple[Doubt, ...]]:
    """Two round trips a page: which have not ended and have no lease any more, and what they are."""
    found: list[Doubt] = []
    start: bytes | None = b"(%b\xff" % command.after.encode() if command.after else BEGINNING
    limit = min(PAGE, command.count)
    while start and len(found) < command.count:
        asked = ("ZRANGEBYLEX", keys.begun, start, "+", "LIMIT", 0, limit)
        replies = yield Pipelined([*times.ask(), asked])
        now, (members,) = times.answered(replies)
        over = [each for each in members if float(each[:INSTANT]) <= now]
        chosen = over[: command.count - len(found)]
        replies = yield Pipelined(read_begun(keys, (each[INSTANT + 1 :].decode() for each in chosen)))
        # Of these, somebody may have ended one since the page was read: then there is room for more.
        found += known_doubts(command.tenant, replies, now)
        is_last = len(chosen) == len(over) < limit
        start = None if is_last else b"(" + chosen[-1]
    return tuple(found)


def _runs(place: Place, now: float) -> bool:
    return place.expires_at is None or now < place.expires_at


def _next(places: list[Place]) -> bytes | None:
    """Where the page after this one begins; `None` when it is the last."""
    return _behind(places[-1]) if len(places) == PAGE else None


def _behind(place: Place) -> bytes:
    return b"(" + place.member
