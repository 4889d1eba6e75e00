"""What the summarizer keeps where it leaves the history as it is: how a model is to see it.

The reducer is associative, commutative and idempotent; {} is "nothing yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from langgraph_guard.state.order import order

Record = Mapping[str, Any]


class ContextView(TypedDict, total=False):
    """The history as a model reads it, told by the places of its messages. `SummarizationNode.view` reads it."""

    count: int  # how often it was changed: the higher stands
    upto: int  # messages that it knows of; those after them are read as they are
    mark: str  # of the history that it was made for: of another one it says nothing
    hidden: list[list[int]]  # [from, up to]: places that are not read
    changed: dict[str, dict[str, Any]]  # by place, what is read there instead


def latest_view(a: Record | None, b: Record | None) -> dict[str, Any]:
    """The view that was changed more often; of two that are equal in that, the larger text."""
    if not a or not b:
        return dict(a or b or {})
    return dict(a if _when(a) >= _when(b) else b)


def _when(view: Record) -> tuple[Any, ...]:
    return view.get("count") or 0, order(view)
