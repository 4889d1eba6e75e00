"""What travels in the graph: the keys that guards keep in a thread's state, and reducers that make them hold.

records     the values: a turn, what was spent, tool calls that are charged, a verdict, a decision
keys        `BudgetState` and `GuardState`: the keys, each with its reducer
reducers    how the pack's own keys merge
calls       what is kept of tool calls, and how it merges
loops       what the loop check keeps, and how it merges
context     what the summarizer keeps, and how it merges
generic     reducers for keys of your own: `Annotated[dict, sum_by_key]`, `Annotated[list, last(100)]`, …
order       which of two values stays, whoever came first

Values are builtins that JSON knows, so every checkpointer brings them back as they were, strict msgpack included.
"""

from __future__ import annotations

from langgraph_guard.state.calls import (
    Artifact,
    CallVerdict,
    ToolUse,
    merge_artifacts,
    merge_calls,
    merge_tools,
)
from langgraph_guard.state.context import ContextView, latest_view
from langgraph_guard.state.generic import (
    first_wins,
    highest,
    last,
    last_by_id,
    max_by_key,
    monotone_labels,
    sum_by_key,
    union_by_key,
)
from langgraph_guard.state.keys import REDUCERS, BudgetState, ContextState, GuardState, LoopState, ToolState
from langgraph_guard.state.loops import LoopCall, Loops, LoopTold, merge_loops
from langgraph_guard.state.records import Asked, Decision, Spent, Turn, Verdict
from langgraph_guard.state.reducers import (
    KEPT_ASKED,
    KEPT_DECISIONS,
    append_decisions,
    first_halt,
    latest_turn,
    merge_asked,
    merge_usage,
    merge_verdicts,
)

__all__ = [
    "KEPT_ASKED",
    "KEPT_DECISIONS",
    "REDUCERS",
    "Artifact",
    "Asked",
    "BudgetState",
    "CallVerdict",
    "ContextState",
    "ContextView",
    "Decision",
    "GuardState",
    "LoopCall",
    "LoopState",
    "LoopTold",
    "Loops",
    "Spent",
    "ToolState",
    "ToolUse",
    "Turn",
    "Verdict",
    "append_decisions",
    "first_halt",
    "first_wins",
    "highest",
    "last",
    "last_by_id",
    "latest_turn",
    "latest_view",
    "max_by_key",
    "merge_artifacts",
    "merge_asked",
    "merge_calls",
    "merge_loops",
    "merge_tools",
    "merge_usage",
    "merge_verdicts",
    "monotone_labels",
    "sum_by_key",
    "union_by_key",
]
