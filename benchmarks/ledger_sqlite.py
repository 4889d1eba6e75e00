"""The ledger in a file, against what there is no way around: as many transactions that only add, in a file like it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.measure import Batch, Row, interleaved, times
from langgraph_guard import SqliteBackend
from langgraph_guard.policies.ledger import Account, Charge, Reserve, Settle

ACCOUNTS = (
    Account("", "session", "t", "usd"),
    Account("", "session", "t", "model_calls", "turn"),
    Account("", "user", "u", "usd", "day"),
    Account("", "global", "", "usd", "hour"),
)


def rows(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ours, peer = ledger(Path(folder) / "guard.db"), additions(Path(folder) / "plain.db")
        timing = interleaved(ours, peer, rounds=rounds, calls=50)
        rates = (f"{1 / seconds:,.0f}/s" for seconds in (timing.ours, timing.peer))
        yield Row("ledger: sqlite, reserve and settle 4 limits against 2 transactions", *rates, timing.ratio)


def ledger(path: Path) -> Batch:
    execute = SqliteBackend(path).ledger.execute
    charges = tuple(Charge(account, 3, limit=2**50) for account in ACCOUNTS)
    ids = count()

    def reserve_and_settle() -> None:
        id = str(next(ids))
        execute([Reserve(id, charges)])
        execute([Settle(id, {"usd": 3})])

    return times(reserve_and_settle)


def additions(path: Path) -> Batch:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=NORMAL",
        "CREATE TABLE spent (account INTEGER PRIMARY KEY, usd INTEGER)",
        "INSERT INTO spent VALUES (0, 0), (1, 0), (2, 0), (3, 0)",
    ):
        connection.execute(statement)

    def add_twice() -> None:
        for _ in ("reserve", "settle"):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE spent SET usd = usd + 3")
            connection.execute("COMMIT")

    return times(add_twice)
