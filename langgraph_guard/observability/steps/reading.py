"""Records back from a file, of either kind."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import nlargest
from os import PathLike
from pathlib import Path

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.steps.step import FAILED, Step
from langgraph_guard.observability.steps.store import check_version, rows, sketches

_log = logging.getLogger(__name__)

SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Outline:
    """A trace without its steps: whose thread, whether it goes on with another one, and whether it was left open."""

    trace_id: str
    thread_id: str | None
    resumes: bool
    left_open: bool


def read(
    file: str | PathLike[str],
    *,
    thread: str | None = None,
    trace: str | Collection[str] | None = None,
    kind: str | None = None,
    failed: bool = False,
    last: int | None = None,
) -> list[Step]:
    """The steps of a log in the order in which they began; the newest `last` of them. The file is only read, and of
    what is not asked for nothing is kept in memory.

    Raises `ConfigError` for a file that does not exist, is no step log, or is one of another version.
    """
    path = Path(file)
    traces = [trace] if isinstance(trace, str) else trace
    wanted = {"thread_id": _one(thread), "trace_id": traces, "kind": _one(kind), "status": FAILED if failed else None}
    asked = {name: frozenset(values) for name, values in wanted.items() if values is not None}
    if _is_database(path):
        where = [f"{name} IN ({', '.join('?' * len(values))})" for name, values in asked.items()]
        return rows(path, where, [value for values in asked.values() for value in values], last)
    found = (step for step in _lines(path) if all(getattr(step, name) in values for name, values in asked.items()))
    newest = found if last is None else nlargest(last, found, key=_place)
    return sorted(newest, key=_place)


def outlines(file: str | PathLike[str], *, thread: str | None = None, trace: str | None = None) -> list[Outline]:
    """The traces of a log in the order in which they began, without their steps."""
    path = Path(file)
    if _is_database(path):
        asked = {"thread_id": thread, "trace_id": trace}
        said = {name: value for name, value in asked.items() if value is not None}
        return [Outline(*row) for row in sketches(path, [f"{name} = ?" for name in said], [*said.values()])]
    found: dict[str, _Sketch] = {}
    for step in _lines(path):
        if thread in (None, step.thread_id) and trace in (None, step.trace_id):
            found.setdefault(step.trace_id, _Sketch()).add(step)
    return [each.outline(id) for id, each in sorted(found.items(), key=lambda item: item[1].began)]


@dataclass(slots=True)
class _Sketch:
    """What is known of a trace while its lines are read, in whatever order."""

    began: float = math.inf
    thread: str | None = None
    resumes: bool = False
    ran: float = -math.inf
    left_open: bool = False

    def add(self, step: Step) -> None:
        self.began = min(self.began, step.ts)
        self.thread = self.thread or step.thread_id
        self.resumes = self.resumes or step.kind == "resume"
        if step.kind == "run" and step.parent_id is None and step.ts >= self.ran:
            self.ran, self.left_open = step.ts, step.status == "interrupted"

    def outline(self, id: str) -> Outline:
        return Outline(id, self.thread, self.resumes, self.left_open)


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            return opened.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise ConfigError("file", f"cannot be read: {error.strerror}") from error


def _one(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else (value,)


def _place(step: Step) -> float:
    return step.ts


def _lines(path: Path) -> Iterator[Step]:
    """A line that is no record is passed over if a record came before it: a process may have died while it wrote."""
    lost = found = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
                check_version(record["v"], "file")
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
