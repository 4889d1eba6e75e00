"""The rules of the ledger: two-phase, whole, idempotent.

rows        what a ledger keeps
checks      what it refuses before it writes
gate        the open turn, and how things stand
reserving   room on every account, or on none
closing     what it cost
by_hand     what people do, and the record of it
pages       what people read

Each rule is a function of the rows it reads; it returns its reply and the rows to write. A backend runs it inside one
atomic step: under a lock, in a transaction, or written again as a server-side script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from langgraph_guard.policies.bookkeeping.by_hand import adjust, audit, freeze, thaw
from langgraph_guard.policies.bookkeeping.closing import expire, release, settle
from langgraph_guard.policies.bookkeeping.gate import ensure_at_least, open_turn, read
from langgraph_guard.policies.bookkeeping.reserving import extend, fit, has_room, reserve
from langgraph_guard.policies.bookkeeping.rows import (
    RETENTION,
    Adjusted,
    Hold,
    Rows,
    Writes,
    account_key,
    due,
    find,
    freed,
    hold_key,
    turn_key,
)
from langgraph_guard.policies.ledger import (
    Adjust,
    Audit,
    EnsureAtLeast,
    Extend,
    Freeze,
    OpenTurn,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Thaw,
)

RULES: Final[dict[type, Callable[[Rows, Any, float], tuple[Reply, Writes]]]] = {
    OpenTurn: open_turn,
    EnsureAtLeast: ensure_at_least,
    Read: read,
    Reserve: reserve,
    Extend: extend,
    Settle: settle,
    Release: release,
    Adjust: adjust,
    Freeze: freeze,
    Thaw: thaw,
    Audit: audit,
}
"""The rule of each command that reads and writes rows by their keys."""

BY_HAND: Final = (Adjust, Freeze, Thaw)
"""The commands that may remove a row."""

FREEING: Final = (Settle, Release, Adjust, Thaw)
"""The commands that may give somebody room."""

__all__ = [
    "BY_HAND",
    "FREEING",
    "RETENTION",
    "RULES",
    "Adjusted",
    "Hold",
    "Rows",
    "Writes",
    "account_key",
    "due",
    "expire",
    "find",
    "fit",
    "freed",
    "frozen_key",
    "has_room",
    "hold_key",
    "reserve",
    "settle",
    "turn_key",
]
