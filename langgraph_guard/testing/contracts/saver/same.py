"""Equal values of equal types, all the way down: `1` is not `True`, and a tuple is not a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment] # arrays cannot occur then


def same(one: Any, other: Any) -> bool:
    """Whether nobody could tell one from the other."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(key in other and same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if np is not None and isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def agree(one: CheckpointTuple | None, other: CheckpointTuple | None) -> None:
    """Both are the same checkpoint, or both are none."""
    if one is None or other is None:
        assert one is other, f"{_told(one)} is not {_told(other)}"
        return
    for name, left, right in zip(_PARTS, _parts(one), _parts(other), strict=True):
        assert same(left, right), f"{name} of {_told(one)}: {_difference(left, right)}"


def thread_of(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


_PARTS = ("config", "checkpoint", "metadata", "parent", "writes")


def _parts(found: CheckpointTuple) -> tuple[Any, ...]:
    return (
        _where(found.config),
        dict(found.checkpoint),
        dict(found.metadata),
        _where(found.parent_config),
        [tuple(write) for write in found.pending_writes or []],
    )


def _where(config: RunnableConfig | None) -> tuple[str, str, str] | None:
    if config is None:
        return None
    found = config["configurable"]
    return str(found["thread_id"]), found.get("checkpoint_ns", ""), found["checkpoint_id"]


def _told(found: CheckpointTuple | None) -> str:
    return "nothing" if found is None else f"{_where(found.config)} at step {found.metadata.get('step')}"


def _difference(left: Any, right: Any) -> str:
    """The first place at which they differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in {**left, **right}:
            if key not in left or key not in right or not same(left[key], right[key]):
                return f"[{key!r}] " + _difference(left.get(key, "(missing)"), right.get(key, "(missing)"))
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for at, pair in enumerate(zip(left, right, strict=True)):
            if not same(*pair):
                return f"[{at}] " + _difference(*pair)
    return f"{left!r:.500} is not {right!r:.500}"
