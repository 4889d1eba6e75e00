"""The embedded ledger: all that a ledger promises."""

from __future__ import annotations

from langgraph_guard.backends import Backend, MemoryBackend
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import LedgerContract


class TestMemoryLedger(LedgerContract):
    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        return MemoryBackend(tenant=tenant, clock=clock)
