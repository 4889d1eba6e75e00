"""Faults: whatever is lost on the way to the store, in whatever order workers act, the books are right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Final, Literal, TypeAlias

import pytest

from langgraph_guard.policies.ledger import Charge, Denied
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import SESSION, TENANT, USER, WAYS, Harness, Till, Way, driven

Fault: TypeAlias = Literal["lost request", "lost answer", "crash"]
FAULTS: Final[tuple[Fault, ...]] = ("lost request", "lost answer", "crash")

RESERVED: Final = {"a": 50, "b": 60, "c": 40}
COST: Final = {"a": 35, "b": 60, "c": 5}
LIMIT: Final = 100
LEASE: Final = 60.0

# Three workers, each of whom acts twice: whose turn it is, in all 90 orders.
ORDERS: Final = sorted(set(permutations("aabbcc")))
# Where one fault strikes: at which of a worker's two steps, or nowhere.
STRIKES: Final[list[tuple[str, int, Fault] | None]] = [None, *product("abc", (0, 1), FAULTS)]


class Faults(Harness):
    """A lost request, a lost answer and a dead worker, at each step of every order of three workers."""

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("strike", STRIKES, ids=lambda s: "-".join(map(str, s)) if s else "no fault")
    def test_no_order_and_no_fault_spoils_the_books(self, strike: tuple[str, int, Fault] | None, way: Way) -> None:
        """Within the limit at every step; afterwards nothing is held, and spent is what the calls cost."""
        clock = FakeClock()
        with driven(self.make_backend(clock, TENANT).ledger, way) as till:
            for number, order in enumerate(ORDERS):
                account = USER._replace(id=str(number))
                steps = list(_play(till, order, strike, account.id))
                clock.advance(LEASE)
                till.expire()
                assert all(spent + reserved <= LIMIT for spent, reserved, _ in steps)
                assert till.balances(account, SESSION._replace(id=account.id)) == [(steps[-1][2], 0)] * 2


def _play(
    till: Till, order: tuple[str, ...], strike: tuple[str, int, Fault] | None, id: str
) -> Iterator[tuple[int, int, int]]:
    """Let the workers act; after each step what is spent and reserved, and what it will be when leases have ended."""
    step = dict.fromkeys("abc", 0)
    gone: set[str] = set()
    billed = 0
    for worker in order:
        fault: Fault | None = strike[2] if strike and strike[:2] == (worker, step[worker]) else None
        if worker not in gone:
            billed += _act(till, worker, step[worker], fault, id, gone)
        step[worker] += 1
        yield (*till.balance(USER._replace(id=id)), billed)


def _act(till: Till, worker: str, step: int, fault: Fault | None, id: str, gone: set[str]) -> int:
    """One step of a worker; by how much it changes the final bill."""
    if fault == "crash":
        gone.add(worker)
        return 0  # before it could send: a reservation that stands is charged, which was counted when it was made
    times = 2 if fault == "lost answer" else 1  # a lost request is sent again and arrives once
    reservation, held, cost = f"{id}-{worker}", RESERVED[worker], COST[worker]
    charges = (Charge(USER._replace(id=id), held, LIMIT), Charge(SESSION._replace(id=id), held))
    if step == 1:
        for _ in range(times):
            till.settle(reservation, usd=cost)
        return cost - held
    replies = [till.reserve(reservation, *charges, lease=LEASE) for _ in range(times)]
    if isinstance(replies[0], Denied):
        gone.add(worker)
        return 0
    return held
