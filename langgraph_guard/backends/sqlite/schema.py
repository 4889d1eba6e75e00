"""What a file of ours looks like, and which files are ours.

    holds        a reservation as `policies/bookkeeping/` has it; `due`: when a sweep must look at it
    accounts     the balances of an account; `ends`: when the last reservation of a run's account ends
    turns        the open turn of a session
    frozen       whose accounts are frozen
    adjustments  what was adjusted; `until`: when its id is forgotten
    deeds        what people did to the ledger, by tenant, numbered; `null`: to everyone's accounts
    circuits     a circuit; `wrote`: its place among those that may go; `until`: when being closed says nothing more
    audits       what people did to a circuit

Names and rows are JSON in ASCII, so no character of a name means anything to SQLite. `user_version` is the version of
all of it: it changes whenever a reader of the former one would not understand.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from langgraph_guard.errors import StoreRefused

STORE: Final = "sqlite"

APPLICATION: Final = 0x4C474744
"""`LGGD`, in the header of the file: what `file guard.db` shows."""

VERSION: Final = 1

TABLES: Final = (
    "CREATE TABLE holds (id TEXT PRIMARY KEY, due REAL NOT NULL, row TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX holds_due ON holds (due)",
    "CREATE TABLE accounts (account TEXT PRIMARY KEY, row TEXT NOT NULL, ends REAL) WITHOUT ROWID",
    "CREATE TABLE turns (session TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE circuits (circuit TEXT PRIMARY KEY, row TEXT NOT NULL, wrote INTEGER, until INTEGER) WITHOUT ROWID",
    "CREATE INDEX circuits_wrote ON circuits (wrote) WHERE wrote IS NOT NULL",
    "CREATE INDEX circuits_until ON circuits (until) WHERE until IS NOT NULL",
    "CREATE TABLE audits (circuit TEXT PRIMARY KEY, row TEXT NOT NULL, wrote INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX audits_wrote ON audits (wrote)",
)

ADDED: Final = (
    "CREATE TABLE IF NOT EXISTS frozen (owner TEXT PRIMARY KEY) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS adjustments"
        " (id TEXT PRIMARY KEY, until REAL NOT NULL, row TEXT NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS deeds"
        " (tenant TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (tenant, number))"
        " WITHOUT ROWID"
    ),
)
"""Tables of version 1 that its first files do not have. Who does not know them reads all the rest as ever."""


def prepare(connection: sqlite3.Connection, *, durable: bool) -> None:
    """Make `connection` one to a file of ours, and an empty file one of ours. Raises `StoreRefused` for any other."""
    fresh = _is_fresh(connection)
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreRefused(STORE, "open", "the file system has no shared memory, which several processes need")
    if fresh or _lacks_tables(connection):
        _create(connection)


def _create(connection: sqlite3.Connection) -> None:
    # Whoever is interrupted here closes the connection, which undoes what was begun.
    connection.execute("BEGIN IMMEDIATE")
    if _is_fresh(connection):  # another process may have been faster
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")
    for table in ADDED:
        connection.execute(table)
    connection.execute("COMMIT")


def _lacks_tables(connection: sqlite3.Connection) -> bool:
    (known,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name IN ('frozen', 'adjustments', 'deeds')"
    ).fetchone()
    return int(known) < len(ADDED)


def _is_fresh(connection: sqlite3.Connection) -> bool:
    # One statement, so one moment: another process may be creating it.
    application, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application == APPLICATION:
        if version > VERSION:
            problem = f"the file has version {version}, written by a newer release; this one knows up to {VERSION}"
            raise StoreRefused(STORE, "open", problem)
        return False
    if application or version or tables:
        raise StoreRefused(STORE, "open", "the file is a database of something else; the backend needs one of its own")
    return True
