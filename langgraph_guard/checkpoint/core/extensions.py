"""LangGraph's msgpack extensions: objects taken apart into what msgpack knows, and put together again.

The bytes are LangGraph's own (`JsonPlusSerializer`), so each reads what the other wrote. What LangGraph gives back as
something else without a word is an error here, or comes back whole: a class inside a class, an enum whose values are
tuples, a dataclass with fields that its `__init__` does not take.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from langgraph.checkpoint.serde.types import SendProtocol, _DeltaSnapshot
from langgraph.store.base import Item

# The codes of the extensions.
SINGLE: Final = 0
POSITIONAL: Final = 1
KEYWORDS: Final = 2
METHOD: Final = 3
PYDANTIC_V1: Final = 4
PYDANTIC: Final = 5
NUMPY: Final = 6
SNAPSHOT: Final = 7

BARE: Final = frozenset({NUMPY, SNAPSHOT})
"""Extensions that name no class."""

FROM_ISO: Final = "fromisoformat"
FROM_JSON: Final = "model_validate_json"
"""LangGraph writes it beside every model, and calls it no more."""


class Apart(NamedTuple):
    """An object as an extension: a code, and contents. Unless the code is `BARE`, they begin with module and name."""

    code: int
    contents: Any


def _named(code: int, obj: Any, arguments: Any, *more: Any) -> Apart:
    cls = type(obj)
    return Apart(code, (cls.__module__, cls.__qualname__, arguments, *more))


# Taking apart


@singledispatch
def take_apart(obj: Any) -> Apart | str:
    """An object that msgpack does not know, as LangGraph's extension for it; most exceptions become text."""
    if callable(dump := getattr(obj, "model_dump", None)):
        return _named(PYDANTIC, obj, dump(), FROM_JSON)
    if callable(reveal := getattr(obj, "get_secret_value", None)):
        return _named(SINGLE, obj, reveal())
    if callable(as_dict := getattr(obj, "dict", None)):
        return _named(PYDANTIC_V1, obj, as_dict())
    if callable(as_dict := getattr(obj, "_asdict", None)):
        return _named(KEYWORDS, obj, as_dict())
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return _named(KEYWORDS, obj, _fields(obj))
    if isinstance(obj, SendProtocol):
        return _named(POSITIONAL, obj, _send(obj))
    return _array_or_error(obj)


def _array_or_error(obj: Any) -> Apart:
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(obj, numpy.ndarray):
        return _array(obj)
    raise TypeError(f"Object of type {type(obj).__name__} is not serializable")


def _fields(obj: Any) -> dict[str, Any]:
    # Not `dataclasses.asdict`: it copies deep, and turns the dataclasses inside into dicts.
    return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj) if hasattr(obj, field.name)}


def _send(obj: Any) -> tuple[Any, ...]:
    timeout = getattr(obj, "timeout", None)
    return (obj.node, obj.arg) if timeout is None else (obj.node, obj.arg, timeout)


def _array(array: Any) -> Apart:
    if array.dtype.hasobject or array.dtype.names:
        raise TypeError(f"An array of dtype {array.dtype.kind!r} is not serializable")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return Apart(NUMPY, (array.dtype.str, array.shape, order, array.tobytes(order="A")))


@take_apart.register
def _(obj: BaseException) -> Apart | str:
    return _named(KEYWORDS, obj, _fields(obj)) if dataclasses.is_dataclass(obj) else as_text(obj)


def as_text(error: BaseException) -> str:
    """An exception as LangGraph stores it."""
    return repr(error).encode(errors="backslashreplace").decode()


@take_apart.register
def _(obj: _DeltaSnapshot) -> Apart:
    return Apart(SNAPSHOT, obj.value)


@take_apart.register
def _(obj: pathlib.Path) -> Apart:
    return _named(POSITIONAL, obj, obj.parts)


@take_apart.register
def _(obj: re.Pattern) -> Apart:  # type: ignore[type-arg] # singledispatch takes the bare class
    return Apart(POSITIONAL, ("re", "compile", (obj.pattern, obj.flags)))


@take_apart.register
def _(obj: UUID) -> Apart:
    return _named(SINGLE, obj, obj.hex)


@take_apart.register(set)
@take_apart.register(frozenset)
@take_apart.register(deque)
def _(obj: Any) -> Apart:
    return _named(SINGLE, obj, tuple(obj))


@take_apart.register(Decimal)
@take_apart.register(IPv4Address)
@take_apart.register(IPv4Interface)
@take_apart.register(IPv4Network)
@take_apart.register(IPv6Address)
@take_apart.register(IPv6Interface)
@take_apart.register(IPv6Network)
def _(obj: Any) -> Apart:
    return _named(SINGLE, obj, str(obj))


