"""The SQLite file: one table, one row per step, made to be asked with SQL.

    CREATE TABLE steps (
        id TEXT PRIMARY KEY, ts REAL,                     -- epoch seconds at which it began
        trace_id TEXT, thread_id TEXT, parent_id TEXT,
        kind TEXT,                                        -- run node llm tool guard interrupt resume chain feedback
        name TEXT, node TEXT, step INTEGER, checkpoint_ns TEXT,
        status TEXT,                                      -- ok error interrupted waiting allow warn block trip
        duration_ms REAL, model TEXT,
        input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
        cost_micro_usd INTEGER,                           -- on leaves alone: sum(cost_micro_usd) is what was spent
        error_type TEXT, error TEXT, tool_call_id TEXT, args TEXT, result TEXT,
        attrs TEXT                                        -- JSON: what a guard said; prompts, where they were asked for
    )

`SELECT name, count(*), sum(status = 'error'), sum(cost_micro_usd) / 1e6 FROM steps GROUP BY name`. The version of the
format is `PRAGMA user_version`. Several processes may write one file.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from langgraph_guard.errors import ConfigError
from langgraph_guard.forks import halt_in_forks
from langgraph_guard.observability.steps.step import FIELDS, VERSION, Step
from langgraph_guard.observability.steps.writer import BATCH

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_TYPES: Final = {"ts": "REAL", "duration_ms": "REAL", "id": "TEXT PRIMARY KEY"}
_NUMBERS: Final = ("step", "input_tokens", "output_tokens", "cache_read_tokens", "cost_micro_usd")
_COLUMNS: Final = ", ".join(
    f"{name} {_TYPES.get(name) or ('INTEGER' if name in _NUMBERS else 'TEXT')}" for name in FIELDS
)
_INSERT: Final = f"INSERT OR IGNORE INTO steps ({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))})"  # noqa: S608 - names of ours
_CELLS: Final = (str, type(None), int, float)
_json: Final = json.JSONEncoder(ensure_ascii=False).encode
BUSY: Final = 5.0
"""Seconds that a writer waits for another process."""


class Store:
    """Writes steps into a file. Raises `ConfigError` for one that is something else, or of another version."""

    batch = BATCH

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        try:
            with closing(self._opened()) as db:
                _prepare(db)
        except sqlite3.Error as error:
            raise ConfigError("steps", f"cannot be written to: {error}") from error
        halt_in_forks(self)

    def write(self, steps: list[Step]) -> None:
        rows = [_row(step) for step in steps]
        with self._lock:
            db = self._connection()
            try:
                with db:
                    db.executemany(_INSERT, rows)
            except sqlite3.Error:
                self.close()  # The next ones get a new connection: the file may have been moved, the disk may be free.
                raise

    def close(self) -> None:
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def halt(self) -> None:
        """Have nothing open: SQLite remembers by process what it has locked, and a child believes to hold locks that it
        does not hold. Somebody else may then remove the log that it writes to."""
        self._lock.acquire()
        self.close()

    def go_on(self, *, as_child: bool) -> None:
        self._lock.release()

    def _connection(self) -> sqlite3.Connection:
        if self._db is not None and self._file != _identity(self._path):
            self.close()  # Moved away to be kept, or deleted to make room: what comes next is in a new one.
        if self._db is None:
            self._db = self._opened()
            _prepare(self._db)
            self._file = _identity(self._path)
        return self._db

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=BUSY, check_same_thread=False)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def rows(path: Path, where: Sequence[str], values: Iterable[Any], last: int | None = None) -> list[Step]:
    """The steps of a file that meet all conditions, in the order in which they began; the newest `last` of them."""
    newest = "ts DESC, rowid DESC LIMIT ?"
    order = "ts, rowid" if last is None else newest
    query = f"SELECT {', '.join(FIELDS)} FROM steps{_conditions(where)} ORDER BY {order}"  # noqa: S608 - conditions of ours
    asked = _asked(path, query, [*values, *([] if last is None else [last])], _step)
    found = [step for step in asked if step is not None]
    if len(found) < len(asked):
        _log.warning("%d rows of the step log are no steps", len(asked) - len(found))
    return found if last is None else found[::-1]


def sketches(path: Path, where: Sequence[str], values: Iterable[Any]) -> list[tuple[str, str | None, bool, bool]]:
    """The traces of a file in the order in which they began: id, thread, whether a step of it resumes, and whether its
    newest run was interrupted. Of two bare columns SQLite gives those of the row that has the maximum."""
    named = _conditions([*where, "typeof(trace_id) = 'text'"])
    ran = _conditions([*where, "kind = 'run'", "parent_id IS NULL"])
    query = f"""
        SELECT trace_id, thread, resumes, coalesce(status = 'interrupted', 0) FROM
            (SELECT trace_id, min(ts) AS began, max(thread_id) AS thread, max(kind = 'resume') AS resumes
             FROM steps{named} GROUP BY trace_id)
            LEFT JOIN (SELECT trace_id AS of, status, max(ts) FROM steps{ran} GROUP BY trace_id) ON of = trace_id
        ORDER BY began
    """  # noqa: S608 - conditions of ours
    values = [*values]
    return _asked(path, query, [*values, *values], lambda row: (row[0], row[1], bool(row[2]), bool(row[3])))


def _conditions(where: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _asked(path: Path, query: str, values: Sequence[Any], made: Callable[[Sequence[Any]], Result]) -> list[Result]:
    """What a query finds in a file, which is not written to."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)) as db:
            _check(db, "file")
            return [made(row) for row in db.execute(query, values)]
    except sqlite3.Error as error:
        raise ConfigError("file", f"is no step log that can be read: {error}") from error


def _prepare(db: sqlite3.Connection) -> None:
    if not _tables(db):
        with suppress(sqlite3.OperationalError):  # Another process is just doing the same.
            db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute("BEGIN IMMEDIATE")  # Of several processes that start at once, one makes the table.
            if not _tables(db):
                db.execute(f"CREATE TABLE steps ({_COLUMNS})")
                db.execute("CREATE INDEX steps_by_thread ON steps (thread_id, ts)")
                db.execute("CREATE INDEX steps_by_trace ON steps (trace_id, ts)")
                db.execute(f"PRAGMA user_version = {VERSION}")
    _check(db, "steps")
    db.execute("PRAGMA synchronous = NORMAL")


def _check(db: sqlite3.Connection, field: str) -> None:
    if "steps" not in _tables(db):
        raise ConfigError(field, "is a database without steps")
    check_version(db.execute("PRAGMA user_version").fetchone()[0], field)


def check_version(found: object, field: str) -> None:
    if found != VERSION:
        age = "an older" if not isinstance(found, int) or found < VERSION else "a newer"
        problem = f"is a step log of {age} version ({found!r}) than this one ({VERSION})"
        raise ConfigError(field, f"{problem}: move it away, or use the release that wrote it")


def _tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _row(step: Step) -> list[Any]:
    return [value if type(value) in _CELLS else _cell(value) for value in step.values]


def _cell(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    return _json(value) if value else "{}"


def _step(row: Sequence[Any]) -> Step | None:
    record = dict(zip(FIELDS, row, strict=True))
    try:
        return Step.from_dict({**record, "attrs": json.loads(record["attrs"] or "{}")})
    except (ValueError, TypeError, RecursionError):
        return None
