"""The ledger on a server: every command is one atomic script there, and mostly one round trip."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, Final, cast

from langgraph_guard._redis import RedisLink, check_prefix
from langgraph_guard._redis.errors import STORE
from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.backends.redis.ledger import calling, people
from langgraph_guard.backends.redis.ledger.books import Asking
from langgraph_guard.backends.redis.ledger.keys import Slots
from langgraph_guard.backends.redis.ledger.looking import LOOKS, look
from langgraph_guard.backends.redis.ledger.shelf import Shelf
from langgraph_guard.backends.waiting import Waiters
from langgraph_guard.errors import BudgetUnavailable, ConfigError, StoreError, StoreRefused, StoreUnavailable
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.bookkeeping.reserving import fit
from langgraph_guard.policies.ledger import (
    Account,
    Adjust,
    Audit,
    Balance,
    Command,
    Expire,
    Extend,
    Freeze,
    Holds,
    Owner,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Survey,
    Thaw,
    Wait,
)

_FLOWS: Final[dict[type, Callable[[Shelf, Any], Generator[Any, Any, Reply]]]] = {
    Reserve: calling.reserve,
    Settle: calling.settle,
    Release: calling.release,
    Extend: calling.extend,
    Adjust: people.adjust,
    Freeze: people.freeze,
    Thaw: people.thaw,
    Survey: people.survey,
    Holds: people.holds,
    Audit: people.audit,
}


class RedisLedger:
    """Linearizable among all who share the server. Memory is bounded by accounts, open reservations, and an hour of
    closed ones; owners with windowed accounts only, and runs, go by themselves.

    Time is the server's, unless a `clock` is given. `slots="one"`: all accounts in one hash slot, so that a reservation
    is atomic on all of them. `"tenant"`: a slot for each tenant and one for everyone's accounts, for a Cluster; then a
    reservation on both is two steps, atomic on each: who dies in between leaves an orphan, and an id is known in its
    slots alone. `create=False` never begins books where there are none.

    A server that was flushed, or restored from other books, is `BudgetUnavailable` to whoever knew its books before,
    until somebody calls `reopen`. A process that starts then, and may create, begins new ones.

    A fail-over may lose the last writes that a master acknowledged. What this process has open is charged all the same
    when it settles. What is lost: calls that were reserved and settled within that moment, and those of workers that
    died with it. A reservation whose settlement alone was lost is charged in full when its lease ends.
    """

    def __init__(
        self,
        link: RedisLink,
        clock: Clock | None = None,
        *,
        prefix: str = "lgg",
        slots: Slots = "one",
        tenant: str = "",
        create: bool = True,
    ) -> None:
        if slots not in ("one", "tenant"):
            raise ConfigError("slots", 'must be "one" or "tenant"')
        self._link = link
        self._waiters = Waiters(clock or SystemClock())
        self._shelf = Shelf(check_prefix(prefix), slots, tenant, clock.now if clock else None, create)

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for each in _steps(commands):
            if isinstance(each, Wait):
                self._waiters.wait(each, partial(self._has_room, each))
                replies.append(None)
            else:
                replies += self._run(self._obeyed(each))
        return replies

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for each in _steps(commands):
            if isinstance(each, Wait):
                await self._waiters.await_(each, partial(self._ahas_room, each))
                replies.append(None)
            else:
                replies += await self._arun(self._obeyed(each))
        return replies

    def reopen(self, by: str, reason: str = "") -> None:
        """Go on from the books as they are, although they are not those that this process knew: after a flush, or when
        an old state was restored. Every other process goes on with them too, and the audit says who decided that."""
        self._run(people.reopen(self._shelf, by, reason))

    async def areopen(self, by: str, reason: str = "") -> None:
        """The same on the running event loop."""
        await self._arun(people.reopen(self._shelf, by, reason))

    # How

    def _run(self, flow: Asking[Any]) -> Any:
        with _unavailable():
            return run(flow, self._link.execute)

    async def _arun(self, flow: Asking[Any]) -> Any:
        with _unavailable():
            return await arun(flow, self._link.aexecute)

    def _obeyed(self, commands: Sequence[Command]) -> Asking[list[Reply]]:
        """Replies to one command, or to several that look."""
        command = commands[0]
        if isinstance(command, LOOKS):
            return (yield from look(self._shelf, commands))  # type: ignore[arg-type]  # a step has either kind
        if isinstance(command, Expire):
            return [(yield from self._expired())]
        made = self._shelf.made.of(command.id) if isinstance(command, (Settle, Release)) else ()
        reply = yield from _FLOWS[type(command)](self._shelf, command)
        if isinstance(command, (Settle, Release)):
            self._shelf.made.forget(command.id)
        self._waiters.wake(_freed(command, [account for part in made for account in part.accounts]))
        return [reply]

    def _expired(self) -> Asking[int]:
        closed: set[str] = set()
        for books in self._shelf.known():
            closed |= yield from books.expire()
        return len(closed)

    # Waiting

    def _has_room(self, wanted: Wait) -> bool:
        return bool(self._run(self._room(wanted)))

    async def _ahas_room(self, wanted: Wait) -> bool:
        return bool(await self._arun(self._room(wanted)))

    def _room(self, wanted: Wait) -> Asking[bool]:
        """Whether there seems to be room; the reservation will know."""
        accounts = tuple(charge.account for charge in wanted.charges)
        (balances,) = yield from look(self._shelf, [Read(accounts, turn=wanted.turn)])
        found = zip(wanted.charges, cast(tuple[Balance, ...], balances), strict=True)
        return all(fit(charge, balance) is not None and not balance.frozen for charge, balance in found)


def _steps(commands: Sequence[Command]) -> Iterator[Wait | list[Command]]:
    """What waits by itself, what looks together, and each other command alone."""
    for looks, each in groupby(commands, lambda command: isinstance(command, LOOKS)):
        if looks:
            yield list(each)
        else:
            for command in each:
                yield command if isinstance(command, Wait) else [command]


def _freed(command: Command, accounts: Sequence[Account]) -> set[Account | Owner]:
    """Where a command may have made room."""
    match command:
        case Adjust():
            return {command.account}
        case Thaw():
            return {command.owner}
        case _:
            return set(accounts)


@contextmanager
def _unavailable() -> Iterator[None]:
    """A store's error as the ledger's own: closed, with all that is known of it."""
    try:
        yield
    except StoreUnavailable as error:
        away = BudgetUnavailable(STORE, error.waited, "", error.why, error.address, error.advice)
        raise away from error.__cause__ or error
    except StoreRefused as error:
        refused = BudgetUnavailable(STORE, 0.0, error.reason, "", error.address, error.advice)
        raise refused from error.__cause__ or error
    except StoreError as error:
        raise BudgetUnavailable(STORE) from error.__cause__ or error
