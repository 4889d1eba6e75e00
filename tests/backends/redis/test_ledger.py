"""The ledger on a Redis server: all that a ledger promises."""

from __future__ import annotations

from langgraph_guard.testing.contracts import LedgerContract
from tests.backends.redis import places


class TestRedisLedger(places.OnRedis, LedgerContract):
    trials = 3
