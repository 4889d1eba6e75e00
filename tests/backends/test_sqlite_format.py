"""The bytes of version 1: what a released version wrote, every later one reads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.errors import BudgetUnavailable, ConfigError, StoreRefused
from langgraph_guard.policies.breaker import (
    FAILURE,
    SUCCESS,
    Admit,
    Audit,
    AuditRecord,
    BreakerSettings,
    CircuitKey,
    ForceOpen,
    Peek,
    Record,
)
from langgraph_guard.policies.ledger import (
    RUN,
    TURN,
    Account,
    Adjust,
    Balance,
    Charge,
    Closed,
    Freeze,
    Granted,
    OpenTurn,
    Owner,
    Read,
    Release,
    Reserve,
    Settle,
    owner_of,
)
from langgraph_guard.policies.ledger import Audit as Audit_
from langgraph_guard.testing import FakeClock

SESSION: Final = Account("acme", "session", "s1", "usd", TURN)
USER: Final = Account("acme", "user", "zoë\0", "usd", "day")
THE_RUN: Final = Account("", RUN, "run-1", "tokens")
EVERYTHING: Final = (Charge(SESSION, 30, 100, 1), Charge(USER, 30, 100), Charge(THE_RUN, 7))

TOOL: Final = CircuitKey("acme", "tools", "search")
HOST: Final = CircuitKey("", "hosts", "日本:443")
SETTINGS: Final = BreakerSettings(jitter=0)

HEADER: Final = {"application_id": 0x4C474744, "user_version": 1}

TABLES: Final = """
CREATE TABLE holds (id TEXT PRIMARY KEY, due REAL NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX holds_due ON holds (due);
CREATE TABLE accounts (account TEXT PRIMARY KEY, row TEXT NOT NULL, ends REAL) WITHOUT ROWID;
CREATE TABLE turns (session TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE circuits (circuit TEXT PRIMARY KEY, row TEXT NOT NULL, wrote INTEGER, until INTEGER) WITHOUT ROWID;
CREATE INDEX circuits_wrote ON circuits (wrote) WHERE wrote IS NOT NULL;
CREATE INDEX circuits_until ON circuits (until) WHERE until IS NOT NULL;
CREATE TABLE audits (circuit TEXT PRIMARY KEY, row TEXT NOT NULL, wrote INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX audits_wrote ON audits (wrote);
"""

ADDED: Final = """
CREATE TABLE frozen (owner TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE adjustments (id TEXT PRIMARY KEY, until REAL NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deeds (tenant TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (tenant, number)) \
WITHOUT ROWID;
CREATE TABLE approvals (tenant TEXT NOT NULL, id TEXT NOT NULL, thread TEXT NOT NULL, at REAL NOT NULL, ends REAL, \
until REAL, row TEXT NOT NULL, PRIMARY KEY (tenant, id));
CREATE INDEX approvals_open ON approvals (tenant, at, id) WHERE until IS NULL;
CREATE INDEX approvals_ends ON approvals (tenant, ends) WHERE until IS NULL AND ends IS NOT NULL;
CREATE INDEX approvals_until ON approvals (until) WHERE until IS NOT NULL;
CREATE TABLE effects (tenant TEXT NOT NULL, thread TEXT NOT NULL, call_id TEXT NOT NULL, digest TEXT NOT NULL, \
place TEXT, until REAL, row TEXT NOT NULL, PRIMARY KEY (tenant, thread, call_id, digest));
CREATE INDEX effects_place ON effects (tenant, place) WHERE place IS NOT NULL;
CREATE INDEX effects_until ON effects (until) WHERE until IS NOT NULL;
CREATE TABLE trail (tenant TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (tenant, number)) \
WITHOUT ROWID;
CREATE TABLE heads (tenant TEXT PRIMARY KEY, number INTEGER NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID;
"""

ROWS: Final[dict[str, list[tuple[Any, ...]]]] = {
    "holds": [
        (
            r'"held"',
            1_767_225_660.5,
            (
                r'["held",[[["acme","session","s1","usd","turn"],30,100,1],[["acme","user","zo\u00eb\u0000","usd"'
                r',"day"],30,100,null],[["","run","run-1","tokens",null],7,null,null]],["t1","000000020454",""],['
                r'30,30,7],1767225660.5,"release",[],"t1"]'
            ),
        ),
        (
            r'"settled"',
            1_767_229_500.0,
            (
                r'["settled",[[["acme","session","s1","usd","turn"],30,100,1],[["acme","user","zo\u00eb\u0000","u'
                r'sd","day"],30,100,null],[["","run","run-1","tokens",null],7,null,null]],["t1","000000020454",""'
                r'],[30,30,7],1767225900.0,"charge",[["tokens",5],["usd",12]],"t1"]'
            ),
        ),
        (
            r'"tombstone"',
            1_767_229_200.0,
            r'["released",[],[],[],1767225600.0,"release",[],""]',
        ),
    ],
    "accounts": [
        (
            r'["","run","run-1","tokens",null]',
            r'[[5,7,""]]',
            1_767_225_900.0,
        ),
        (
            r'["acme","session","s1","usd","turn"]',
            r'[[12,30,"t1"]]',
            None,
        ),
        (
            r'["acme","user","zo\u00eb\u0000","usd","day"]',
            r'[[12,30,"000000020454"]]',
            None,
        ),
    ],
    "turns": [
        (
            r'["acme","s1"]',
            r'["t1",3]',
        ),
    ],
    "circuits": [
        (
            r'["","hosts","\u65e5\u672c:443"]',
            r'["forced_open",1,"forced_open",1767225600000,0,0,[],[]]',
            None,
            None,
        ),
        (
            r'["","hosts","quiet"]',
            r'["closed",0,null,0,0,0,[[294537600,1,0,0]],[]]',
            1_767_225_600_000,
            1_767_225_661_000,
        ),
        (
            r'["acme","tools","search"]',
            r'["open",1,"failure_rate",1767225600000,1767225630000,1,[],[]]',
            1_767_225_600_000,
            None,
        ),
    ],
    "audits": [
        (
            r'["","hosts","\u65e5\u672c:443"]',
            r'[[1767225600000,"force_open","ada","down","closed"]]',
            1_767_225_600_000,
        ),
    ],
}


BY_HAND: Final[dict[str, list[tuple[Any, ...]]]] = {
    "frozen": [(r'["","global",""]',), (r'["acme","user","42"]',)],
    "adjustments": [
        (
            r'"a"',
            1_767_229_200.0,
            r'[["acme","user","zo\u00eb\u0000","usd","day"],-5,20,"",1767229200.0]',
        ),
        (
            r'"b"',
            1_767_229_200.0,
            r'[["acme","session","s1","usd","turn"],7,0,"t1",1767229200.0]',
        ),
    ],
    "deeds": [
        (
            r'"acme"',
            1,
            r'[1767225600.0,"adjust",["acme","user","zo\u00eb\u0000"],"zo\u00eb","an invoice","usd","day",-5,20]',
        ),
        (
            r'"acme"',
            2,
            r'[1767225600.0,"adjust",["acme","session","s1"],"ada","","usd","turn",7,0]',
        ),
        (
            r'"acme"',
            3,
            r'[1767225600.0,"freeze",["acme","user","42"],"ada","abuse","",null,0,0]',
        ),
        (
            r"null",
            1,
            r'[1767225600.0,"freeze",["","global",""],"ada","","",null,0,0]',
        ),
    ],
    "accounts": [
        (
            r'["acme","session","s1","usd","turn"]',
            r'[[7,0,"t1"]]',
            None,
        ),
        (
            r'["acme","user","zo\u00eb\u0000","usd","day"]',
            r'[[0,1,"000000020454",20]]',
            None,
        ),
    ],
    "holds": [
        (
            r'"local"',
            1_767_225_900.0,
            (
                r'["held",[[["acme","user","zo\u00eb\u0000","usd","day"],1,100,null,50]],["000000020454"],[1],'
                r'1767225900.0,"charge",[],""]'
            ),
        ),
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "guard.db"


@pytest.fixture
def backend(path: Path) -> SqliteBackend:
    """A backend on a new file, at the beginning of 2026."""
    return SqliteBackend(path, clock=FakeClock())


def write_one_of_each(backend: SqliteBackend) -> None:
    """Every kind of row in every state that a command leaves behind."""
    backend.ledger.execute(
        [
            OpenTurn("acme", "s1", "t1", 3),
            Reserve("held", EVERYTHING, 60.5, "release"),
            Reserve("settled", EVERYTHING),
            Settle("settled", {"usd": 12, "tokens": 5}),
            Release("tombstone"),
        ]
    )
    for call, outcome in enumerate((SUCCESS, FAILURE, FAILURE)):
        backend.breakers.execute([Record(TOOL, SETTINGS, f"{call}", 0, outcome)])
    backend.breakers.execute([Record(HOST._replace(key="quiet"), SETTINGS, "r", 0, SUCCESS)])
    backend.breakers.execute([ForceOpen(HOST, "ada", "down")])


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with closing(sqlite3.connect(path)) as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: file.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def as_version_1(path: Path) -> None:
    """A file as a released version left it."""
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(TABLES)
        for name, rows in ROWS.items():
            file.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        for name, value in HEADER.items():
            file.execute(f"PRAGMA {name}={value}")


def test_the_tables_are_those_of_version_1(backend: SqliteBackend, path: Path) -> None:
    """Whoever changes one gives the version a new number and reads both."""
    with closing(sqlite3.connect(path)) as file:
        found = [sql for (sql,) in file.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        header = {name: file.execute(f"PRAGMA {name}").fetchone()[0] for name in HEADER}
    assert [f"{sql};" for sql in found] == (TABLES + ADDED.strip()).strip().splitlines()
    assert header == HEADER


def test_the_rows_are_those_of_version_1(backend: SqliteBackend, path: Path) -> None:
    """Workers of two releases share the file while one replaces the other."""
    write_one_of_each(backend)
    added = ("frozen", "adjustments", "deeds", "approvals", "effects", "trail", "heads")
    assert dump(path) == {**ROWS, **{name: [] for name in added}}


def test_what_people_did_has_rows_of_its_own(backend: SqliteBackend, path: Path) -> None:
    """And what they gave is the last figure of a balance, which stands only where it says something."""
    backend.ledger.execute(
        [
            Adjust("a", USER, "zoë", "an invoice", spent=-5, credit=20),
            Adjust("b", SESSION, "ada", spent=7, turn="t1"),
            Freeze(Owner("acme", "user", "42"), "ada", "abuse"),
            Freeze(Owner("", "global", ""), "ada"),
            Reserve("local", (Charge(USER, 1, 100, local=50),)),
        ]
    )
    found = dump(path)
    assert {table: found[table] for table in ("frozen", "adjustments", "deeds", "accounts", "holds")} == BY_HAND


def test_a_file_without_the_rows_of_people_gets_them(path: Path) -> None:
    """The first files of version 1 had no such tables; they are read, and added to."""
    as_version_1(path)
    backend = SqliteBackend(path, clock=FakeClock())
    frozen, audit = backend.ledger.execute([Freeze(owner_of(USER), "ada"), Audit_("acme")])
    (balances,) = backend.ledger.execute([Read((SESSION, USER))])
    assert (frozen, [deed.action for deed in audit]) == (None, ["freeze"])  # type: ignore[union-attr]
    assert balances == (Balance(12, 30, "t1"), Balance(12, 30, "000000020454", frozen=True))


def test_a_file_of_version_1_is_read(path: Path) -> None:
    """Balances, reservations, turns, circuits and records mean what they meant."""
    as_version_1(path)
    backend = SqliteBackend(path, clock=FakeClock())
    settled, balances, reserved = backend.ledger.execute(
        [Settle("held", {"usd": 1}), Read((SESSION, USER, THE_RUN)), Reserve("more", (Charge(SESSION, 5, 100),))]
    )
    assert settled == Closed("held")
    assert [each[:2] for each in balances] == [(13, 0), (13, 0), (12, 0)]  # type: ignore[union-attr]
    assert reserved == Granted("more", (5,), "t1")
    statuses, audit = backend.breakers.execute([Peek((TOOL, HOST), SETTINGS), Audit(HOST)])
    assert [each.state for each in statuses] == ["open", "forced_open"]  # type: ignore[union-attr]
    assert audit == (AuditRecord(1_767_225_600_000, "force_open", "ada", "down", "closed"),)


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    """Half of what it says would be understood, and then written back."""
    as_version_1(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version=2")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"path: the file has version 2.* this one knows up to 1"):
        SqliteBackend(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    """A checkpointer's, say, named by mistake."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE checkpoints (thread_id TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="path: the file is a database of something else"):
        SqliteBackend(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    """It may be the user's notes."""
    path.write_text("Dear diary, " * 100)
    with pytest.raises(ConfigError, match="path: file is not a database") as caught:
        SqliteBackend(path)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_text() == "Dear diary, " * 100


@pytest.mark.parametrize("row", ["", "{", "null", "7", "[1]", '[["2026"]]'])
def test_a_row_that_somebody_edited_is_an_error_of_ours(backend: SqliteBackend, path: Path, row: str) -> None:
    """And no reason to grant anything, or to quote what it says."""
    write_one_of_each(backend)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE holds SET row = ?", (row,))
        file.execute("UPDATE circuits SET row = ?", (row,))
    with pytest.raises(BudgetUnavailable):
        backend.ledger.execute([Settle("held")])
    with pytest.raises(StoreRefused, match="a circuit in the file is not what was written"):
        backend.breakers.execute([Admit(TOOL, SETTINGS, "r")])
