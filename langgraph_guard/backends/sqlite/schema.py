"""What a file of ours looks like, and which files are ours.

    holds        a reservation as `policies/bookkeeping/` has it; `due`: when a sweep must look at it
    accounts     the balances of an account; `ends`: when the last reservation of a run's account ends
    turns        the open turn of a session
    frozen       whose accounts are frozen
    adjustments  what was adjusted; `until`: when its id is forgotten
    deeds        what people did to the ledger, by tenant, numbered; `null`: to everyone's accounts
    circuits     a circuit; `wrote`: its place among those that may go; `until`: when being closed says nothing more
    audits       what people did to a circuit
    approvals    a request; `ends`: when its time is over, while it is open; `until`: when it is forgotten, once closed
    effects      an execution; `place`: among those that have not ended; `until`: when it is forgotten, once it has
    trail        what was done at the desk and in the outbox, by tenant, numbered: each with the hash of the one before
    heads        where a tenant's trail ends

Names and rows are JSON in ASCII, so no character of a name means anything to SQLite. Names of approvals and effects are
as they are, because pages are in their order. `user_version` is the version of all of it: it changes whenever a reader
of the former one would not understand.
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
    # Arguments and results may be long: such rows are better off outside of an index.
    (
        "CREATE TABLE IF NOT EXISTS approvals"
        " (tenant TEXT NOT NULL, id TEXT NOT NULL, thread TEXT NOT NULL, at REAL NOT NULL, ends REAL, until REAL,"
        " row TEXT NOT NULL, PRIMARY KEY (tenant, id))"
    ),
    "CREATE INDEX IF NOT EXISTS approvals_open ON approvals (tenant, at, id) WHERE until IS NULL",
    "CREATE INDEX IF NOT EXISTS approvals_ends ON approvals (tenant, ends) WHERE until IS NULL AND ends IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS approvals_until ON approvals (until) WHERE until IS NOT NULL",
    (
        "CREATE TABLE IF NOT EXISTS effects"
        " (tenant TEXT NOT NULL, thread TEXT NOT NULL, call_id TEXT NOT NULL, digest TEXT NOT NULL,"
        " place TEXT, until REAL, row TEXT NOT NULL, PRIMARY KEY (tenant, thread, call_id, digest))"
    ),
    "CREATE INDEX IF NOT EXISTS effects_place ON effects (tenant, place) WHERE place IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS effects_until ON effects (until) WHERE until IS NOT NULL",
    (
        "CREATE TABLE IF NOT EXISTS trail"
        " (tenant TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (tenant, number))"
        " WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS heads"
        " (tenant TEXT PRIMARY KEY, number INTEGER NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID"
    ),
)
"""Tables of version 1 that its first files do not have. Who does not know them reads all the rest as ever."""


_NAMES: Final = frozenset(each.split()[5] for each in ADDED)


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
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return not known.issuperset(_NAMES)


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
