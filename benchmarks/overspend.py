"""64 threads that want to spend more than they may: the worst spent/limit of some trials.

The peer is the usual circuit breaker: read what was spent, compare, add. The switch to another thread in between is
what a database's answer is in production. Ours gives way at the same point: between reserve and settle.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator

from benchmarks.measure import Row
from langgraph_guard import MemoryBackend
from langgraph_guard.policies.ledger import Account, Charge, Granted, Read, Reserve, Settle

THREADS = 64
LIMIT, CALL = 500_000, 20_000  # micro-USD


def rows(rounds: int = 20) -> Iterator[Row]:
    ours = max(spent_by_all(Ledger()) for _ in range(rounds)) / LIMIT
    peer = max(spent_by_all(CheckThenAdd()) for _ in range(rounds)) / LIMIT
    claim = f"overspend: spent/limit of {THREADS} threads against check-then-add"
    yield Row(claim, f"{ours:.2f}", f"{peer:.2f}", ours / peer, "≤ 1", ours <= 1)


class CheckThenAdd:
    """Read, compare, add."""

    spent = 0

    def spend(self) -> bool:
        if self.spent + CALL > LIMIT:
            return False
        time.sleep(0)
        self.spent += CALL
        return True


class Ledger:
    """Reserve, settle."""

    account = Account("", "session", "t", "usd")

    def __init__(self) -> None:
        self._execute = MemoryBackend().ledger.execute

    @property
    def spent(self) -> int:
        ((balance,),) = self._execute([Read((self.account,))])  # type: ignore[misc]
        return balance.spent + balance.reserved

    def spend(self) -> bool:
        id = uuid.uuid4().hex
        (reply,) = self._execute([Reserve(id, (Charge(self.account, CALL, LIMIT),))])
        if not isinstance(reply, Granted):
            return False
        time.sleep(0)
        self._execute([Settle(id)])
        return True


def spent_by_all(breaker: CheckThenAdd | Ledger) -> int:
    start = threading.Barrier(THREADS)
    threads = [threading.Thread(target=until_refused, args=(breaker.spend, start)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return breaker.spent


def until_refused(spend: Callable[[], bool], start: threading.Barrier) -> None:
    start.wait()
    while spend():
        pass
