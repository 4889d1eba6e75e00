"""What an element looked like: a copy that equals it for as long as nobody changes anything in it, however deep.

A look is the element's fields, with a copy of every dict, list, set, model and dataclass below them. To compare them is
C code that goes past each value that is still the same object: 0.2 µs for a short message, 0.3 for one with tool calls
and usage.

**Seen** is every edit in dicts, lists, sets, deques, tuples, Pydantic models and objects that keep all they have in
their `__dict__`, at any depth. What holds anything else (an array, an object with slots) has no look that could be
equal, so it is serialized at each put and its bytes tell.

**Not seen** is an edit that leaves a value equal to what it was: the keys of a dict in another order, an instant in
another time zone, and, below the fields of an element, 1 that becomes True or 1.0. Only its bytes tell such a one.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from operator import attrgetter, is_
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

_STILL: Final = (str, int, float, bytes, type(None), complex, Decimal, date, time, timedelta, tzinfo, UUID, Enum, type)
_STILL_TOO: Final = (PurePath, re.Pattern, range)
_COMMON: Final = frozenset((*_STILL, bool, datetime, timezone))
"""Classes of values that never change: most of what there is, so that one look-up tells."""

_NUMBERS: Final = frozenset((bool, int, float, complex, Decimal))
_has_no_numbers: Final = _NUMBERS.isdisjoint
_own: Final = attrgetter("__dict__")
_fields_of_model: Final = attrgetter("__dict__", "__pydantic_extra__")

_NO_ITEMS: Final[dict[Any, Any]] = {}
_NO_ELEMENTS: Final[list[Any]] = []
"""The looks of all that is empty; nobody writes to a look."""


class Unseen:
    """The look of what cannot be watched: equal to nothing, so it is dumped each time and its digest compared."""

    __slots__ = ()


# Comparing


def changed_looks(elements: Sequence[Any], looks: list[Any]) -> list[int]:
    """Positions of elements that no longer look as they did."""
    views = _views_of(elements)
    if alike(views, looks):
        return []
    return [at for at, (view, look) in enumerate(zip(views, looks, strict=True)) if not alike(view, look)]


def alike(view: Any, look: Any) -> bool:
    try:
        return bool(view == look)
    except Exception:  # Not everything can be compared, and what is too deep cannot either.
        return False


def _views_of(elements: Sequence[Any]) -> list[Any]:
    try:
        return list(map(_fields_of_model, elements))
    except AttributeError:
        return list(map(view_of, elements))


def view_of(element: Any) -> Any:
    """An element as it is now, to be compared with its look."""
    try:
        return kind_of(type(element)).view(element)
    except AttributeError:  # a model that was never initialized
        return Unseen()


# Looking


def looks_of(elements: Sequence[Any]) -> list[Any]:
    try:
        return [_look_of_model(view) for view in map(_fields_of_model, elements)]
    except AttributeError:
        return list(map(look_of, elements))


def look_of(element: Any) -> Any:
    kind = kind_of(type(element))
    try:
        look = kind.copy(kind.view(element))
    except Exception:  # Something in it is of no kind that is known, it contains itself, or a node edits it meanwhile.
        return Unseen()
    return look if _has_no_numbers(map(type, kind.parts(look))) else _WithNumbers(look, kind.parts)


def _look_of_model(view: Any) -> Any:
    """As `look_of`, with fewer calls: a thousand messages are read at once."""
    try:
        look = _model(view)
    except Exception:
        return Unseen()
    return look if _has_no_numbers(map(type, _of_model(look))) else _WithNumbers(look, _of_model)


class _WithNumbers:
    """The look of an element that has numbers: `True` and `1.0` are equal to 1, and are something else."""

    __slots__ = ("_look", "_numbers", "_parts")
    __hash__ = None  # type: ignore[assignment] # what it is compared with has none either

    def __init__(self, look: Any, parts: Callable[[Any], Iterable[Any]]) -> None:
        self._look = look
        self._parts = parts
        self._numbers = _numbers(parts(look))

    def __eq__(self, view: object) -> bool:
        return bool(view == self._look) and _numbers(self._parts(view)) == self._numbers


def _numbers(parts: Iterable[Any]) -> list[str]:
    return [repr(each) for each in parts if type(each) in _NUMBERS]


# Copies: what has nothing in it that could change is its own


def _below(value: Any) -> Any:
    """The copy of something inside an element."""
    return value if type(value) in _COMMON else kind_of(type(value)).inside(value)


class _Fields:
    """The copy of a model or an object: equal to one of its class that has the same in all fields."""

    __slots__ = ("_cls", "_look", "_view")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, cls: type, view: Callable[[Any], Any], look: Any) -> None:
        self._cls = cls
        self._view = view
        self._look = look

    def __eq__(self, value: object) -> bool:
        return type(value) is self._cls and bool(self._view(value) == self._look)


def _itself(value: Any) -> Any:
    return value


def _dict(value: dict[Any, Any]) -> dict[Any, Any]:
    if not value:
        return _NO_ITEMS
    look = value.copy()  # in one go: a node may edit the other meanwhile
    for key, each in look.items():
        if (cls := type(each)) not in _COMMON:
            look[key] = _QUICKLY[cls](each) if cls in _QUICKLY else _below(each)
    return look


def _other_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    """A counter's own way to compare takes what is missing for 0, so it becomes a dict."""
    return _dict(dict(value))


