"""Reducers for keys of your own: pure, bounded or growing in one direction, and safe under replay where they say so.

Declare concrete types. LangGraph starts a key at `typ()` ("" for str, 0 for int, {} for dict), and a type that cannot
be made that way (`str | None`, `Any`, `Literal`) makes the first write bypass the reducer, unchecked and unsorted.
A value that a reducer refuses is a `ConfigError`, and its superstep is not stored. The thread stands at the refused
write until `update_state(config, better, as_node=…)` answers in the place of the node that wrote it.

                        associative  idempotent  parallel branches commute
    sum_by_key               ✓           –           ✓
    max_by_key               ✓           ✓           ✓
    union_by_key             ✓           ✓           ✓
    monotone_labels          ✓           ✓           ✓
    highest(ladder)          ✓           ✓           ✓
    first_wins               ✓           ✓           –    the node that comes first by name
    last(n)                  ✓           –           –    a list has an order
    last_by_id(n)            ✓           ✓           –    the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from langgraph_guard.errors import ConfigError
from langgraph_guard.state import checks
from langgraph_guard.state.order import larger

Reducer = TypeVar("Reducer", bound=Callable[..., Any])
Lists = Callable[[Sequence[Any] | None, Sequence[Any] | None], list[Any]]


def sum_by_key(a: Mapping[str, float] | None, b: Mapping[str, float] | None) -> dict[str, float]:
    """Figures added up key by key: `calls: Annotated[dict[str, int], sum_by_key]`.

    An update that is applied twice counts twice. Where replays may happen, write totals with `max_by_key`, or one
    entry per event with `union_by_key`. Integers are exact; floats round, so their order shows in the last digits.
    """
    x, y = checks.figures("sum_by_key", a), checks.figures("sum_by_key", b)
    return x | {key: checks.figure("sum_by_key", key, x.get(key, 0) + y[key]) for key in y}


def max_by_key(a: Mapping[str, float] | None, b: Mapping[str, float] | None) -> dict[str, float]:
    """Figures that only grow, the larger of each: `high_water: Annotated[dict[str, int], max_by_key]`."""
    x, y = checks.figures("max_by_key", a), checks.figures("max_by_key", b)
    return x | {key: larger(x.get(key, y[key]), y[key]) for key in y}


def union_by_key(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> dict[str, Any]:
    """Entries by id, each meant to be written once: `found: Annotated[dict[str, dict], union_by_key]`.

    When an id comes with two values, the larger number or the later JSON text stays: neither the branches' names nor
    a replay decide.
    """
    x, y = checks.as_dict("union_by_key", a), checks.as_dict("union_by_key", b)
    return x | {key: larger(x.get(key, y[key]), y[key]) for key in y}


def monotone_labels(a: Iterable[str] | None, b: Iterable[str] | None) -> list[str]:
    """A sorted list of distinct labels that only grows: `taint: Annotated[list[str], monotone_labels]`."""
    return sorted({*checks.labels(a), *checks.labels(b)})


def first_wins(a: Any, b: Any) -> Any:
    """The first value that says something, for good: `goal: Annotated[str, first_wins]`.

    None and an empty or zero builtin ("", 0, 0.0, False, [], {}) say nothing: LangGraph starts a key with one of them.
    So a flag that may be decided as False, or a figure that may be 0, needs another shape, such as "yes" and "no".
    """
    return b if a is None or (_blank(a) and not _blank(b)) else a


def highest(ladder: Sequence[str], /) -> Callable[[str | None, str | None], str]:
    """A label that only climbs: `secrecy: Annotated[str, highest(("public", "internal", "secret"))]`.

    "" is below the first rung, where LangGraph starts the key. A label that is not on the ladder is refused.
    """
    return _highest(checks.rungs(ladder))


def last(n: int, /) -> Lists:
    """The newest `n` items: `notes: Annotated[list, last(100)]`. An item written twice stands twice."""
    return _last(checks.size("last", n))


def last_by_id(n: int, /) -> Lists:
    """The newest `n` items, each id once: `log: Annotated[list, last_by_id(100)]`.

    The id is a dict's "id" or an object's `.id`. An item that comes again takes the newest place with what it says now.
    """
    return _last_by_id(checks.size("last_by_id", n))


# Cached, because a key may be declared in two schemas: LangGraph accepts the second only with the same function.


@cache
def _last(n: int) -> Lists:
    def newest(a: Sequence[Any] | None, b: Sequence[Any] | None) -> list[Any]:
        return [*checks.items("last", a), *checks.items("last", b)][-n:]

    return _named(newest, f"last_{n}")


@cache
def _last_by_id(n: int) -> Lists:
    def newest(a: Sequence[Any] | None, b: Sequence[Any] | None) -> list[Any]:
        latest: dict[str | int, Any] = {}
        for item in (*checks.items("last_by_id", a), *checks.items("last_by_id", b)):
            id = checks.id_of(item)
            latest.pop(id, None)  # A dict keeps the place of a key that it knows; this one moves to the end.
            latest[id] = item
        return list(latest.values())[-n:]

    return _named(newest, f"last_{n}_by_id")


@cache
def _highest(ladder: tuple[str, ...]) -> Callable[[str | None, str | None], str]:
    rungs = {label: rung for rung, label in enumerate(("", *ladder))}

    def rung(label: Any) -> int:
        if not isinstance(label, str):
            raise ConfigError("highest", f"takes labels, is given a {type(label).__name__}")
        if label not in rungs:
            raise ConfigError("highest", f"a label of {len(label)} characters is not one of {', '.join(ladder)}")
        return rungs[label]

    def higher(a: str | None, b: str | None) -> str:
        return max("" if a is None else a, "" if b is None else b, key=rung)

    return _named(higher, f"highest_of_{len(ladder)}")


def _named(reducer: Reducer, name: str) -> Reducer:
    """LangGraph compares reducers by `__name__` and then by identity."""
    reducer.__name__ = reducer.__qualname__ = name
    return reducer


_BUILTINS: Final = (str, bytes, int, float, list, tuple, dict, set, frozenset)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, _BUILTINS) and not value)
