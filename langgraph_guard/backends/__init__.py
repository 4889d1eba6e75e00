"""What processes share: ledgers of money and counts, circuits, approvals, an outbox. `memory` serves one process,
`sqlite` one machine, `redis` as many as there are; `local` goes on for a while when what is shared is away."""

from langgraph_guard.backends.memory import MemoryBackend
from langgraph_guard.backends.protocols import Backend, BreakerRegistry, BudgetLedger, Clock, SystemClock

__all__ = ["Backend", "BreakerRegistry", "BudgetLedger", "Clock", "MemoryBackend", "SystemClock"]
