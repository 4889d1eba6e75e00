"""The promises of a registry of circuits, one file per kind; a backend's tests inherit them all at once."""

from __future__ import annotations

from langgraph_guard.testing.contracts.breakers.by_hand import ByHand
from langgraph_guard.testing.contracts.breakers.concurrency import Concurrency
from langgraph_guard.testing.contracts.breakers.histories import Histories
from langgraph_guard.testing.contracts.breakers.names import Names
from langgraph_guard.testing.contracts.breakers.opening import Opening
from langgraph_guard.testing.contracts.breakers.probing import Probing
from langgraph_guard.testing.contracts.breakers.waiting import Waiting


class BreakerContract(Opening, Waiting, Probing, ByHand, Names, Concurrency, Histories):
    """Override `make_registry`."""


__all__ = ["BreakerContract"]
