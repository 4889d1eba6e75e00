"""What a breaker refuses: a `ConfigError` that names the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from langgraph_guard.backends.protocols import Backend
from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.breaker.settings import BreakerSettings

LONGEST_NOTE: Final = 1_000
"""Characters of `by` and of `reason`."""

_WORDS: Final = frozenset(each.name for each in fields(BreakerSettings) if each.init)


def settings_of(settings: BreakerSettings | None, words: Mapping[str, Any]) -> BreakerSettings:
    if settings is not None and not isinstance(settings, BreakerSettings):
        raise ConfigError("settings", f"must be BreakerSettings, is a {type(settings).__name__}")
    for word in words:
        if word not in _WORDS:
            raise ConfigError(word, f"no such setting; there are {', '.join(sorted(_WORDS))}")
    return replace(settings or BreakerSettings(), **words)


def check(backend: Any, name: Any, failure_types: Any, classify: Any) -> tuple[type[BaseException], ...]:
    if not isinstance(backend, Backend):
        raise ConfigError("backend", f"must be a backend such as MemoryBackend(), is a {type(backend).__name__}")
    if not isinstance(name, str) or not name:
        raise ConfigError("name", "must be a non-empty str")
    if classify is not None and not callable(classify):
        raise ConfigError("classify", f"must be callable, is a {type(classify).__name__}")
    types = tuple(failure_types) if isinstance(failure_types, Iterable) else (failure_types,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
        raise ConfigError("failure_types", "must be exception types")
    return types


def check_note(field: str, value: Any, *, least: int = 0) -> None:
    if not isinstance(value, str):
        raise ConfigError(field, f"must be a str, is a {type(value).__name__}")
    if not least <= len(value) <= LONGEST_NOTE:
        raise ConfigError(field, f"must have {least} to {LONGEST_NOTE} characters, has {len(value)}")
