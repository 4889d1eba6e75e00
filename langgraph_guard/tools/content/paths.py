"""Dotted paths into a result: `customer.name`, `items.id`, `*.price`, `a\\.b` for the key `a.b`.

A path goes through lists by itself: `items.id` is the id of each element. `*` is every value of a mapping and every
element of a list. A backslash makes a dot, a star or a backslash part of a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from langgraph_guard.errors import ConfigError

LONGEST: Final = 1_000
MOST: Final = 500
"""Paths of one contract."""


class Star:
    """Every value, every element."""


STAR: Final = Star()

Path: TypeAlias = tuple[str | Star, ...]


@dataclass(slots=True)
class Fields:
    """Paths that begin alike, as a tree. `whole`: everything from here on, which is what `path` names."""

    path: Path = ()
    whole: bool = False
    named: dict[str, Fields] = field(default_factory=dict)
    every: Fields | None = None


def check_paths(setting: str, paths: Sequence[str]) -> tuple[Path, ...]:
    """`paths`, read. A path that is none is a `ConfigError` of `setting`."""
    if isinstance(paths, str) or not isinstance(paths, Sequence):
        raise ConfigError(setting, f"must be a list of dotted paths, is a {type(paths).__name__}")
    if len(paths) > MOST:
        raise ConfigError(setting, f"has {len(paths)} paths, the limit is {MOST}")
    return tuple(_checked(f"{setting}[{at}]", path) for at, path in enumerate(paths))


@lru_cache(256)
def tree(paths: tuple[Path, ...]) -> Fields:
    """Shared: never change one."""
    root = Fields()
    for path in paths:
        at = root
        for step in path:
            if isinstance(step, Star):
                at.every = at.every or Fields()
                at = at.every
            else:
                at = at.named.setdefault(step, Fields())
        at.path, at.whole = path, True
    return root


def _checked(setting: str, path: object) -> Path:
    if not isinstance(path, str):
        raise ConfigError(setting, f"must be a dotted path, is a {type(path).__name__}")
    if len(path) > LONGEST:
        raise ConfigError(setting, f"has {len(path)} characters, the limit is {LONGEST}")
    return _steps(setting, path)


def _steps(setting: str, path: str) -> Path:
    steps: list[str | Star] = []
    step, escaped = "", False
    rest = iter(path)
    for char in rest:
        if char == "\\":
            escaped, after = True, next(rest, "")
            if after not in ("\\", ".", "*"):
                raise ConfigError(setting, "has a backslash that is not before a dot, a star or a backslash")
            step += after
        elif char == ".":
            steps.append(_step(setting, step, escaped))
            step, escaped = "", False
        else:
            step += char
    return (*steps, _step(setting, step, escaped))


def _step(setting: str, step: str, escaped: bool) -> str | Star:
    if not step:
        raise ConfigError(setting, "has an empty part: write `a.b`, without a dot at its ends or two in a row")
    return STAR if step == "*" and not escaped else step
