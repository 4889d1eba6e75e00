"""What `--set` writes into the copy: a key of the state, or a part of one, `order.address.city=Bonn`.

It is written as an update of a node is: where a key has a reducer, that puts old and new together. So
`messages=[{"role": "user", "content": "…"}]` adds a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from langgraph_guard.errors import ConfigError

OURS: Final = "guard_"
"""Keys of the guards' own: not what anybody means to try out."""


def changes(graph: Pregel[Any, Any, Any, Any], at: StateSnapshot, said: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The update that these come to. Raises `ConfigError` for keys that the state does not have."""
    keys = [name for name in graph.channels if not name.startswith("__") and ":" not in name]
    found: dict[str, Any] = {}
    for name, value in said:
        if name in keys:
            found[name] = value
            continue
        key, dot, path = name.partition(".")
        if key not in keys:
            raise ConfigError("set", f"the state has no key {key!r}; it has {_listed(keys)}")
        whole = found[key] if key in found else deepcopy(_values(at).get(key))
        found[key] = _with(name, whole, path.split("."), value) if dot else value
    return found


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(sorted(key for key in keys if not key.startswith(OURS)))


def _values(at: StateSnapshot) -> Mapping[str, Any]:
    return at.values if isinstance(at.values, Mapping) else {}


def _with(name: str, whole: Any, path: list[str], value: Any) -> Any:
    """`whole` with `value` at `path`. The last part may be new; those before it must be there."""
    inner = whole
    for part in path[:-1]:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        raise ConfigError("set", f"{name!r} leads into something that is no mapping: set the key as a whole, as JSON")
    inner[path[-1]] = value
    return whole
