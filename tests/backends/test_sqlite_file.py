"""The file that processes share: which paths it takes, what it says when it cannot, and whom it keeps waiting."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from langgraph_guard.backends import Backend
from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.errors import BudgetUnavailable, ConfigError, StoreRefused, StoreUnavailable
from langgraph_guard.policies.breaker import (
    FAILURE,
    Admit,
    Admitted,
    BreakerSettings,
    CircuitKey,
    Peek,
    Record,
)
from langgraph_guard.policies.ledger import (
    Account,
    Charge,
    Command,
    EnsureAtLeast,
    Granted,
    OpenTurn,
    Read,
    Release,
    Reserve,
    Wait,
)
from langgraph_guard.testing import FakeClock

USER: Final = Account("acme", "user", "42", "usd")
RESERVE: Final = Reserve("r", (Charge(USER, 30, 100),))
KEY: Final = CircuitKey("acme", "breaker", "search")
SETTINGS: Final = BreakerSettings(jitter=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "guard.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    """A backend that waits for nobody."""
    with SqliteBackend(path, clock=FakeClock(), busy_timeout=0) as backend:
        yield backend


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else writes, and takes his time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def balance(backend: SqliteBackend) -> tuple[int, int]:
    """Spent and reserved."""
    (found,) = backend.ledger.execute([Read((USER,))])
    return found[0][:2]  # type: ignore[index]


# What it is made with


def test_it_is_a_backend(path: Path) -> None:
    """What guards ask for, and nothing of it is answered from memory."""
    backend = SqliteBackend(path, tenant="acme")
    assert isinstance(backend, Backend)
    assert (backend.tenant, backend.ledger.instant, backend.breakers.instant) == ("acme", False, False)


@pytest.mark.parametrize("name", ["", ":memory:", "file::memory:?cache=shared", "file:guard.db"])
def test_memory_is_the_memory_backends(name: str) -> None:
    """No two connections would share it, so every limit would be there several times."""
    with pytest.raises(ConfigError, match=r"path: .*MemoryBackend"):
        SqliteBackend(name)


@pytest.mark.parametrize("wrong", [None, 7, b"guard.db", ["guard.db"], True])
def test_a_path_is_a_path(wrong: Any) -> None:
    """Its kind is named, its content is not."""
    with pytest.raises(ConfigError, match=f"path: must be a str or a Path, is a {type(wrong).__name__}"):
        SqliteBackend(wrong)


@pytest.mark.parametrize(
    ("name", "problem"), [(".", "is a folder"), ("missing/guard.db", "folder that does not exist"), ("a\0b", "NUL")]
)
def test_a_path_that_cannot_be_it_is_refused_at_once(tmp_path: Path, name: str, problem: str) -> None:
    """While the graph is built, and not in its tenth superstep; no folder is made by guessing."""
    with pytest.raises(ConfigError, match=f"path: .*{problem}"):
        SqliteBackend(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("tenant", None),
        ("tenant", b"acme"),
        ("clock", 7),
        ("durable", "yes"),
        ("busy_timeout", -1),
        ("busy_timeout", float("nan")),
        ("busy_timeout", float("inf")),
        ("busy_timeout", True),
        ("busy_timeout", "5"),
    ],
)
def test_a_wrong_setting_is_named(path: Path, field: str, wrong: Any) -> None:
    """And no file is left behind."""
    with pytest.raises(ConfigError, match=f"^{field}: "):
        SqliteBackend(path, **{field: wrong})
    assert not path.exists()


def test_it_is_the_same_file_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that changes its folder must not begin at zero."""
    monkeypatch.chdir(tmp_path)
    backend = SqliteBackend("guard.db")
    backend.ledger.execute([RESERVE])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    backend.close()
    assert balance(backend) == (0, 30)


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)], ids=["process", "power"])
def test_durable_means_that_each_command_reaches_the_disk(path: Path, durable: bool, synchronous: int) -> None:
    """NORMAL survives the end of every process; FULL waits for the disk at each commit, which a power cut takes."""
    backend = SqliteBackend(path, durable=durable)
    found = backend._file.write("test", lambda connection: connection.execute("PRAGMA synchronous").fetchone())
    assert found == (synchronous,)


def test_what_was_closed_opens_again(backend: SqliteBackend) -> None:
    """Closing lets go of the file, and of nothing that it says."""
    backend.ledger.execute([RESERVE])
    backend.close()
    backend.close()
    assert balance(backend) == (0, 30)


def test_who_closes_last_leaves_one_file(path: Path) -> None:
    """Which may then be copied by itself."""
    with SqliteBackend(path) as backend:
        backend.ledger.execute([RESERVE])
    assert [each.name for each in path.parent.iterdir()] == ["guard.db"]


# When it cannot


def test_a_file_that_others_hold_is_an_error_with_its_cause(backend: SqliteBackend, path: Path) -> None:
    """A budget without an answer fails closed; a breaker's caller then decides by itself."""
    with locked(path):
        with pytest.raises(BudgetUnavailable, match="sqlite") as ledger:
            backend.ledger.execute([RESERVE])
        with pytest.raises(StoreUnavailable, match="sqlite did not answer Record") as breakers:
            backend.breakers.execute([Record(KEY, SETTINGS, "r", 0, FAILURE)])
    assert isinstance(ledger.value.__cause__, sqlite3.OperationalError)
    assert isinstance(breakers.value.__cause__, sqlite3.OperationalError)
    assert backend.ledger.execute([RESERVE]) == [Granted("r", (30,))]