@take_apart.register
def _(obj: date) -> Apart:
    return _named(POSITIONAL, obj, (obj.year, obj.month, obj.day))


@take_apart.register
def _(obj: datetime) -> Apart:
    return _named(METHOD, obj, obj.isoformat(), FROM_ISO)


@take_apart.register
def _(obj: timedelta) -> Apart:
    return _named(POSITIONAL, obj, (obj.days, obj.seconds, obj.microseconds))


@take_apart.register
def _(obj: time) -> Apart:
    names = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")
    return _named(KEYWORDS, obj, {name: getattr(obj, name) for name in names})


@take_apart.register
def _(obj: timezone) -> Apart:
    return _named(POSITIONAL, obj, obj.__getinitargs__())  # type: ignore[attr-defined] # pickle's hook


@take_apart.register
def _(obj: ZoneInfo) -> Apart:
    return _named(SINGLE, obj, obj.key)


@take_apart.register
def _(obj: Enum) -> Apart:
    return _named(SINGLE, obj, obj.value)


@take_apart.register
def _(obj: Item) -> Apart:
    return _named(KEYWORDS, obj, {name: getattr(obj, name) for name in obj.__slots__})


# Putting together


def find(module: str, name: str) -> Any:
    """What a module calls by that name; a class inside a class has dots in its name."""
    if module.partition(".")[0] == "pathlib":  # 3.13 moved the classes, and each system has but one of them
        return pathlib.Path
    found = sys.modules.get(module) or importlib.import_module(module)
    if hasattr(found, name):  # a generic model's name has dots that part nothing
        return getattr(found, name)
    for each in name.split("."):
        found = getattr(found, each)
    return found


def finds(module: str, name: str) -> Any:
    """What `find` finds, or `None`."""
    try:
        return find(module, name)
    except (ImportError, AttributeError):
        return None


def put_together(code: int, cls: Any, contents: list[Any]) -> Any:
    """The object that `contents`, an extension's with that code, was taken from. `cls` is what they name."""
    try:
        build = _BUILDERS[code]
    except KeyError:
        raise ValueError(f"extension {code} is not known") from None
    return build(cls, contents)


def _single(cls: Any, contents: list[Any]) -> Any:
    if isinstance(cls, type) and issubclass(cls, Enum):
        return _member(cls, contents[2])
    return cls(contents[2])


def _member(cls: type[Enum], value: Any) -> Enum:
    try:
        return cls(value)
    except ValueError:
        if isinstance(value, list):  # msgpack has no tuples
            return cls(tuple(value))
        raise


def _positional(cls: Any, contents: list[Any]) -> Any:
    arguments = contents[2]
    if contents[:2] == ["langgraph.types", "Send"] and len(arguments) == 3:
        return cls(arguments[0], arguments[1], timeout=arguments[2])
    return cls(*arguments)


def _keywords(cls: Any, contents: list[Any]) -> Any:
    try:
        return cls(**contents[2])
    except TypeError:
        if dataclasses.is_dataclass(cls):
            return _dataclass(cls, contents[2])
        raise


def _dataclass(cls: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass whose `__init__` does not take what its fields are. It is filled as `copy.copy` would fill it."""
    if {field.name for field in dataclasses.fields(cls)} != set(values):
        raise TypeError("its fields have changed")
    made = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _method(cls: Any, contents: list[Any]) -> Any:
    if contents[3] != FROM_ISO or not issubclass(cls, datetime):
        raise ValueError("a method is named that no extension calls")
    return cls.fromisoformat(contents[2])


def _pydantic(cls: Any, contents: list[Any]) -> Any:
    try:
        return cls(**contents[2])
    except Exception:
        return cls.model_construct(**contents[2])


def _pydantic_v1(cls: Any, contents: list[Any]) -> Any:
    try:
        return cls(**contents[2])
    except Exception:
        return cls.construct(**contents[2])


_BUILDERS: Final[dict[int, Callable[[Any, list[Any]], Any]]] = {
    SINGLE: _single,
    POSITIONAL: _positional,
    KEYWORDS: _keywords,
    METHOD: _method,
    PYDANTIC_V1: _pydantic_v1,
    PYDANTIC: _pydantic,
}


def put_bare(code: int, contents: Any) -> Any:
    """The object of a `BARE` extension."""
    if code == SNAPSHOT:
        return _DeltaSnapshot(contents)
    import numpy as np

    dtype, shape, order, data = contents
    return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape, order=order)
