"""What the generic reducers refuse: a `ConfigError` that names the reducer and the kind of the value, no contents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph_guard.errors import ConfigError


def as_dict(reducer: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(reducer, f"takes a dict, is given a {type(value).__name__}")
    return dict(value)


def figures(reducer: str, counts: Any) -> dict[str, float]:
    return {key: figure(reducer, key, value) for key, value in as_dict(reducer, counts).items()}


def figure(reducer: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{reducer}[{key!r:.60}]", f"must be a number, is a {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{reducer}[{key!r:.60}]", f"must be finite, is {value}")
    return value


def items(reducer: str, value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ConfigError(reducer, f"takes a list, is given a {type(value).__name__}")
    return value


def labels(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple | set | frozenset):
        raise ConfigError("monotone_labels", f"takes a list of labels, is given a {type(value).__name__}")
    for label in value:
        if not isinstance(label, str):
            raise ConfigError("monotone_labels", f"a label must be a str, one is a {type(label).__name__}")
    return value


def id_of(item: Any) -> str | int:
    id = item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None)
    if not isinstance(id, str | int):
        raise ConfigError(
            "last_by_id", f"an item needs an id; of one {type(item).__name__} it is a {type(id).__name__}"
        )
    return id


def size(reducer: str, n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise ConfigError(f"{reducer}(n)", f"must be an int, is a {type(n).__name__}")
    if n < 1:
        raise ConfigError(f"{reducer}(n)", f"must be at least 1, is {n}")
    return n


def rungs(labels: Any) -> tuple[str, ...]:
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigError("highest(ladder)", "must be a list or tuple of non-empty labels, lowest first")
    if not labels or len(set(labels)) < len(labels):
        raise ConfigError("highest(ladder)", "must name each label once, and one at least")
    return tuple(labels)