def test_it_waits_as_long_as_it_was_told(path: Path) -> None:
    """Not the ten seconds, or the hour, that a default somewhere else would give it."""
    backend = SqliteBackend(path, busy_timeout=0.05)
    with locked(path), pytest.raises(BudgetUnavailable) as caught:
        backend.ledger.execute([RESERVE])
    assert 0.05 <= caught.value.waited < 5


def test_who_only_looks_waits_for_nobody(backend: SqliteBackend, path: Path) -> None:
    """A gate at each superstep and a closed circuit at each call must not stand in the queue of those who write."""
    seen: list[Command] = [OpenTurn("acme", "s1", "t1"), EnsureAtLeast(USER, 5)]
    backend.ledger.execute(seen)
    with locked(path):
        assert backend.ledger.execute([*seen, Read((USER,))])[:2] == [None, None]
        assert balance(backend) == (5, 0)
        admitted, (status,) = backend.breakers.execute([Admit(KEY, SETTINGS, "r"), Peek((KEY,), SETTINGS)])  # type: ignore[misc]
    assert isinstance(admitted, Admitted)
    assert status.admits  # type: ignore[union-attr]


def test_it_is_made_while_others_write(backend: SqliteBackend, path: Path) -> None:
    """A worker that starts under load must not fail for it."""
    with locked(path):
        SqliteBackend(path, busy_timeout=0).close()


@pytest.mark.parametrize(
    ("pragma", "reason"), [("max_page_count=1", "full"), ("query_only=ON", "readonly")], ids=["full", "read-only"]
)
def test_a_disk_that_takes_nothing_is_an_error_and_nothing_is_half_written(
    backend: SqliteBackend, pragma: str, reason: str
) -> None:
    """The ledger is closed until it can write again, and goes on then."""
    many = tuple(Charge(USER._replace(id=f"{number}" * 100), 1) for number in range(100))
    set_up(backend, pragma)
    with pytest.raises(BudgetUnavailable) as ledger:
        backend.ledger.execute([Reserve("r", (*RESERVE.charges, *many))])
    with pytest.raises(StoreRefused, match=f"sqlite refused Record: .*{reason}"):
        for number in range(100):
            backend.breakers.execute([Record(KEY._replace(key=f"{number}" * 100), SETTINGS, "r", 0, FAILURE)])
    set_up(backend, pragma.replace("ON", "OFF").replace("=1", "=1000000"))
    assert isinstance(ledger.value.__cause__, sqlite3.OperationalError)
    assert reason in str(ledger.value.__cause__)
    assert balance(backend) == (0, 0)
    assert backend.ledger.execute([RESERVE]) == [Granted("r", (30,))]


def set_up(backend: SqliteBackend, pragma: str) -> None:
    """Change what the connection that writes may do."""
    connection = backend._file._writer.connection or backend._file._opened()
    backend._file._writer.connection = connection
    connection.execute(f"PRAGMA {pragma}").fetchall()


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_file_that_was_removed_closes_the_ledger(backend: SqliteBackend, path: Path) -> None:
    """Another one in its place would begin at zero for whoever starts now, and not for those who have it open."""
    backend.ledger.execute([RESERVE])
    path.unlink()
    with pytest.raises(BudgetUnavailable) as caught:
        backend.ledger.execute([Read((USER,))])
    assert "moved, removed or replaced" in str(caught.value.__cause__)
    assert not path.exists()
    SqliteBackend(path).close()
    with pytest.raises(StoreRefused, match="moved, removed or replaced"):
        backend.breakers.execute([Peek((KEY,), SETTINGS)])


# On an event loop


async def test_the_event_loop_goes_on_while_others_hold_the_file(path: Path) -> None:
    """Ten thousand other runs live on it."""
    backend = SqliteBackend(path, busy_timeout=60)
    reserves = [Reserve(f"r{number}", (Charge(USER, 1),)) for number in range(40)]
    with locked(path) as other:
        waiting = [asyncio.ensure_future(backend.ledger.aexecute([reserve])) for reserve in reserves]
        for _ in range(1_000):
            await asyncio.sleep(0)
        read = await backend.ledger.aexecute([Read((USER,))])  # and whoever only looks does not stand in their queue
        admitted = await backend.breakers.aexecute([Admit(KEY, SETTINGS, "r")])
        assert not any(task.done() for task in waiting)
        other.execute("ROLLBACK")
        assert await asyncio.gather(*waiting) == [[Granted(reserve.id, (1,))] for reserve in reserves]
    assert read[0][0][:2] == (0, 0)  # type: ignore[index]
    assert admitted == [Admitted(0)]


async def test_a_call_that_is_cancelled_while_it_waits_can_be_released(path: Path) -> None:
    """Whichever of the two gets through first, nothing stays held."""
    backend = SqliteBackend(path, clock=FakeClock(), busy_timeout=60)
    with locked(path) as other:
        reserving = asyncio.ensure_future(backend.ledger.aexecute([RESERVE]))
        await asyncio.sleep(0)
        reserving.cancel()
        releasing = asyncio.ensure_future(backend.ledger.aexecute([Release("r")]))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        await releasing
    backend._file._writer.thread.shutdown(wait=True)
    assert reserving.cancelled()
    assert balance(backend) == (0, 0)


async def test_waiting_for_room_holds_nothing(path: Path) -> None:
    """Neither the file, nor a thread: time passes on the caller's clock."""
    clock = FakeClock()
    backend = SqliteBackend(path, clock=clock, busy_timeout=0)
    assert await backend.ledger.aexecute([Wait(30.0)]) == [None]
    assert backend.ledger.execute([Wait(12.0)]) == [None]
    assert clock.slept == [30.0, 12.0]
