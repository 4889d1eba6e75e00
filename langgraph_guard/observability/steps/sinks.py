"""Where records go: a file of lines, a function, a logger; the SQLite file has a module of its own."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.steps.step import VERSION, Step
from langgraph_guard.observability.steps.store import Store
from langgraph_guard.observability.steps.writer import BATCH, Sink

DATABASES: Final = (".db", ".sqlite", ".sqlite3")


def sink_of(sink: Any) -> Sink:
    """The sink that a recorder was given. Raises `ConfigError` for what is none, and for a file that cannot be it."""
    if isinstance(sink, str | os.PathLike):
        path = Path(sink)
        if path.suffix in DATABASES:
            return Store(path)
        if path.suffix == ".jsonl":
            return Lines(path)
        raise ConfigError("steps", f"a file is named *.jsonl or *{', *'.join(DATABASES)}, not *{path.suffix}")
    if isinstance(sink, logging.Logger):
        return Told(sink)
    if callable(sink):
        return Called(sink)
    raise ConfigError("steps", f"must be a file name, a function, a logger or a list, is a {type(sink).__name__}")


class Lines:
    """A record per line, as JSON with the version in it."""

    batch = BATCH

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("a", encoding="utf-8"):
                pass
        except OSError as error:
            raise ConfigError("steps", f"cannot be written to: {error.strerror}") from error

    def write(self, steps: list[Step]) -> None:
        # Opened anew each time: a file that was moved away to be kept is not written to for ever.
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line(step)}\n" for step in steps))

    def close(self) -> None:
        pass


def line(step: Step) -> str:
    return json.dumps({"v": VERSION, **step.as_dict()}, ensure_ascii=False)


class Called:
    """A function that takes each step. A slow one has its own thread to be slow in."""

    batch = 1

    def __init__(self, call: Callable[[Step], Any]) -> None:
        self._call = call

    def write(self, steps: list[Step]) -> None:
        for step in steps:
            self._call(step)

    def close(self) -> None:
        pass


class Told:
    """A logger: `extra={"step": {…}}`, and a line that reads by itself. What failed is a warning."""

    batch = 1

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, steps: list[Step]) -> None:
        for step in steps:
            level = logging.WARNING if step.failed else logging.INFO
            self._logger.log(
                level, "agent step: %s %s %s", step.kind, step.name, step.status, extra={"step": step.as_dict()}
            )

    def close(self) -> None:
        pass
