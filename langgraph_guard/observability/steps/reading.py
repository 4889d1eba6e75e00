"""Records back from a file, of either kind."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.steps.step import FAILED, Step
from langgraph_guard.observability.steps.store import check_version, rows

_log = logging.getLogger(__name__)

SQLITE = b"SQLite format 3\0"


def read(
    file: str | PathLike[str],
    *,
    thread: str | None = None,
    trace: str | None = None,
    kind: str | None = None,
    failed: bool = False,
) -> list[Step]:
    """The steps of a log in the order in which they began. The file is only read.

    Raises `ConfigError` for a file that does not exist, is no step log, or is one of another version.
    """
    path = Path(file)
    try:
        with path.open("rb") as opened:
            is_database = opened.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise ConfigError("file", f"cannot be read: {error.strerror}") from error
    wanted = {"thread_id": thread, "trace_id": trace, "kind": kind}
    asked = {name: value for name, value in wanted.items() if value is not None}
    if is_database:
        where = [*(f"{name} = ?" for name in asked), *([_in(FAILED)] if failed else [])]
        return rows(path, where, [*asked.values(), *(FAILED if failed else ())])
    found = (step for step in _lines(path) if all(getattr(step, name) == value for name, value in asked.items()))
    return sorted((step for step in found if step.failed or not failed), key=lambda step: step.ts)


def _in(values: tuple[str, ...]) -> str:
    return f"status IN ({', '.join('?' * len(values))})"


def _lines(path: Path) -> Iterator[Step]:
    """A line that is no record is passed over if a record came before it: a process may have died while it wrote."""
    lost = found = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
                version, step = record["v"], None
                check_version(version)
                step = Step.from_dict(record)
            except ConfigError:
                raise
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                lost += 1
                continue
            found += 1
            yield step
    if lost and not found:
        raise ConfigError("file", "is no step log: none of its lines is a step")
    if lost:
        _log.warning("%d lines of the step log are no steps", lost)
