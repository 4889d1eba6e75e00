"""The ledgers: in memory against as many additions to a dict under a lock, in a file and on Redis against theirs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count

from benchmarks import ledger_redis, ledger_server, ledger_sqlite
from benchmarks.measure import Batch, Row, interleaved, times
from langgraph_guard import MemoryBackend
from langgraph_guard.policies.ledger import Account, Charge, Reserve, Settle

ACCOUNTS = (
    Account("", "session", "t", "usd"),
    Account("", "session", "t", "model_calls", "turn"),
    Account("", "user", "u", "usd", "day"),
)
AMOUNT = 3


def rows(rounds: int = 100) -> Iterator[Row]:
    timing = interleaved(ledger(), additions(), rounds=rounds, calls=200)
    ours, peer = (f"{1 / seconds:,.0f}/s" for seconds in (timing.ours, timing.peer))
    yield Row("ledger: reserve and settle 3 limits against 2 × 3 additions under a lock", ours, peer, timing.ratio)
    yield from ledger_sqlite.rows(rounds)
    few = max(1, rounds // 20)  # they wait for a server
    yield from ledger_redis.rows(few)
    yield from ledger_server.rows(few)


def ledger() -> Batch:
    execute = MemoryBackend().ledger.execute
    charges = tuple(Charge(account, AMOUNT, limit=2**53 - 1) for account in ACCOUNTS)
    cost = {"usd": AMOUNT, "model_calls": AMOUNT}
    ids = count()

    def reserve_and_settle() -> None:
        id = str(next(ids))
        execute([Reserve(id, charges)])
        execute([Settle(id, cost)])

    return times(reserve_and_settle)


def additions() -> Batch:
    lock = threading.Lock()
    spent: Counter[Account] = Counter()

    def add_twice() -> None:
        for _ in ("reserve", "settle"):
            with lock:
                for account in ACCOUNTS:
                    spent[account] += AMOUNT

    return times(add_twice)
