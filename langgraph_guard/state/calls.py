"""What guards keep of tool calls: a verdict for each, how often a tool was used, and results too big to read at once.

The reducers are associative, commutative and idempotent, keyed by tool call and artifact id; {} and [] are "nothing
yet".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from typing_extensions import TypedDict

from langgraph_guard.state.order import order

KEPT_VERDICTS: Final = 512
"""Verdicts of tool calls that stay in state, the newest: those of the calls that are about to run are among them."""

KEPT_USES: Final = 1_000
"""Calls of one tool that a session remembers. A contract cannot allow more, so the count is never short."""

KEPT_REPAIRS: Final = 64
KEPT_ARTIFACTS: Final = 200
KEPT_CHARS: Final = 4_000_000
"""Characters of artifacts that stay in state. The newest one stays whatever its size; which of the oldest go may depend
on how updates are grouped."""

Record = Mapping[str, Any]


class CallVerdict(TypedDict, total=False):
    """What a guard says of one tool call, before the tools run. `ToolGuard` answers the refused and runs the others."""

    verdict: Literal["refuse", "answer", "note", "hold", "pass"]  # `note`: it runs, and `message` is read beside it
    error_type: str  # of the `ToolResult` that answers a refused call
    message: str
    retry_at: int | None
    at: int


class ToolUse(TypedDict, total=False):
    """How a session used one tool: the calls that ran, and those of the newest turn whose arguments were wrong."""

    calls: list[str]
    repairs: list[str]
    turn: str
    turn_seq: int


class Artifact(TypedDict, total=False):
    """A tool's result that was too big for the model's context. `read_artifact` reads it."""

    id: str
    tool: str
    call: str
    text: str
    chars: int
    at: int


def merge_calls(a: Record | None, b: Record | None) -> dict[str, dict[str, Any]]:
    """Verdicts by tool call and guard: a guard's later word on a call stands; the newest `KEPT_VERDICTS`."""
    said: dict[tuple[str, str], Record] = {}
    for each in (a or {}, b or {}):
        for call, by_guard in each.items():
            for guard, verdict in by_guard.items():
                said[call, guard] = max(said.get((call, guard), verdict), verdict, key=_when)
    return _by_call(_newest_verdicts(said))


def merge_tools(a: Record | None, b: Record | None) -> dict[str, dict[str, Any]]:
    """Uses by tool. Calls only grow; repairs are those of the newest turn."""
    a, b = a or {}, b or {}
    return {tool: _used(a.get(tool) or {}, b.get(tool) or {}) for tool in (*a, *(tool for tool in b if tool not in a))}


def merge_artifacts(a: Sequence[Record] | None, b: Sequence[Record] | None) -> list[Record]:
    """Both lists as one, oldest first: each artifact once, the newest within `KEPT_ARTIFACTS` and `KEPT_CHARS`."""
    by_id: dict[str, Record] = {}
    for record in (*(a or ()), *(b or ())):
        known = by_id.setdefault(record.get("id") or "", record)
        if known != record:  # to put two in order is to write both as JSON, and they are long
            by_id[record.get("id") or ""] = max(known, record, key=_when)
    newest = sorted(by_id.values(), key=lambda each: (each.get("at") or 0, each.get("id") or ""))[-KEPT_ARTIFACTS:]
    return newest[_first_that_fits(newest) :]


def _newest_verdicts(said: Mapping[tuple[str, str], Record]) -> Iterable[tuple[tuple[str, str], Record]]:
    if len(said) <= KEPT_VERDICTS:
        return said.items()
    return sorted(said.items(), key=lambda entry: (entry[1].get("at") or 0, entry[0]))[-KEPT_VERDICTS:]


def _by_call(entries: Iterable[tuple[tuple[str, str], Record]]) -> dict[str, dict[str, Any]]:
    calls: dict[str, dict[str, Any]] = {}
    for (call, guard), verdict in entries:
        calls.setdefault(call, {})[guard] = verdict
    return calls


def _used(a: Record, b: Record) -> dict[str, Any]:
    seq, turn = max(_turn(a), _turn(b))
    repairs = (each.get("repairs") for each in (a, b) if _turn(each) == (seq, turn))
    return {
        "calls": _union(a.get("calls"), b.get("calls"))[:KEPT_USES],
        "repairs": _union(*repairs)[:KEPT_REPAIRS],
        "turn": turn,
        "turn_seq": seq,
    }


def _union(*lists: Iterable[str] | None) -> list[str]:
    """Sorted, because which branch came first means nothing."""
    return sorted({id for each in lists for id in each or ()})


def _first_that_fits(artifacts: Sequence[Record]) -> int:
    """Where the newest artifacts begin that have no more than `KEPT_CHARS` together."""
    chars = 0
    for at in range(len(artifacts) - 1, -1, -1):
        chars += len(artifacts[at].get("text") or "")
        if chars > KEPT_CHARS and at < len(artifacts) - 1:
            return at + 1
    return 0


def _turn(use: Record) -> tuple[int, str]:
    return use.get("turn_seq") or 0, use.get("turn") or ""


def _when(record: Record) -> tuple[Any, ...]:
    return record.get("at") or 0, order(record)
