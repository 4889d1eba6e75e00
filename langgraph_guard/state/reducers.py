"""How the pack's own keys merge. Each is associative, idempotent and pure; {}, [] and None are "nothing yet".

All but `merge_verdicts` commute as well: replays, retries, parallel branches and time travel never count twice,
and never depend on the order in which LangGraph applies them. Pure, because conditional edges apply a node's
writes to copies of a channel that share its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langgraph_guard.policies.turns import SEEN_TURNS
from langgraph_guard.state.order import larger, order

KEPT_DECISIONS: Final = 50
"""Decisions that stay in state, newest first to stay. The full trail is what `events` says."""

KEPT_ASKED: Final = 16
"""Batches of tool calls that are known to be charged. A call of an older one, if it runs yet, is charged again."""

Record = Mapping[str, Any]


def latest_turn(a: Record | None, b: Record | None) -> dict[str, Any]:
    """The later turn, by (`seq`, `id`). Two views of the same turn join: counters grow, it opened when it opened.

    `seen` keeps its order, newest last, so of two lists the longer one stays as it is; a union would have to guess.
    """
    a, b = _bounded(a), _bounded(b)
    if not a or not b:
        return a or b
    if _turn(a) != _turn(b):
        return max(a, b, key=_turn)
    return _joined(a, b)


def merge_usage(a: Record | None, b: Record | None) -> dict[str, Any]:
    """Ledger totals by unit, the larger of each: `session` for good, `turn` for the latest (`turn_seq`, `turn_id`)."""
    if not a or not b:
        return dict(a or b or {})
    seq, id = max(_spent_in(a), _spent_in(b))
    turns = (each.get("turn") for each in (a, b) if _spent_in(each) == (seq, id))
    session = _most(a.get("session"), b.get("session"))
    return {"session": session, "turn": _most(*turns), "turn_id": id, "turn_seq": seq}


def merge_verdicts(a: Record | None, b: Record | None) -> dict[str, Any]:
    """Verdicts by guard; a guard's newest word stands, so of two for the same guard the right one wins.

    Branches of different guards commute. One guard's verdicts do not, and need not: it runs once in a superstep.
    """
    return {**(a or {}), **(b or {})}


def append_decisions(a: Sequence[Record] | None, b: Sequence[Record] | None) -> list[Record]:
    """Both lists as one, ordered by (`at`, `turn_seq`, `id`): each decision once, and the newest `KEPT_DECISIONS`.

    Of two records with the same id the later one stays, and between equally late ones the larger text.
    """
    return _newest(a, b, _when)[-KEPT_DECISIONS:]


def merge_asked(a: Sequence[Record] | None, b: Sequence[Record] | None) -> list[Record]:
    """Both lists as one, by (`at`, `id`): each batch once, settled if either says so, the newest `KEPT_ASKED`."""
    return _newest(a, b, _asked)[-KEPT_ASKED:]


def first_halt(a: Record | None, b: Record | None) -> dict[str, Any]:
    """What stopped the latest turn: of its halts the earliest by (`at`, `id`). A later turn's halt replaces it.

    The ids of the pack's decisions grow: those of a millisecond stay in the order in which they were made.
    """
    a, b = dict(a or {}), dict(b or {})
    if not a or not b:
        return a or b
    if _stopped(a) != _stopped(b):
        return max(a, b, key=_stopped)
    return min(a, b, key=_when)


def _turn(turn: Record) -> tuple[int, str]:
    return turn.get("seq") or 0, turn.get("id") or ""


def _spent_in(usage: Record) -> tuple[int, str]:
    return usage.get("turn_seq") or 0, usage.get("turn_id") or ""


def _stopped(halt: Record) -> tuple[int, str]:
    return halt.get("turn_seq") or 0, halt.get("turn") or ""


def _when(decision: Record) -> tuple[Any, ...]:
    return decision.get("at") or 0, decision.get("turn_seq") or 0, decision.get("id") or "", order(decision)


def _asked(batch: Record) -> tuple[Any, ...]:
    return batch.get("at") or 0, batch.get("id") or "", not batch.get("open"), order(batch)


def _newest(a: Sequence[Record] | None, b: Sequence[Record] | None, key: Callable[[Record], Any]) -> list[Record]:
    """Records of both lists by their ids, in the order of `key`; of two with the same id the later one."""
    by_id: dict[str, Record] = {}
    for record in (*(a or ()), *(b or ())):
        id = record.get("id") or order(record)[1]
        by_id[id] = max(by_id.get(id, record), record, key=key)
    return sorted(by_id.values(), key=key)


def _bounded(turn: Record | None) -> dict[str, Any]:
    known = dict(turn or {})
    if "seen" in known:
        known["seen"] = list(known["seen"] or ())[-SEEN_TURNS:]
    return known


def _longer(a: list[str], b: list[str]) -> list[str]:
    return max(a, b, key=lambda ids: (len(ids), ids))


_JOIN: Final[dict[str, Callable[[Any, Any], Any]]] = {"opened_at": min, "seen": _longer}


def _joined(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Two records of the same thing: what either knows, and of what both know the one that `_JOIN` says."""
    return {**a, **b} | {key: _JOIN.get(key, larger)(a[key], b[key]) for key in a if key in b}


def _most(*counts: Mapping[str, int] | None) -> dict[str, int]:
    """The largest figure of each unit."""
    known = [each for each in counts if each]
    return {unit: max(each[unit] for each in known if unit in each) for each in known for unit in each}
