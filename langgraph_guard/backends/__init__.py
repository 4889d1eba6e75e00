"""What processes share: ledgers of money and counts. `memory` serves one process and needs nothing."""

from langgraph_guard.backends.memory import MemoryBackend
from langgraph_guard.backends.protocols import Backend, BudgetLedger, Clock, SystemClock

__all__ = ["Backend", "BudgetLedger", "Clock", "MemoryBackend", "SystemClock"]
