"""Reading what a tool returned, level by level or as JSON text, and refusing what has no end."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Set
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from langgraph_guard.errors import GuardError
from langgraph_guard.state.order import order
from langgraph_guard.tools.results.plain import plain

MOST_CHARS: Final = 10 * 1024 * 1024
"""Characters of JSON text that are read."""

MOST_VALUES: Final = 1_000_000
"""Values of a result. One that holds the same list again and again is small, and endless when it is written out."""

MOST_DEPTH: Final = 100

NOT_JSON: Final = object()

_JSON_BEGINS: Final = re.compile(r"\s*+[\[{]")


class UnreadableResult(GuardError, ValueError):
    """A result that is too large or too deep, holds itself, or fails while it is read. The tool did run."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the tool's result {problem}")
        self.problem = problem

    def __reduce__(self) -> tuple[type[UnreadableResult], tuple[str]]:
        return type(self), (self.problem,)


class Reading:
    """One walk through a result. `values`: how many it met."""

    def __init__(self) -> None:
        self.values = 0

    def opened(self, value: Any, depth: int) -> Any:
        """One level of `value`: a dict with text keys, a list, or one of JSON's scalars. Members are as they were."""
        found = value if type(value) in _OPEN else _opened(value)
        if isinstance(found, dict | list):
            self._count(len(found), depth)
        return found

    def whole(self, value: Any, depth: int = 0) -> Any:
        """All of `value`, as a copy that shares nothing that can change."""
        found = self.opened(value, depth)
        below = depth + 1
        if isinstance(found, dict):
            return {key: each if type(each) in _SCALARS else self.whole(each, below) for key, each in found.items()}
        if isinstance(found, list):
            return [each if type(each) in _SCALARS else self.whole(each, below) for each in found]
        return found

    def _count(self, members: int, depth: int) -> None:
        self.values += members
        if self.values > MOST_VALUES:
            raise UnreadableResult(f"has more than {MOST_VALUES:,} values")
        if depth > MOST_DEPTH:
            raise UnreadableResult(f"is nested deeper than {MOST_DEPTH} levels, or holds itself")


def parsed(text: str) -> Any:
    """The object or array that a JSON text holds; `NOT_JSON` for any other text, JSON's scalars among them."""
    if not _JSON_BEGINS.match(text):
        return NOT_JSON
    if len(text) > MOST_CHARS:
        raise UnreadableResult(f"is JSON of {len(text):,} characters, the limit is {MOST_CHARS:,}")
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableResult(f"is nested deeper than {MOST_DEPTH} levels") from None
    except ValueError:  # not only a `JSONDecodeError`: a number may have too many digits
        return NOT_JSON


def rendered(value: Any) -> str:
    """Compact JSON of builtins. Other scripts stay readable; half characters are escaped, because UTF-8 has none."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


_SCALARS: Final = frozenset({str, int, bool, type(None)})
_OPEN: Final = _SCALARS | {list}


def _opened(value: Any) -> Any:
    """The scalars are named as everywhere in the pack; see `plain`."""
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Enum):
        return _opened(value.value)
    if isinstance(value, Mapping):
        return {key if type(key) is str else _key(key): member for key, member in value.items()}
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Set):
        return sorted(map(plain, value), key=order)
    if isinstance(value, BaseModel):
        return _dumped(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return plain(value)


def _key(key: Any) -> str:
    said = plain(key)
    return said if isinstance(said, str) else json.dumps(said)


def _dumped(model: BaseModel) -> dict[str, Any]:
    """By the model's own rules: what it leaves out of its dumps, or masks, stays so."""
    try:
        return model.model_dump(warnings=False)
    except Exception as failed:  # a cycle, or a serializer of the user's
        raise UnreadableResult(f"holds a {type(model).__name__} that cannot be dumped") from failed
