"""What the contract's files share: a ledger on a clock that a test moves, driven blocking and on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeAlias, cast

import pytest
from hypothesis import HealthCheck, settings

from langgraph_guard.backends.protocols import Backend, BudgetLedger
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Adjust,
    Audit,
    Balance,
    Charge,
    Closed,
    Command,
    Deed,
    Denied,
    EnsureAtLeast,
    Expire,
    Extend,
    Freeze,
    Granted,
    Holds,
    OpenHold,
    OpenTurn,
    Owner,
    Page,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Survey,
    Thaw,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.loop import one_loop

TENANT = "acme"

SESSION = Account(TENANT, "session", "s1", "usd")
THE_TURN = Account(TENANT, "session", "s1", "usd", TURN)
USER = Account(TENANT, "user", "42", "usd", "day")
EVERYONE = Account("", "global", "", "usd", "hour")
TOKENS = Account(TENANT, "session", "s1", "tokens")

ACCOUNTS = (SESSION, THE_TURN, USER, EVERYONE)

Way: TypeAlias = Literal["execute", "aexecute"]
WAYS: tuple[Way, ...] = ("execute", "aexecute")

# A contract's test runs under each class that inherits it, which is what this check warns of.
examples = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])


class Till:
    """A ledger driven in one of its two ways; replies have their types, balances are (spent, reserved)."""

    def __init__(self, send: Callable[[Sequence[Command]], list[Reply]]) -> None:
        self.send = send

    def reserve(self, id: str, *charges: Charge, **options: Any) -> Granted | Denied:
        return cast(Granted | Denied, self._one(Reserve(id, charges, **options)))

    def settle(self, id: str, **actual: int) -> Closed:
        return cast(Closed, self._one(Settle(id, actual)))

    def release(self, id: str) -> Closed:
        return cast(Closed, self._one(Release(id)))

    def expire(self) -> int:
        return cast(int, self._one(Expire()))

    def ensure(self, account: Account, total: int, turn: str = "") -> None:
        self._one(EnsureAtLeast(account, total, turn))

    def open_turn(self, turn: str, seq: int = 0, session: str = "s1") -> None:
        self._one(OpenTurn(TENANT, session, turn, seq))

    def extend(self, id: str, lease: float) -> bool:
        return cast(bool, self._one(Extend(id, lease)))

    def adjust(self, id: str, account: Account, by: str = "ada", **change: Any) -> Balance:
        return cast(Balance, self._one(Adjust(id, account, by, **change)))

    def freeze(self, owner: Owner, by: str = "ada") -> None:
        self._one(Freeze(owner, by))

    def thaw(self, owner: Owner, by: str = "ada") -> None:
        self._one(Thaw(owner, by))

    def audit(self, tenant: str = TENANT) -> tuple[Deed, ...]:
        return cast(tuple[Deed, ...], self._one(Audit(tenant)))

    def survey(self, tenant: str = TENANT) -> dict[Account, Balance]:
        return {item.account: item.balance for page in self.pages(Survey(tenant)) for item in page}

    def holds(self, tenant: str = TENANT) -> list[OpenHold]:
        return [item for page in self.pages(Holds(tenant)) for item in page]

    def pages(self, command: Survey | Holds) -> list[tuple[Any, ...]]:
        """The items of every page, from the first to the last."""
        found: list[tuple[Any, ...]] = []
        while True:
            page = cast(Page[Any], self._one(command))
            found.append(page.items)
            if not page.after:
                return found
            command = replace(command, after=page.after)

    def told(self, account: Account) -> Balance:
        """All that the ledger tells of an account."""
        (balance,) = cast(tuple[Balance, ...], self._one(Read((account,))))
        return balance

    def balances(self, *accounts: Account) -> list[tuple[int, int]]:
        found = cast(tuple[Balance, ...], self._one(Read(accounts)))
        return [(each.spent, each.reserved) for each in found]

    def balance(self, account: Account) -> tuple[int, int]:
        return self.balances(account)[0]

    def _one(self, command: Command) -> Reply:
        (reply,) = self.send([command])
        return reply


@contextmanager
def driven(ledger: BudgetLedger, way: Way) -> Iterator[Till]:
    """`ledger` behind a till, blocking or on an event loop that lives as long as the till."""
    if way == "execute":
        yield Till(ledger.execute)
        return
    with one_loop() as run:
        yield Till(lambda commands: run(_on_a_loop(ledger, commands)))


async def _on_a_loop(ledger: BudgetLedger, commands: Sequence[Command]) -> list[Reply]:
    return await ledger.aexecute(commands)


class Harness:
    """Fixtures over the one method that a backend's tests override."""

    trials: ClassVar[int] = 50
    """How often the races are run."""

    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        """A backend of `tenant` whose time is `clock`'s, on a store that nobody has written to."""
        raise NotImplementedError("override make_backend(self, clock, tenant)")

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def ledger(self, clock: FakeClock) -> BudgetLedger:
        return self.make_backend(clock, TENANT).ledger

    @pytest.fixture(params=WAYS)
    def till(self, request: pytest.FixtureRequest, ledger: BudgetLedger) -> Iterator[Till]:
        with driven(ledger, request.param) as till:
            yield till


def everywhere(amount: int, limit: int | None = None) -> tuple[Charge, ...]:
    """The same charge on four accounts."""
    return tuple(Charge(account, amount, limit) for account in ACCOUNTS)
