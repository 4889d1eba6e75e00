"""The keys that guards keep in a thread's state. A guard node brings its own; inherit these to make them public."""

# No postponed annotations here: in a host that inherits these, names would be looked up among the host's own.

from collections.abc import Callable
from typing import Annotated, Any, Final

from typing_extensions import TypedDict, get_type_hints

from langgraph_guard.state.calls import Artifact, CallVerdict, ToolUse, merge_artifacts, merge_calls, merge_tools
from langgraph_guard.state.context import ContextView, latest_view
from langgraph_guard.state.generic import monotone_labels
from langgraph_guard.state.loops import Loops, merge_loops
from langgraph_guard.state.records import Asked, Decision, Spent, Turn, Verdict
from langgraph_guard.state.reducers import (
    append_decisions,
    first_halt,
    latest_turn,
    merge_asked,
    merge_usage,
    merge_verdicts,
)


class BudgetState(TypedDict, total=False):
    """What a budget keeps.

    `class State(MessagesState, BudgetState): …` makes the keys part of your graph's input and output.
    """

    guard_turn: Annotated[Turn, latest_turn]
    guard_usage: Annotated[Spent, merge_usage]
    guard_asked: Annotated[list[Asked], merge_asked]  # tool calls that are charged, in the batches of their answers
    guard_verdicts: Annotated[dict[str, Verdict], merge_verdicts]  # by the guard's name
    guard_decisions: Annotated[list[Decision], append_decisions]  # warnings and refusals, oldest first
    guard_halt: Annotated[Decision, first_halt]  # what stopped the turn


class ToolState(TypedDict, total=False):
    """What is kept of tool calls."""

    guard_calls: Annotated[dict[str, dict[str, CallVerdict]], merge_calls]  # by call id and guard
    guard_tools: Annotated[dict[str, ToolUse], merge_tools]  # by the tool's name
    guard_artifacts: Annotated[list[Artifact], merge_artifacts]
    guard_taint: Annotated[list[str], monotone_labels]  # untrusted tools whose results are in the context


class LoopState(TypedDict, total=False):
    """What the loop check keeps."""

    guard_loops: Annotated[Loops, merge_loops]  # the newest turn's calls as digests, and what the model was told


class ContextState(TypedDict, total=False):
    """What the summarizer keeps, with `mode="view"`."""

    guard_view: Annotated[ContextView, latest_view]


class GuardState(BudgetState, ToolState, LoopState, ContextState, total=False):
    """Everything that the pack keeps."""


REDUCERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    key: hint.__metadata__[-1] for key, hint in get_type_hints(GuardState, include_extras=True).items()
}
"""The reducer of each key, for code that merges updates outside of a graph."""
