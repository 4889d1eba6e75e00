"""Whether a `ToolGuard` stands behind a hook: a middleware of one's own, a function, several of them in a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from langgraph_guard.tools import ToolGuard

MOST: Final = 2_000
"""Objects that are looked at. A guard that is further away is not found, and its tools are said to have none."""


def is_guarded(hook: Any) -> bool:
    """Whether a guard can be reached from it. That it is asked about every call cannot be seen from here."""
    seen: set[int] = set()
    waiting = [hook]
    while waiting and len(seen) < MOST:
        each = waiting.pop()
        if isinstance(each, ToolGuard):
            return True
        if id(each) not in seen:
            seen.add(id(each))
            waiting += _held(each)
    return False


def _held(value: Any) -> Iterator[Any]:
    """What it uses, as far as it is about hooks: not what modules, classes and tools have."""
    if isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, FunctionType):
        yield from _used(value)
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif not isinstance(value, type) and hasattr(value, "__dict__"):
        yield from vars(value).values()


def _used(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # Not filled yet.
            continue
    yield from function.__defaults__ or ()
    names = function.__code__.co_names
    yield from (each for name in names if isinstance(each := function.__globals__.get(name), ToolGuard | Mapping))
