"""The values of the `guard_` keys. Builtins that JSON knows; money is integer micro-USD, instants are ms since 1970.

Any field may be absent: an update says what it knows, and {} is "nothing yet".
"""

from __future__ import annotations

from typing_extensions import TypedDict


class Turn(TypedDict, total=False):
    """The turn that a thread is in: from one human message of the input to the next."""

    id: str  # of the message that opened it, or of the run when no message did
    seq: int  # 1 for a thread's first
    opened_at: int
    active_ms: int  # without the time spent waiting for people
    steps: int  # supersteps before the gate's newest visit, from its first on
    last_step: int  # which of the thread's that visit was; 0 in a subgraph, and where nobody counted
    cycle: int  # the longest way between two visits of the gate, in supersteps
    seen: list[str]  # ids of earlier turns, newest last


class Spent(TypedDict, total=False):
    """What the ledger has settled for the session and for its newest turn: totals by unit, which only grow."""

    session: dict[str, int]
    turn: dict[str, int]
    turn_id: str
    turn_seq: int


class Asked(TypedDict, total=False):
    """Tool calls that were charged together when a model asked for them, so that nobody charges them where they run."""

    id: str  # of the reservation
    guard: str
    calls: dict[str, str]  # each call's tool, by the id of the call
    open: bool  # whether what their units cost is still to be settled
    at: int


class Verdict(TypedDict, total=False):
    """What a guard says of the run as it stands. `route` is the word that its conditional edges follow."""

    route: str
    reason: str
    turn: str
    at: int


class Decision(TypedDict, total=False):
    """Why a guard warned or stopped a run, with the figures of the limit that decided."""

    id: str
    guard: str
    route: str
    reason: str
    unit: str
    scope: str
    window: str | None
    limit: int
    spent: int
    reserved: int
    requested: int
    aside: int  # of the limit, kept for the closing answer
    retry_after: float | None  # seconds; None when waiting does not help
    tool: str
    kind: str  # of loop
    count: int
    detail: str  # in words, where there are no figures
    asked_by: str | None  # the message whose calls were refused
    turn: str
    turn_seq: int
    at: int
