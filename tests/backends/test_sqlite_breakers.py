"""Circuits in a file: all that a registry promises, in a bounded file."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from langgraph_guard.backends import BreakerRegistry
from langgraph_guard.backends.sqlite import SqliteBackend, breakers
from langgraph_guard.backends.sqlite.breakers import RETENTION
from langgraph_guard.policies.breaker import FAILURE, SUCCESS, CircuitKey
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import BreakerContract
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAIT, Circuits


class TestSqliteBreakers(BreakerContract):
    trials = 10
    folder: ClassVar[str]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def in_a_folder(cls) -> Iterator[None]:
        """Where its stores are; each has a file of its own."""
        with tempfile.TemporaryDirectory() as cls.folder:
            yield

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        return SqliteBackend(Path(tempfile.mkdtemp(dir=self.folder)) / "guard.db", clock=clock).breakers


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "guard.db"


@pytest.fixture
def circuits(path: Path, clock: FakeClock) -> Circuits:
    """A registry on that file and that time."""
    return Circuits(SqliteBackend(path, clock=clock).breakers.execute)


def numbered(number: int) -> CircuitKey:
    """A key of its own."""
    return KEY._replace(key=f"host:{number}")


def rows(path: Path, table: str = "circuits") -> int:
    """How many there are."""
    with closing(sqlite3.connect(path)) as file:
        found: int = file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


def test_the_file_does_not_grow_with_keys(circuits: Circuits, clock: FakeClock, path: Path) -> None:
    """A model that names a new host in each call must not fill the disk of a worker that runs for months."""
    found = []
    for hour in range(3):
        for number in range(30):
            circuits.call(SUCCESS, FAILURE, key=numbered(100 * hour + number))
        found.append(rows(path))
        clock.advance(3_600)
    assert found == [30] * 3


def test_what_is_never_recorded_is_never_remembered(circuits: Circuits, path: Path) -> None:
    """Looking and asking leave nothing behind."""
    for number in range(10):
        circuits.admit("r", numbered(number))
        circuits.status(numbered(number))
    assert rows(path) == 0


def test_for_one_circuit_too_many_the_oldest_goes_but_none_that_is_held_open(
    circuits: Circuits, clock: FakeClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded within the window, too; but a kill switch that strangers can release is none."""
    monkeypatch.setattr(breakers, "MOST", 10)
    circuits.force_open()
    for number in range(10):
        circuits.call(FAILURE, key=numbered(number))
        clock.advance(1)
    found = circuits.statuses(KEY, numbered(0), numbered(1), numbered(9))
    assert rows(path) == 10
    assert [(status.state, status.calls) for status in found] == [
        ("forced_open", 0),
        ("closed", 0),
        ("closed", 1),
        ("closed", 1),
    ]


def test_what_people_did_is_bounded_by_keys(
    circuits: Circuits, clock: FakeClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest records stay."""
    monkeypatch.setattr(breakers, "MOST", 3)
    for number in range(5):
        circuits.reset(numbered(number))
        clock.advance(1)
    assert rows(path, "audits") == 3
    assert [len(circuits.audit(numbered(number))) for number in range(5)] == [0, 0, 1, 1, 1]


def test_an_open_circuit_is_remembered_however_long_nobody_asks(circuits: Circuits, clock: FakeClock) -> None:
    """The first call after a quiet night is a probe, not one of fifty."""
    circuits.trip()
    clock.advance(10 * 86_400)
    for number in range(10):
        circuits.call(FAILURE, key=numbered(number))
    assert circuits.status().state == "half_open"


@pytest.mark.parametrize(("later", "counted"), [(RETENTION / 1_000 - 1, False), (RETENTION / 1_000 + 120, True)])
def test_a_circuit_that_was_open_is_remembered_for_a_while(
    circuits: Circuits, clock: FakeClock, later: float, counted: bool
) -> None:
    """So that a call of its first generation which ends now counts for nothing. After an hour none is waited for."""
    circuits.admit("late")
    circuits.trip()
    clock.advance(WAIT)
    circuits.record("probe", circuits.probe(), SUCCESS)
    clock.advance(later)
    circuits.call(FAILURE, key=numbered(0))
    circuits.record("late", 0, FAILURE)
    assert circuits.status().calls == int(counted)


def test_what_the_garbage_collector_ends_in_the_middle_does_not_wait_for_itself(path: Path) -> None:
    """An abandoned stream records its end from a finalizer, in the thread whose transaction is open."""
    ends: list[Callable[[], Any]] = []

    class Finalizer(FakeClock):
        def now(self) -> float:
            while ends:
                ends.pop()()
            return super().now()

    circuits = Circuits(SqliteBackend(path, clock=Finalizer(), busy_timeout=0).breakers.execute)
    generation = circuits.admit("abandoned").generation  # type: ignore[union-attr]
    ends.append(lambda: circuits.record("abandoned", generation, FAILURE))
    circuits.record("r", generation, FAILURE)
    assert circuits.status().calls == 2
