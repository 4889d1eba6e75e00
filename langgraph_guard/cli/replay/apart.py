"""Stores of its own for a replay: what it spends, asks and does is nobody else's business.

Guards share ledgers, circuits, approval desks and outboxes with production. While a replay runs, each backend of this
process has empty ones in memory instead, and the tenant and the clock that it has: no customer's limit is charged, no
reviewer is asked, no circuit hears of it, no execution is claimed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from langgraph_guard.backends.memory import MemoryBackend
from langgraph_guard.backends.protocols import ApprovalDesk, Clock
from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.tools import CircuitBreaker
from langgraph_guard.tools.approvals import Approvals
from langgraph_guard.tools.breaker.shared import SharedCircuits

STORES: Final = ("ledger", "breakers", "desk", "outbox")

DeskOver = Callable[[ApprovalDesk, Clock], ApprovalDesk]
"""From the desk of production, and its clock, to the one that the replay sees."""


HOLDERS: Final = {Meter: "backend", Approvals: "_backend", CircuitBreaker: "_backend"}
"""Where guards hold their backend."""


@contextmanager
def apart(desk_over: DeskOver | None = None) -> Iterator[None]:
    """Within it, nothing reaches the stores that this process shares with others."""
    ours = (MemoryBackend, SqliteBackend, *_redis())
    found = [(each, each if isinstance(each, ours) else getattr(each, _place(each))) for each in _living(ours)]
    own: dict[int, MemoryBackend] = {}
    for _, backend in found:  # All of them before any is replaced: one may be around another.
        if id(backend) not in own:
            own[id(backend)] = _stores(backend, desk_over)
    with ExitStack() as undo:
        for each, backend in found:
            stores = own[id(backend)]
            if isinstance(each, CircuitBreaker):
                _switch(undo, each, stores)
            if each is backend:  # In its place, for whoever holds it.
                for name in STORES:
                    _put(undo, each, name, getattr(stores, name))
            elif not isinstance(backend, ours):
                _put(undo, each, _place(each), stores)
        yield


def _living(ours: tuple[type, ...]) -> list[Any]:
    """What there is of backends and of what holds them. Not found from the graph: a node may use what it finds in its
    module, and what is overlooked is written to."""
    gc.collect()  # What nobody holds any more may be half of what it was.
    kinds = (*ours, *HOLDERS)
    return [each for each in gc.get_objects() if issubclass(type(each), kinds)]


def _place(holder: Any) -> str:
    return next(name for kind, name in HOLDERS.items() if isinstance(holder, kind))


def _stores(backend: Any, desk_over: DeskOver | None) -> MemoryBackend:
    stores = MemoryBackend(tenant=backend.tenant, clock=backend.clock)
    if desk_over is not None and hasattr(backend, "desk"):
        stores.desk = desk_over(backend.desk, backend.clock)  # type: ignore[assignment]  # any desk will do
    return stores


def _redis() -> tuple[type, ...]:
    """There is one only where its module is loaded, and a replay does not load it."""
    module = sys.modules.get("langgraph_guard.backends.redis")
    return (module.RedisBackend,) if module is not None else ()


def _switch(undo: ExitStack, breaker: CircuitBreaker, stores: MemoryBackend) -> None:
    """Circuits hold the registry itself, and remember what they saw of it."""
    held = breaker._circuits
    fresh = SharedCircuits(breaker.name, stores)
    for name in vars(fresh):
        _put(undo, held, name, getattr(fresh, name))
    breaker._calls.cache_clear()
    undo.callback(breaker._calls.cache_clear)


def _put(undo: ExitStack, holder: Any, name: str, value: Any) -> None:
    undo.callback(setattr, holder, name, getattr(holder, name))
    setattr(holder, name, value)
