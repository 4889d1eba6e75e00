"""Metadata filters: names are checked, values are compared as values. No filter becomes part of a query's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from langgraph_guard.errors import ConfigError

_NAME: Final = re.compile(r"[\w .:/+-]{1,128}")


def check_filter(filter: Mapping[str, Any] | None) -> dict[str, Any]:
    """The filter as a dict of its own; {} for none. A name that no metadata key can have is an error, never ignored."""
    if filter is None:
        return {}
    if not isinstance(filter, Mapping):
        raise ConfigError("filter", f"is a {type(filter).__name__}; a dict is due")
    for name in filter:
        _check_name(name)
    return {name: _as_stored(value) for name, value in filter.items()}


def matches(metadata: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    """Whether every name of the filter is a top-level key with an equal value. {} matches everything."""
    return all(name in metadata and _as_stored(metadata[name]) == value for name, value in filter.items())


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise ConfigError("filter", f"has a key that is a {type(name).__name__}; a str is due")
    if not _NAME.fullmatch(name):
        raise ConfigError("filter", f"has a key of {len(name)} characters that does not match {_NAME.pattern}")


def _as_stored(value: Any) -> Any:
    """Tuples are lists once they were stored, so they are equal to lists here."""
    if isinstance(value, list | tuple):
        return [_as_stored(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_stored(each) for key, each in value.items()}
    return value
