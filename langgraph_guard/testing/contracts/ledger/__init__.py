"""The promises of a budget ledger, one file per kind; a backend's tests inherit them all at once."""

from __future__ import annotations

from langgraph_guard.testing.contracts.ledger.amounts import Amounts
from langgraph_guard.testing.contracts.ledger.closing import Closing
from langgraph_guard.testing.contracts.ledger.concurrency import Concurrency
from langgraph_guard.testing.contracts.ledger.faults import Faults
from langgraph_guard.testing.contracts.ledger.histories import Histories
from langgraph_guard.testing.contracts.ledger.names import Names
from langgraph_guard.testing.contracts.ledger.orphans import Orphans
from langgraph_guard.testing.contracts.ledger.periods import Periods
from langgraph_guard.testing.contracts.ledger.reserving import Reserving
from langgraph_guard.testing.contracts.ledger.turns import Turns


class LedgerContract(Reserving, Closing, Orphans, Amounts, Periods, Turns, Names, Faults, Concurrency, Histories):
    """Override `make_backend`; slow stores may lower `trials`."""


__all__ = ["LedgerContract"]
