"""Any value as builtins that JSON and strict msgpack know. What cannot be said is named by its kind: `<Connection>`.

    bytes            the text that they are; `<512 bytes>` when they are none
    dates, times     ISO 8601; a timedelta in seconds
    Decimal, UUID    their digits, as text: nothing is rounded
    NaN, Infinity    these words, as text: JSON has no such numbers
    sets             sorted lists
    models, dataclasses, mappings     objects
    numpy            the numbers

Nothing here calls a `__repr__`, and nothing raises, whatever the value is.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

DEEPEST: Final = 32
"""Levels of nesting. What is deeper is named by its kind."""

MOST_ITEMS: Final = 1_000_000
"""Items of all containers together. What follows is `<and more>`."""

AND_MORE: Final = "<and more>"
WIDEST: Final = 64
"""Bits. Msgpack has no longer integers, so they travel as text."""


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain(value: object) -> Any:
    """`value` as None, bool, int, float, str, list and dict with str keys."""
    return _Walk().of(value, DEEPEST)


def dumps(value: object) -> str:
    """The JSON of plain builtins: the same bytes for the same value, in whatever order its keys were set."""
    return _ENCODER.encode(value)


def kind_of(value: object) -> str:
    """The name of its class, as it can be shown to anyone."""
    name = _text(type.__getattribute__(type(value), "__name__"))
    return "".join(letter for letter in name[:60] if letter.isprintable()) or "object"


class _Walk:
    """One way through a value. `_open` holds what we are inside of, so that a cycle ends; `_left` counts items."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._left = MOST_ITEMS

    def of(self, value: object, depth: int) -> Any:
        leaf = _LEAVES.get(type(value))
        try:
            return leaf(value) if leaf else self._of(value, depth)
        except Exception:  # whatever a stranger's object does when it is looked at
            return f"<{kind_of(value)}>"

    def _of(self, value: object, depth: int) -> Any:
        if type(value) not in _USUAL and (leaf := _inherited(type(value))):
            return leaf(value)
        if depth <= 0 or id(value) in self._open:
            return f"<{kind_of(value)}>"
        self._open.add(id(value))
        try:
            return self._container(value, depth - 1)
        finally:
            self._open.discard(id(value))

    def _container(self, value: object, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.of(value.value, depth)
        if isinstance(value, (list, tuple, deque)):
            return self._list(value, depth)
        if isinstance(value, (set, frozenset)):
            return sorted(self._list(value, depth), key=dumps)
        if isinstance(value, Mapping):
            return self._object(value.items(), depth)
        if isinstance(value, BaseModel):
            return self._object(value.model_dump(warnings=False).items(), depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self._object(((field.name, getattr(value, field.name)) for field in fields(value)), depth)
        if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
            return self.of(value.tolist(), depth)
        return f"<{kind_of(value)}>"

    def _list(self, items: Iterable[object], depth: int) -> list[Any]:
        made: list[Any] = []
        for item in items:
            if self._left <= 0:  # an object that goes on for ever is one that somebody will return
                return [*made, AND_MORE]
            self._left -= 1
            made.append(self.of(item, depth))
        return made

    def _object(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if self._left <= 0:
                return made | {AND_MORE: AND_MORE}
            self._left -= 1
            made[_unused(self._key(key), made)] = self.of(value, depth)
        return made

    def _key(self, key: object) -> str:
        """As JSON spells it: `null`, `true`, `3`."""
        if type(key) is str and key.isascii():
            return key
        shown = self.of(key, 1)
        return shown if isinstance(shown, str) else dumps(shown)


def _inherited(kind: type) -> Callable[[Any], Any] | None:
    return next((_LEAVES[base] for base in kind.__mro__ if base in _LEAVES), None)


def _unused(key: str, taken: Mapping[str, Any]) -> str:
    """{1: …, "1": …} has two keys, and keeps two."""
    while key in taken:
        key += "'"
    return key


def _text(text: str) -> str:
    """As a plain `str`, without halves of surrogate pairs: no socket takes them."""
    exact = str.__str__(text)
    return exact if exact.isascii() else exact.encode("utf-8", "replace").decode("utf-8")


def _bytes(value: bytes | bytearray) -> str:
    try:
        text = bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    return f"<{len(value)} bytes>" if "\0" in text else text


def _int(value: int) -> int | str:
    exact, bits = int.__int__(value), int.bit_length(value)
    if bits < WIDEST:
        return exact
    return str(exact) if bits < 10_000 else f"<an integer of {bits} bits>"  # Python refuses to write longer ones


def _float(value: float) -> float | str:
    exact = float.__float__(value)
    if math.isfinite(exact):
        return exact
    return "NaN" if math.isnan(exact) else "Infinity" if exact > 0 else "-Infinity"


def _isoformat(value: date | time) -> str:
    return _text(value.isoformat())


def _str(value: object) -> str:
    return _text(str(value))


_USUAL: Final = frozenset({dict, list, tuple})

_LEAVES: Final[Mapping[type, Callable[[Any], Any]]] = {
    type(None): lambda _: None,
    bool: bool,
    str: _text,
    int: _int,
    float: _float,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: lambda view: f"<{view.nbytes} bytes>",
    datetime: _isoformat,
    date: _isoformat,
    time: _isoformat,
    timedelta: timedelta.total_seconds,
    Decimal: _str,
    Fraction: _str,
    UUID: _str,
    PurePath: _str,
}
