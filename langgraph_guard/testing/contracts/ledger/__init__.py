"""The promises of a budget ledger, one file per kind; a backend's tests inherit them all at once."""

from __future__ import annotations

from langgraph_guard.testing.contracts.ledger.amounts import Amounts
from langgraph_guard.testing.contracts.ledger.by_hand import ByHand
from langgraph_guard.testing.contracts.ledger.closing import Closing
from langgraph_guard.testing.contracts.ledger.concurrency import Concurrency
from langgraph_guard.testing.contracts.ledger.extending import Extending
from langgraph_guard.testing.contracts.ledger.faults import Faults
from langgraph_guard.testing.contracts.ledger.histories import Histories
from langgraph_guard.testing.contracts.ledger.names import Names
from langgraph_guard.testing.contracts.ledger.orphans import Orphans
from langgraph_guard.testing.contracts.ledger.pages import Pages
from langgraph_guard.testing.contracts.ledger.periods import Periods
from langgraph_guard.testing.contracts.ledger.reserving import Reserving
from langgraph_guard.testing.contracts.ledger.turns import Turns
from langgraph_guard.testing.contracts.ledger.waking import Waking


class LedgerContract(
    Reserving,
    Closing,
    Extending,
    Orphans,
    Amounts,
    Periods,
    Turns,
    Names,
    ByHand,
    Pages,
    Waking,
    Faults,
    Concurrency,
    Histories,
):
    """Override `make_backend`; slow stores may lower `trials`."""


__all__ = ["LedgerContract"]
