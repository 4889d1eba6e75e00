"""The ledger in a file: all that a ledger promises, in a bounded file, and whole whatever strikes in the middle."""

from __future__ import annotations

import inspect
import linecache
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.backends import Backend, MemoryBackend
from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.backends.sqlite.books import PAGE
from langgraph_guard.errors import BudgetUnavailable, GuardError, ReservationConflict
from langgraph_guard.policies.bookkeeping import RETENTION
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Charge,
    Closed,
    Command,
    Denied,
    EnsureAtLeast,
    Expire,
    Granted,
    OpenTurn,
    Read,
    Release,
    Reserve,
    Settle,
    Wait,
)
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import LedgerContract
from langgraph_guard.testing.contracts.ledger.harness import ACCOUNTS, SESSION, TENANT, USER, Till, everywhere

LEASE: Final = 60.0
THE_RUN: Final = Account(TENANT, RUN, "run-1", "usd")


class TestSqliteLedger(LedgerContract):
    trials = 10
    folder: ClassVar[str]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def in_a_folder(cls) -> Iterator[None]:
        """Where its stores are; each has a file of its own."""
        with tempfile.TemporaryDirectory() as cls.folder:
            yield

    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        return SqliteBackend(Path(tempfile.mkdtemp(dir=self.folder)) / "guard.db", tenant=tenant, clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "guard.db"


@pytest.fixture
def backend(path: Path, clock: FakeClock) -> SqliteBackend:
    """A backend on that file and that time."""
    return SqliteBackend(path, tenant=TENANT, clock=clock)


@pytest.fixture
def till(backend: SqliteBackend) -> Till:
    """Its ledger."""
    return Till(backend.ledger.execute)


def rows(path: Path) -> dict[str, int]:
    """How many there are, by table."""
    with closing(sqlite3.connect(path)) as file:
        tables = ("holds", "accounts", "turns")
        return {table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


# The size of the file


def test_a_closed_reservation_is_remembered_for_a_while_and_then_forgotten(till: Till, clock: FakeClock) -> None:
    """A replay comes within minutes; what it would cost to remember for ever, nobody has."""
    till.reserve("r", *everywhere(30), lease=LEASE)
    till.settle("r", usd=12)
    clock.advance(LEASE + RETENTION - 1)
    assert till.settle("r", usd=12).overrun == {}
    clock.advance(1)
    with pytest.raises(ReservationConflict, match="unknown"):
        till.settle("r", usd=12)
    assert till.balance(SESSION) == (12, 0)


def test_the_file_does_not_grow_with_calls(till: Till, clock: FakeClock, path: Path) -> None:
    """A worker runs for months: a million calls must cost what the last hour's do."""
    found = []
    for hour in range(3):
        for call in range(50):
            id = f"{hour}-{call}"
            till.reserve(id, *everywhere(2, 10**9), Charge(THE_RUN._replace(id=id), 2), lease=LEASE)
            till.settle(id, usd=1) if call % 3 else till.release(id)
            till.release(f"unknown-{id}")
        clock.advance(LEASE + RETENTION)
        till.expire()
        found.append(rows(path))
    assert found == [{"holds": 0, "accounts": len(ACCOUNTS), "turns": 0}] * 3


def test_a_run_is_kept_as_long_as_its_longest_reservation(till: Till, clock: FakeClock) -> None:
    """Forgetting its first call must not refund those that came after; afterwards it goes."""
    till.reserve("long", Charge(THE_RUN, 30, 100), lease=4 * RETENTION)
    till.reserve("short", Charge(THE_RUN, 30, 100), lease=LEASE)
    till.settle("short")
    clock.advance(2 * RETENTION)
    assert till.balance(THE_RUN) == (30, 30)
    till.settle("long", usd=1)
    assert till.balance(THE_RUN) == (31, 0)
    clock.advance(3 * RETENTION)
    assert till.balance(THE_RUN) == (0, 0)


def test_many_orphans_are_closed_by_one_command_and_in_several_transactions(
    backend: SqliteBackend, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine went down with all its workers: each orphan is charged once, and nobody waits long for the file."""
    backend.ledger.execute([Reserve(f"r{number}", (Charge(USER, 1),), LEASE) for number in range(2 * PAGE)])
    transactions: list[str] = []
    write = backend._file.write

    def noted(doing: str, *words: Any) -> Any:
        transactions.append(doing)
        return write(doing, *words)

    monkeypatch.setattr(backend._file, "write", noted)
    clock.advance(LEASE)
    assert backend.ledger.execute([Expire(), Expire()]) == [2 * PAGE, 0]
    assert transactions == ["Expire"] * (3 + 1)
    assert Till(backend.ledger.execute).balance(USER) == (2 * PAGE, 0)


def test_what_a_refused_command_found_due_stays_closed(till: Till, clock: FakeClock) -> None:
    """The refusal writes nothing; the orphan that it met on its way is charged all the same."""
    till.reserve("orphan", Charge(USER, 30), lease=LEASE, orphans="release")
    clock.advance(LEASE)
    with pytest.raises(ReservationConflict):
        till.settle("unknown")
    assert till.expire() == 0
    assert isinstance(till.reserve("r", Charge(USER, 100, 100)), Granted)
    assert isinstance(till.reserve("s", Charge(USER, 1, 100)), Denied)


# Beside the memory backend

histories = st.lists(
    st.one_of(
        st.builds(
            Reserve,
            st.sampled_from("abcd"),
            st.lists(
                st.builds(Charge, st.sampled_from(ACCOUNTS), st.integers(0, 60), st.sampled_from([None, 80, 100])),
                max_size=3,
            ).map(tuple),
            st.sampled_from([30.0, 600.0]),
            st.sampled_from(["charge", "release"]),
        ),
        st.builds(Settle, st.sampled_from("abcd"), st.dictionaries(st.just("usd"), st.integers(-1, 90))),
        st.builds(Release, st.sampled_from("abcd")),
        st.builds(OpenTurn, st.just(TENANT), st.just("s1"), st.sampled_from(["t1", "t2"]), st.integers(0, 3)),
        st.builds(EnsureAtLeast, st.sampled_from(ACCOUNTS), st.integers(0, 90), st.sampled_from(["t1", "t2"])),
        st.builds(Expire),
        st.builds(Read, st.just(ACCOUNTS)),
        st.builds(Wait, st.sampled_from([1.0, 30.0, 3_600.0, 86_400.0])),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(history=histories)
def test_the_same_history_has_the_same_answers_in_memory(history: list[Command]) -> None:
    """To the last field, hours and days later too: a test on the one says what the other will do."""
    with tempfile.TemporaryDirectory() as folder:
        with SqliteBackend(Path(folder) / "guard.db", clock=FakeClock()) as backend:
            found = [answer(backend, command) for command in history]
        memory = MemoryBackend(clock=FakeClock())
        assert found == [answer(memory, command) for command in history]


def answer(backend: Backend, command: Command) -> Any:
    """The reply, or what is said instead."""
    try:
        return backend.ledger.execute([command])
    except GuardError as error:
        return type(error), str(error)


# In the middle


class Finalizer(FakeClock):
    """A clock under which something ends in the middle of a transaction, as the garbage collector may let it."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[Callable[[], Any]] = []

    def now(self) -> float:
        while self.ends:
            self.ends.pop()()
        return super().now()


def test_what_the_garbage_collector_ends_in_the_middle_does_not_wait_for_itself(path: Path) -> None:
    """An abandoned stream settles from a finalizer, in the thread whose transaction is open."""
    clock = Finalizer()
    ledger = SqliteBackend(path, clock=clock, busy_timeout=0).ledger
    replies: list[Any] = []
    ledger.execute([Reserve("abandoned", (Charge(USER, 30),))])
    clock.ends.append(lambda: replies.extend(ledger.execute([Settle("abandoned", {"usd": 12})])))
    ledger.execute([Reserve("r", (Charge(USER, 5),))])
    assert replies == [Closed("abandoned")]
    assert Till(ledger.execute).balance(USER) == (12, 5)


def test_what_the_garbage_collector_reserves_in_the_middle_is_refused(path: Path) -> None:
    """Nobody sees its answer later, so it cannot be put off."""
    clock = Finalizer()
    ledger = SqliteBackend(path, clock=clock, busy_timeout=0).ledger
    refused: list[Any] = []

    def end() -> None:
        with pytest.raises(BudgetUnavailable) as caught:
            ledger.execute([Reserve("late", (Charge(USER, 30),))])
        refused.append(caught.value)

    clock.ends.append(end)
    ledger.execute([Reserve("r", (Charge(USER, 5),))])
    assert len(refused) == 1
    assert Till(ledger.execute).balance(USER) == (0, 5)


OURS: Final = ("ledger", "books", "file", "schema", "rows")


@contextmanager
def interrupted(moment: int) -> Iterator[list[int]]:
    """Cut what runs here with a `KeyboardInterrupt` at the `moment`-th place of the backend where one can fall.

    The interpreter handles signals as a function starts, as a call into C returns, and as a loop begins again, which
    is at the start of a line at the earliest. The list counts the places.
    """
    passed = [0]

    def arrive(frame: FrameType, event: str, argument: Any) -> Any:
        if not _ours(frame):
            return None
        if event in ("call", "c_return") or (event == "line" and not _lets_nothing_in(frame)):
            passed[0] += 1
            if passed[0] == moment:
                _stop()
                raise KeyboardInterrupt
        return arrive

    sys.settrace(arrive)
    sys.setprofile(arrive)
    try:
        with suppress(KeyboardInterrupt):
            yield passed
    finally:
        _stop()


def _stop() -> None:
    sys.settrace(None)
    sys.setprofile(None)


def _lets_nothing_in(frame: FrameType) -> bool:
    """A `with` that ends counts as a line too, as does a `try` that begins; neither lets a signal in."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return line.lstrip().startswith(("with ", "try:"))


def _ours(frame: FrameType) -> bool:
    # What is raised in a generator that is thrown away, and in a backend that is, is raised to nobody.
    package, _, module = frame.f_globals["__name__"].rpartition(".")
    thrown_away = frame.f_code.co_flags & inspect.CO_GENERATOR or frame.f_code.co_name in ("_close", "close")
    return not thrown_away and package == "langgraph_guard.backends.sqlite" and module in OURS


def every_moment(attempt: Callable[[int], int]) -> int:
    """Run `attempt` with an interrupt at its first place, its second, … until it gets through; how many there are."""
    moment = 1
    while attempt(moment) >= moment:
        moment += 1
    return moment - 1


def _held(till: Till) -> None:
    till.reserve("r", *everywhere(30, 100), lease=LEASE)


BEFORE: Final = [(0, 0)] * 4
HELD: Final = [(0, 30)] * 4

# What is interrupted: what comes before it, the command, and the balances before and after.
STEPS: Final[dict[str, tuple[Callable[[Till], None], Callable[[Till], Any], list[Any], list[Any]]]] = {
    "reserve": (lambda till: None, _held, BEFORE, HELD),
    "settle": (_held, lambda till: till.settle("r", usd=12), HELD, [(12, 0)] * 4),
    "release": (_held, lambda till: till.release("r"), HELD, BEFORE),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_anywhere_leaves_all_or_nothing_and_no_lock(step: str, tmp_path: Path) -> None:
    """Ctrl-C in a notebook may fall between any two instructions; this process and the others go on afterwards."""
    prepare, act, before, after = STEPS[step]

    def attempt(moment: int) -> int:
        path, clock = tmp_path / f"{moment}.db", FakeClock()
        ours = Till(SqliteBackend(path, clock=clock, busy_timeout=0).ledger.execute)
        others = Till(SqliteBackend(path, clock=clock, busy_timeout=0).ledger.execute)
        prepare(ours)
        with interrupted(moment) as passed:
            act(ours)
        others.reserve("other", Charge(THE_RUN, 1))
        assert others.balances(*ACCOUNTS) in (before, after)
        act(ours)  # whoever was interrupted may send it again
        assert others.balances(*ACCOUNTS) == after
        return passed[0]

    assert every_moment(attempt) > 60


def test_an_interrupted_sweep_is_finished_by_the_next_command(tmp_path: Path) -> None:
    """Each orphan is charged once, each run forgotten, wherever the first sweep was cut."""

    def attempt(moment: int) -> int:
        clock = FakeClock()
        till = Till(SqliteBackend(tmp_path / f"{moment}.db", clock=clock, busy_timeout=0).ledger.execute)
        till.reserve("old", Charge(THE_RUN, 5), lease=LEASE)
        clock.advance(RETENTION)
        for id in ("a", "b"):
            till.reserve(id, *everywhere(30, 100), lease=LEASE)
        clock.advance(LEASE)
        with interrupted(moment) as passed:
            till.expire()
        assert till.balances(*ACCOUNTS, THE_RUN) == [(60, 0)] * 4 + [(0, 0)]
        return passed[0]

    assert every_moment(attempt) > 60


def test_an_interrupted_beginning_leaves_a_file_that_works(tmp_path: Path) -> None:
    """Half of the tables would be a file of something else, for ever."""

    def attempt(moment: int) -> int:
        path = tmp_path / f"{moment}.db"
        with interrupted(moment) as passed:
            SqliteBackend(path)
        assert SqliteBackend(path, busy_timeout=0).ledger.execute([Reserve("r", ()), Read(())]) == [
            Granted("r", ()),
            (),
        ]
        return passed[0]

    assert every_moment(attempt) > 30
