"""What the guards say while they work: one versioned schema, and `emit`, which is a no-op until someone listens.

An event is a name from `SCHEMA` and a flat dict of its attributes. Names and values are of low cardinality and hold
figures, field names and ids that the pack made; never contents, never who somebody is. Listeners run inline, in the
order in which they came; one that fails is ignored, because nothing that watches a run may stop it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from traceback import format_tb
from typing import Any, Final

from langgraph_guard.forks import Lock

VERSION: Final = 1

# Adding a name or an attribute is compatible; to rename or remove one, raise VERSION. Pinned by tests/test_events.py.
SCHEMA: Final[Mapping[str, tuple[str, ...]]] = {
    "budget.verdict": ("guard", "route", "unit", "scope", "window", "limit", "spent", "reserved"),
    "budget.reserved": (
        "guard",
        "reservation",
        "call",
        "model",
        "provider",
        "usd",
        "tokens",
        "capped",
        "price_version",
    ),
    "budget.settled": (
        "guard",
        "reservation",
        "call",
        "model",
        "provider",
        "usd",
        "tokens",
        "outcome",
        "overrun",
        "price_version",
    ),
    "budget.released": ("guard", "reservation", "outcome"),
    "budget.denied": ("guard", "unit", "scope", "window", "limit", "spent", "reserved", "requested", "retry_after"),
    "budget.waited": ("guard", "unit", "scope", "window", "seconds"),
    "budget.away": ("backend",),
    "budget.back": ("seconds", "charged", "lost"),
    "breaker.transition": ("breaker", "key", "before", "after", "reason", "retry_at"),
    "breaker.refused": ("breaker", "key", "state", "retry_after"),
    "breaker.registry": ("breaker", "reachable", "error"),
    "approval.asked": ("guard", "tool", "quorum"),
    "approval.decided": ("guard", "tool", "decision", "quorum", "seconds"),
    "approval.expired": ("guard", "tool"),
    "effect.claimed": ("tool", "attempt"),
    "effect.ended": ("tool", "state"),
    "effect.found": ("tool", "state"),
    "effect.refused": ("tool", "reason"),
    "tool.answered": ("tool", "status", "error_type", "attempts", "seconds"),
    "tool.retried": ("tool", "attempt", "pause", "error_type"),
    "tool.replayed": ("tool", "status"),
    "tool.cleaned": ("tool", "kinds", "count"),
    "tool.offloaded": ("tool", "chars", "shown"),
    "loop.found": ("guard", "kind", "tool", "count", "rung"),
    "context.repaired": ("guard", "answers", "calls"),
    "context.compacted": (
        "guard",
        "mode",
        "before",
        "after",
        "limit",
        "messages",
        "results",
        "arguments",
        "by",
        "calls",
    ),
    "context.fallback": ("guard", "reason", "calls"),
    "context.halted": ("guard", "limit", "room", "needed"),
    "run.finished": ("guard", "status", "closed_calls", "by_model"),
}

RESERVATIONS: Final = "guard_reservations"
"""In the metadata of a metered model call while somebody listens: ids of its reservations, the outermost meter's first,
so that listeners can tell which call a charge is for. The first is the `call` of the budget's events; where callbacks
meter, that is LangChain's id of the call, in hexadecimal digits. Metadata is for callbacks alone: no provider is sent
it."""

Listener = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True, eq=False)
class _Subscription:
    """One per call of `subscribe`, so that each ends by itself."""

    listener: Listener
    told: set[str] = field(default_factory=set)
    """Kinds of failures that the log has seen."""


_listeners: tuple[_Subscription, ...] = ()
_changing = Lock()
_log = logging.getLogger(__name__)


def emit(name: str, **attributes: Any) -> None:
    """Tell the listeners. Costs well under a microsecond while there are none."""
    for subscription in _listeners:
        try:
            subscription.listener(name, attributes)
        except Exception as error:
            _tell(subscription, name, error)


def _tell(subscription: _Subscription, name: str, error: Exception) -> None:
    """Once for each kind of failure: guards speak many times a second. Where it was raised, and not what it says."""
    kind = type(error).__name__
    if kind not in subscription.told:
        subscription.told.add(kind)
        where = "".join(format_tb(error.__traceback__)).rstrip()
        _log.warning("a listener failed on %s: %s\n%s", name, kind, where)


def listening() -> bool:
    """Whether anyone listens: ask before computing something only an event needs."""
    return bool(_listeners)


def subscribe(listener: Listener) -> Callable[[], None]:
    """Add a listener; the returned function removes it again."""
    global _listeners
    entry = _Subscription(listener)
    with _changing:
        _listeners = (*_listeners, entry)

    def unsubscribe() -> None:
        global _listeners
        with _changing:
            _listeners = tuple(other for other in _listeners if other is not entry)

    return unsubscribe
