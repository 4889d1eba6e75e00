"""The books of one hash slot: which ones they are, and whose leases have ended. As flows over the link.

Each request names the epoch that this process knows. A server that knows another one, or none, was flushed or restored
or has lost a key: what was spent before is not in its books, and to go on would be to give everyone a new budget.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_guard._redis import Batch, Pipelined, Script
from langgraph_guard._redis.errors import STORE
from langgraph_guard.backends.redis.ledger import scripts
from langgraph_guard.backends.redis.ledger.keys import VERSION, Keyspace
from langgraph_guard.backends.redis.ledger.wire import read_member
from langgraph_guard.errors import BudgetUnavailable

Result = TypeVar("Result")
Asking: TypeAlias = Generator[Batch, list[Any], Result]

NO_BOOKS: Final = "nobody has begun its books, and this process may not (create=False)"
GONE: Final = "its books are gone (flushed, restored or evicted): reopen the ledger to go on from what there is"
REST: Final = "a part of its books is gone (evicted?): reopen the ledger to go on from what there is"
OTHERS: Final = "its books are not those that this process knows: reopen the ledger to go on with them"
UNKNOWN_FORMAT: Final = "its books are of another version of their format"
OTHERS_FIRST: Final = "the id is used for other accounts again and again"
STUCK: Final = "reservations whose lease has ended cannot be closed: a key of ours was changed by others"


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a script. The epoch and the moment come in front of `arguments`, the meta key in front of `keys`."""

    books: Books
    script: Script
    keys: Sequence[str | bytes]
    arguments: Sequence[Any] = ()

    def command(self) -> tuple[Any, ...]:
        books = self.books
        keys = self.keys
        return (self.script, len(keys) + 1, books.keys.meta, *keys, books.epoch, books.moment(), *self.arguments)


class Books:
    """One slot's books, as this process knows them. Threads share it: every change is one assignment."""

    def __init__(self, keys: Keyspace, now: Callable[[], float] | None, create: bool) -> None:
        self.keys = keys
        self.epoch = ""
        self._now = now
        self._create = create

    def moment(self) -> str:
        """What time it is, when the server is not the one to say."""
        return "" if self._now is None else repr(self._now())

    def request(self, script: Script, keys: Sequence[str | bytes], *arguments: Any) -> Request:
        return Request(self, script, keys, arguments)

    def ask(self, script: Script, keys: Sequence[str | bytes], *arguments: Any) -> Asking[Any]:
        """The answer of one script."""
        (reply,) = yield from answers([Request(self, script, keys, arguments)])
        return reply

    def expire(self) -> Asking[set[str]]:
        """Close all reservations whose lease has ended; the ids of those that were open."""
        closed: set[str] = set()
        page: Any = None
        while True:
            reply = yield from _reply(Request(self, scripts.READ, (self.keys.leases,)))
            if reply[0] != b"due":
                return closed
            _check_progress(page, reply)
            page = reply
            closed |= yield from self.sweep(reply[1:])

    def sweep(self, members: Sequence[bytes]) -> Asking[set[str]]:
        """Close these, which the server named, unless somebody else was faster."""
        holds, names = [], {}
        for each in members:
            owners, id = read_member(each)
            holds.append(self.keys.hold(id))
            names.update(dict.fromkeys(owners))
        keys = (self.keys.leases, *holds, *map(self.keys.owner, names))
        reply = yield from _reply(Request(self, scripts.EXPIRE, keys, (len(holds), *members, *names)))
        return {read_member(member)[1] for member in reply[1:]}

    def reopen(self, deed: str) -> Asking[None]:
        """Accept what there is."""
        told = "", self.moment(), secrets.token_hex(8), deed
        (reply,) = yield [(scripts.REOPEN, 2, self.keys.meta, self.keys.audit(None), *told)]
        _, version, epoch, _ = reply
        if version != VERSION:
            raise unavailable(UNKNOWN_FORMAT)
        self.epoch = epoch.decode()

    def meet(self, known: str, version: bytes, epoch: bytes, accepted: bytes) -> Asking[None]:
        """Learn which books there are, begin some where there are none. `known`: the epoch that was asked for.

        Raises when they cannot be trusted.
        """
        if known != self.epoch:
            return  # another thread has met them meanwhile
        if not version and not epoch:
            if known or not self._create:
                raise unavailable(GONE if known else NO_BOOKS)
            begin = (scripts.BEGIN, 2, self.keys.meta, self.keys.leases, "", "", secrets.token_hex(8))
            ((_, version, epoch, accepted),) = yield [begin]
        if version != VERSION:
            raise unavailable(REST if version == b"broken" else UNKNOWN_FORMAT)
        told = epoch.decode()
        if known and told != known and not (accepted and told > known):
            raise unavailable(OTHERS)
        self.epoch = told


def answers(requests: Sequence[Request]) -> Asking[list[Any]]:
    """What the scripts answer, in order. In one round trip, unless one finds out that something has to come first;
    then it and those behind it are asked again, so more than one at a time must bear being asked twice."""
    found: list[Any] = []
    page: Any = None
    while len(found) < len(requests):
        asked = requests[len(found) :]
        known = [each.books.epoch for each in asked]
        batch = [each.command() for each in asked]
        replies = yield Pipelined(batch) if len(batch) > 1 else batch
        for request, epoch, reply in zip(asked, known, replies, strict=True):
            if reply[0] == b"epoch":
                yield from request.books.meet(epoch, *reply[1:])
                break
            if reply[0] == b"due":
                _check_progress(page, reply)
                page = reply
                yield from request.books.sweep(reply[1:])
                break
            found.append(reply)
    return found


def _reply(request: Request) -> Asking[Any]:
    """The answer of one script, leases that have ended among them."""
    while True:
        epoch = request.books.epoch
        (reply,) = yield [request.command()]
        if reply[0] != b"epoch":
            return reply
        yield from request.books.meet(epoch, *reply[1:])


def _check_progress(before: Any, page: Any) -> None:
    if page == before:
        raise unavailable(STUCK)


def unavailable(reason: str) -> BudgetUnavailable:
    return BudgetUnavailable(STORE, 0.0, reason)