def _ordered_dict(value: OrderedDict[Any, Any]) -> OrderedDict[Any, Any]:
    return OrderedDict((key, _below(each)) for key, each in list(value.items()))


def _list(value: list[Any]) -> list[Any]:
    if not value:
        return _NO_ELEMENTS
    look = list(value)
    for at, each in enumerate(look):
        if (cls := type(each)) not in _COMMON:
            look[at] = _QUICKLY[cls](each) if cls in _QUICKLY else _below(each)
    return look


_QUICKLY: Final[dict[type, Callable[[Any], Any]]] = {dict: _dict, list: _list}
"""Nearly all that there is to copy."""


def _deque(value: deque[Any]) -> deque[Any]:
    return deque(map(_below, value.copy()), value.maxlen)


def _tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    copies = tuple(map(_below, value))
    return value if all(map(is_, copies, value)) else copies


def _set(value: set[Any] | frozenset[Any]) -> set[Any] | frozenset[Any]:
    """What has a hash and can change all the same has no place among the elements of a copy."""
    look = value.copy()
    return look if all(_below(each) is each for each in look) else _unknown(value)


def _model(view: tuple[dict[str, Any], dict[str, Any] | None]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    own, extra = view
    return _dict(own), None if extra is None else _dict(extra)


def _unknown(value: Any) -> Any:
    raise TypeError(type(value).__name__)


# Kinds


def _no_parts(look: Any) -> Iterable[Any]:
    return ()


def _of_model(look: tuple[dict[str, Any], dict[str, Any] | None]) -> Iterable[Any]:
    own, extra = look
    return [*own.values(), *extra.values()] if extra else own.values()


@dataclass(frozen=True, slots=True)
class Kind:
    """How a class is looked at: `view` is what of a value may change, `copy` makes a look of it, `parts` has values."""

    view: Callable[[Any], Any]
    copy: Callable[[Any], Any]
    parts: Callable[[Any], Iterable[Any]]
    inside: Callable[[Any], Any]
    """The look of a value that stands inside an element."""


def _builtin(copy: Callable[[Any], Any], parts: Callable[[Any], Iterable[Any]] = _itself) -> Kind:
    return Kind(_itself, copy, parts, copy)


_STABLE: Final = _builtin(_itself, _no_parts)
_DICT: Final = _builtin(_dict, dict.values)
_KINDS: Final[tuple[tuple[Any, Kind], ...]] = (
    ((*_STILL, *_STILL_TOO), _STABLE),
    (OrderedDict, _builtin(_ordered_dict, dict.values)),
    (dict, _builtin(_other_dict, dict.values)),
    (list, _builtin(_list)),
    (tuple, _builtin(_tuple)),
    ((set, frozenset), _builtin(_set)),
    (deque, _builtin(_deque)),
    (bytearray, _builtin(bytes, _no_parts)),
)
_UNKNOWN: Final = Kind(lambda value: Unseen(), _unknown, _no_parts, _unknown)


def _kind_of(cls: type) -> Kind:
    if cls is dict:
        return _DICT
    for base, kind in _KINDS:
        if issubclass(cls, base):
            return kind
    if issubclass(cls, BaseModel):
        return Kind(_fields_of_model, _model, _of_model, partial(_fields, cls, _fields_of_model, _model))
    if _is_open(cls):
        return Kind(_own, _dict, dict.values, partial(_fields, cls, _own, _dict))
    return _UNKNOWN


kind_of: Final[Callable[[type], Kind]] = lru_cache(1_024)(_kind_of)


def _fields(cls: type, view: Callable[[Any], Any], copy: Callable[[Any], Any], value: Any) -> _Fields:
    return _Fields(cls, view, copy(view(value)))


class _Open: ...


def _is_open(cls: type) -> bool:
    """Whether all that an object of this class has stands in its `__dict__`: no slots, nothing kept by C code."""
    slots = (vars(base).get("__slots__", ()) for base in cls.__mro__)
    named = (name for each in slots for name in ((each,) if isinstance(each, str) else each))
    bookkeeping = all(name.startswith("__") and name.endswith("__") for name in named)
    return bookkeeping and bool(cls.__dictoffset__) and cls.__basicsize__ <= _Open.__basicsize__
