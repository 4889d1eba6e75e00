"""What the loop check keeps of a turn's tool calls: digests, never arguments or results, and what the model was told.

The reducer is associative, commutative and idempotent, keyed by the turn and by the place of a call; {} is "nothing
yet".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from typing_extensions import TypedDict

from langgraph_guard.policies.loops import KEPT_CALLS, RUNGS
from langgraph_guard.state.order import order

Record = Mapping[str, Any]


class LoopCall(TypedDict, total=False):
    """A tool call of the turn, without what it said."""

    round: int  # the message that asked for it, counted in the turn from 1
    tool: str
    exact: str
    near: str
    shape: str
    result: str  # "" until somebody sees it


class LoopTold(TypedDict, total=False):
    """How far up the ladder a tool has come, and in which round."""

    rung: str
    round: int


class Loops(TypedDict, total=False):
    """The newest turn: its newest calls by message and place, and the tools that were in circles."""

    turn: str
    turn_seq: int
    calls: dict[str, LoopCall]
    told: dict[str, LoopTold]


def merge_loops(a: Record | None, b: Record | None) -> dict[str, Any]:
    """Of two turns the later, by (`turn_seq`, `turn`). Of the same: the newest `KEPT_CALLS` calls, each as it was
    known last, with its result when there is one; of each tool the highest rung."""
    known = [each for each in (a, b) if each]
    newest = max(map(_turn, known), default=(0, ""))
    same = [each for each in known if _turn(each) == newest]
    return _joined(same) if same else {}


def _joined(records: list[Record]) -> dict[str, Any]:
    calls = _merged((record.get("calls") for record in records), _seen)
    newest = sorted(calls.items(), key=lambda entry: (entry[1].get("round") or 0, entry[0]))[-KEPT_CALLS:]
    return {
        "turn": records[0].get("turn") or "",
        "turn_seq": records[0].get("turn_seq") or 0,
        "calls": dict(newest),
        "told": _merged((record.get("told") for record in records), _height),
    }


def _merged(entries: Iterable[Mapping[str, Record] | None], key: Callable[[Record], Any]) -> dict[str, Record]:
    """All entries by name; of two, the higher by `key`."""
    merged: dict[str, Record] = {}
    for each in entries:
        for name, record in (each or {}).items():
            known = merged.setdefault(name, record)
            if known != record:  # to put two in order is to write both as JSON
                merged[name] = max(known, record, key=key)
    return merged


def _turn(record: Record) -> tuple[int, str]:
    return record.get("turn_seq") or 0, record.get("turn") or ""


def _seen(call: Record) -> tuple[Any, ...]:
    """The later round stands, then the record that knows the result: a total order, so that merging commutes."""
    return call.get("round") or 0, bool(call.get("result")), order(call)


def _height(told: Record) -> tuple[Any, ...]:
    rung = told.get("rung")
    return RUNGS.index(rung) if rung in RUNGS else -1, told.get("round") or 0, order(told)
