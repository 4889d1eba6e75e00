"""Concurrency: many threads and many tasks on one ledger, and not a micro-USD too much at any moment."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Final, TypeAlias, TypeVar, cast

from langgraph_guard.backends.protocols import BudgetLedger
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.ledger import (
    Account,
    Balance,
    Charge,
    Command,
    Granted,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import EVERYONE, TENANT, USER, Harness

THREADS: Final = 64
TASKS: Final = 200
CALLS: Final = 4

LIMITS: Final[dict[Account, int]] = {USER: 900, EVERYONE: 1_000, Account(TENANT, "session", "s1", "usd"): 800}

Result = TypeVar("Result")
Worker: TypeAlias = Generator[Sequence[Command], list[Reply], int]


def spend(worker: int, trial: int, seen: list[tuple[Balance, ...]]) -> Worker:
    """Make calls of random size; returns what they cost. Balances go to `seen` after every step."""
    dice = random.Random(trial * 1_000 + worker)
    accounts = tuple(LIMITS)
    total = 0
    for call in range(CALLS):
        held, id = dice.randint(1, 30), f"{trial}-{worker}-{call}"
        charges = tuple(Charge(account, held, LIMITS[account], dice.choice((None, 1))) for account in accounts)
        (reply,) = yield [Reserve(id, charges)]
        seen.append(cast(tuple[Balance, ...], (yield [Read(accounts)])[0]))
        if not isinstance(reply, Granted):
            continue
        if dice.random() < 0.2:
            yield [Release(id)]
            continue
        cost = dice.randint(0, min(reply.amounts))
        yield [Settle(id, {"usd": cost})]
        seen.append(cast(tuple[Balance, ...], (yield [Read(accounts)])[0]))
        total += cost
    return total


class Concurrency(Harness):
    """Σ spent ≤ limit, at every prefix of every history, whoever else is spending."""

    def test_threads_spend_no_more_than_the_limit(self) -> None:
        """A check and a charge that are two steps overspend by half with this many workers."""
        for trial in range(self.trials):
            ledger = self.make_backend(FakeClock(), TENANT).ledger
            seen: list[tuple[Balance, ...]] = []
            costs = _in_threads(lambda worker: run(spend(worker, trial, seen), ledger.execute))  # noqa: B023 - run now
            _check_books(ledger, seen, sum(costs))

    def test_tasks_spend_no_more_than_the_limit(self) -> None:
        """The same on one event loop, where every await lets others in."""
        for trial in range(self.trials):
            ledger = self.make_backend(FakeClock(), TENANT).ledger
            seen: list[tuple[Balance, ...]] = []
            costs = asyncio.run(_in_tasks(ledger, trial, seen))
            _check_books(ledger, seen, sum(costs))

    def test_one_id_from_many_threads_is_one_reservation(self) -> None:
        """A retry may overtake the attempt that it replaces."""
        for _ in range(self.trials):
            ledger = self.make_backend(FakeClock(), TENANT).ledger
            reserve = Reserve("r", (Charge(USER, 30, 100), Charge(EVERYONE, 30, 100)))
            replies = _in_threads(lambda _: ledger.execute([reserve])[0], 32)  # noqa: B023 - run now
            assert replies == [Granted("r", (30, 30))] * 32
            assert ledger.execute([Read((USER, EVERYONE))])[0] == _balances(ledger, USER, EVERYONE, reserved=30)

    def test_one_settlement_from_many_threads_is_one(self) -> None:
        """Each thread is told that it is closed, and it is charged once."""
        for _ in range(self.trials):
            ledger = self.make_backend(FakeClock(), TENANT).ledger
            ledger.execute([Reserve("r", (Charge(USER, 30, 100), Charge(EVERYONE, 30, 100)))])
            _in_threads(lambda _: ledger.execute([Settle("r", {"usd": 12})])[0], 32)  # noqa: B023 - run now
            assert ledger.execute([Read((USER, EVERYONE))])[0] == _balances(ledger, USER, EVERYONE, spent=12)


def _balances(ledger: BudgetLedger, *accounts: Account, spent: int = 0, reserved: int = 0) -> tuple[Balance, ...]:
    found = cast(tuple[Balance, ...], ledger.execute([Read(accounts)])[0])
    return tuple(balance._replace(spent=spent, reserved=reserved) for balance in found)


def _check_books(ledger: BudgetLedger, seen: list[tuple[Balance, ...]], cost: int) -> None:
    for balances in seen:
        for balance, limit in zip(balances, LIMITS.values(), strict=True):
            assert 0 <= balance.spent + balance.reserved <= limit
    final = cast(tuple[Balance, ...], ledger.execute([Read(tuple(LIMITS))])[0])
    assert [(each.spent, each.reserved) for each in final] == [(cost, 0)] * len(LIMITS)


def _in_threads(work: Callable[[int], Result], number: int = THREADS) -> list[Result]:
    """`work` in as many threads at once, which change hands as often as the interpreter can."""
    start = Barrier(number)

    def begin(worker: int) -> Result:
        start.wait()
        return work(worker)

    with _hasty_threads(), ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


@contextmanager
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


async def _in_tasks(ledger: BudgetLedger, trial: int, seen: list[tuple[Balance, ...]]) -> list[int]:
    async def execute(commands: Sequence[Command]) -> list[Reply]:
        await asyncio.sleep(0)
        return await ledger.aexecute(commands)

    return await asyncio.gather(*(arun(spend(worker, trial, seen), execute) for worker in range(TASKS)))
