"""Where records go: a file of lines, a function, a logger; the SQLite file has a module of its own."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, Final

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.redaction import is_async
from langgraph_guard.observability.steps.step import VERSION, Step
from langgraph_guard.observability.steps.store import Store, check_version
from langgraph_guard.observability.steps.writer import BATCH, Sink

LOOKED_AT: Final = 1_000_000
"""Bytes of a first line."""
DATABASES: Final = (".db", ".sqlite", ".sqlite3")


def sink_of(sink: Any) -> Sink:
    """The sink that a recorder was given. Raises `ConfigError` for what is none, and for a file that cannot be it."""
    if isinstance(sink, str | os.PathLike):
        path = Path(sink).absolute()  # A program that changes its directory writes where it was told to.
        if "\0" in str(path):
            raise ConfigError("steps", "is no name of a file: there is a NUL in it")
        if path.suffix in DATABASES:
            return Store(path)
        if path.suffix == ".jsonl":
            return Lines(path)
        raise ConfigError("steps", f"a file is named *.jsonl or *{', *'.join(DATABASES)}, not *{path.suffix}")
    if isinstance(sink, logging.Logger):
        return Told(sink)
    if is_async(sink):
        raise ConfigError("steps", "must take a step at once: an async function cannot")
    if callable(sink):
        return Called(sink)
    raise ConfigError("steps", f"must be a file name, a function, a logger or a list, is a {type(sink).__name__}")


class Lines:
    """A record per line, as JSON with the version in it."""

    batch = BATCH

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("a+b", buffering=0) as file:
                _check(file)
        except OSError as error:
            raise ConfigError("steps", f"cannot be written to: {error.strerror}") from error

    def write(self, steps: list[Step]) -> None:
        data = "".join(f"{line(step)}\n" for step in steps).encode()
        # Opened anew each time: a file that was moved away to be kept is not written to for ever. Written in one piece:
        # several processes may write the file.
        with self._path.open("a+b", buffering=0) as file:
            data = data if _ends_whole(file) else b"\n" + data
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, "the disk took a part of it")

    def close(self) -> None:
        pass


def _check(file: FileIO) -> None:
    """What another version wrote is left as it is: a file of both could not be read. A damaged line says nothing."""
    if not file.seekable():
        return
    file.seek(0)
    try:
        version = json.loads(file.read(LOOKED_AT).partition(b"\n")[0])["v"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    check_version(version, "steps")


def _ends_whole(file: FileIO) -> bool:
    """Whether a line can follow: the last one may have been cut off by a disk that was full, or by a crash."""
    if not file.seekable() or not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


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
