"""Reading the file: every model in it, or an error that says where it is broken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Final

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.litellm.entry import Entry, entry_of

MOST_BYTES: Final = 64 * 2**20
"""The largest file that is read; the published one has 3 MB."""

SPECIMEN: Final = "sample_spec"
"""The entry that explains the format."""


def read_entries(path: str | PathLike[str]) -> tuple[str, dict[str, Entry]]:
    """A digest of the file, and its models. Raises `ConfigError`."""
    data = _bytes(path)
    return hashlib.sha256(data).hexdigest()[:12], dict(_entries(_table(data)))


def _bytes(path: str | PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError("path", f"the price file cannot be read: {why}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError("path", f"the price file has more than {MOST_BYTES} bytes")
    return data


def _table(data: bytes) -> Mapping[str, Any]:
    try:
        # Decimals: figures as they are written, and no limit on their length.
        table = json.loads(data, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError("path", f"the price file is not JSON: {error.msg} at {where}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("path", f"the price file is not JSON: {type(error).__name__}") from error
    if not isinstance(table, dict):
        raise ConfigError("path", f"the price file must hold an object of models, holds a {type(table).__name__}")
    return table


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    for model, listed in table.items():
        if model == SPECIMEN:
            continue
        if not isinstance(listed, dict):
            raise ConfigError(f"prices[{model!r}]", f"must be an object, is a {type(listed).__name__}")
        if (entry := entry_of(f"prices[{model!r}]", listed)) is not None:
            yield model, entry
