"""Which types may be stored: LangGraph's own safe ones, and those that the user names."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final, get_args, get_type_hints

from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from pydantic import BaseModel
from typing_extensions import is_typeddict

from langgraph_guard.errors import ConfigError

Name = tuple[str, ...]
"""Module and name of a class."""

AllowedType = type | tuple[str, ...]
"""A class, or its module and name."""

SAFE: Final[frozenset[Name]] = SAFE_MSGPACK_TYPES


def names(types: Iterable[AllowedType]) -> frozenset[Name]:
    """The names of `types`, and of the models, dataclasses, named tuples and enums in their annotations."""
    if isinstance(types, str | bytes | type) or not isinstance(types, Iterable):
        raise ConfigError("allowed_types", f'is no list of classes or ("module", "Name") pairs: {_kind(types)}')
    found: set[Name] = set()
    seen: set[int] = set()
    for each in types:
        found.update(_names(each, seen))
    return frozenset(found)


def name_of(cls: type) -> Name:
    return cls.__module__, cls.__qualname__


def _names(given: Any, seen: set[int]) -> Iterator[Name]:
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(part, str) for part in given):
        yield given[0], given[1]
    elif isinstance(given, type):
        yield name_of(given)
        yield from _mentioned(given, seen)
    else:
        raise ConfigError("allowed_types", f'has {_kind(given)}; a class or a ("module", "Name") pair is due')


def _mentioned(annotation: Any, seen: set[int]) -> Iterator[Name]:
    """Kinds of data that an annotation speaks of. No other class comes in by being mentioned: it could do anything."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    if _is_data(annotation):
        yield name_of(annotation)
    for each in (*get_args(annotation), *_hints(annotation)):
        yield from _mentioned(each, seen)


def _is_data(annotation: Any) -> bool:
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation)
        or issubclass(annotation, BaseModel | Enum)
        or (issubclass(annotation, tuple) and hasattr(annotation, "_fields"))
    )


def _hints(annotation: Any) -> Iterable[Any]:
    if not (_is_data(annotation) or is_typeddict(annotation)) or issubclass(annotation, Enum):
        return ()
    try:
        return get_type_hints(annotation, vars(sys.modules[annotation.__module__]), include_extras=True).values()
    except Exception:  # annotations are any code; a name that exists for type checkers only is usual
        return ()


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
