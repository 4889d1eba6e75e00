"""The promises of a checkpointer, one file per kind; a saver's tests inherit them all at once.

    class TestMySaver(SaverContract):
        def make_saver(self):                   # over a store, or a prefix, that is empty
            return MySaver(store, prefix=new_prefix(), allowed_types=STORED_TYPES)

        def another(self, saver):               # the same data, in a process that just started
            return MySaver(store, prefix=saver.prefix, allowed_types=STORED_TYPES)

        def of_tenant(self, saver, tenant):     # the same store, another tenant
            return MySaver(store, prefix=saver.prefix, tenant=tenant, allowed_types=STORED_TYPES)

`close` and `aclose` free what a saver holds. `CoreContract` is what LangGraph's own `InMemorySaver` keeps already; the
rest is what it leaves out or does otherwise. `Twins` runs a graph over a saver and the `ModelSaver` at once, and
compares every answer.
"""

from __future__ import annotations

from langgraph_guard.testing.contracts.saver.calls import Calls
from langgraph_guard.testing.contracts.saver.changes import Changes, Lists
from langgraph_guard.testing.contracts.saver.concurrency import Concurrency
from langgraph_guard.testing.contracts.saver.conformance import Conformance
from langgraph_guard.testing.contracts.saver.copying import Copying
from langgraph_guard.testing.contracts.saver.deletion import Deletion, Runs, Whole
from langgraph_guard.testing.contracts.saver.delta import Delta, History, Loops
from langgraph_guard.testing.contracts.saver.fidelity import AllowLists, Fidelity, Surrogates
from langgraph_guard.testing.contracts.saver.identity import Identity, Tenants, ThreadIds
from langgraph_guard.testing.contracts.saver.journeys import Journeys
from langgraph_guard.testing.contracts.saver.listing import Filters, Listing, Many, MixedListing
from langgraph_guard.testing.contracts.saver.pruning import PrunedGraphs, Pruning
from langgraph_guard.testing.contracts.saver.reading import Metadata, Reading
from langgraph_guard.testing.contracts.saver.running import Running, TimeTravel
from langgraph_guard.testing.contracts.saver.values import STORED_TYPES
from langgraph_guard.testing.contracts.saver.writes import Writes


class CoreContract(
    Conformance,
    Writes,
    Reading,
    Metadata,
    Listing,
    Filters,
    Many,
    Identity,
    Fidelity,
    AllowLists,
    Running,
    TimeTravel,
    Delta,
    History,
    Changes,
    Lists,
    Deletion,
    Journeys,
):
    """Override `make_saver` and `another`; a saver that lacks a capability of the suite says so in `capabilities`."""


class SaverContract(
    CoreContract,
    MixedListing,
    Surrogates,
    ThreadIds,
    Tenants,
    Loops,
    Whole,
    Runs,
    Copying,
    Pruning,
    PrunedGraphs,
    Calls,
    Concurrency,
):
    """Override `of_tenant` as well; slow stores may lower `trials`."""


__all__ = ["STORED_TYPES", "CoreContract", "SaverContract"]
