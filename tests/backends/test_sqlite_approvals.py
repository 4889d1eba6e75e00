"""The desk and the outbox in a file: all that they promise, in a bounded file of a known format."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.backends.sqlite import SqliteBackend, journal
from langgraph_guard.errors import StoreRefused, StoreUnavailable
from langgraph_guard.policies.approval.chain import Head, verify
from langgraph_guard.policies.approval.commands import Look, Trail
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Claimed, LookUp
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import ApprovalContract
from langgraph_guard.testing.contracts.approvals.concurrency import Concurrency
from langgraph_guard.testing.contracts.approvals.harness import KEPT, KEY, TENANT, TTL, Office, decide, driven, request
from langgraph_guard.testing.contracts.approvals.histories import Histories
from tests.backends.test_sqlite_file import locked, set_up
from tests.backends.test_sqlite_format import as_version_1


class Files:
    """A backend on a file of its own."""

    folder: ClassVar[str]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def in_a_folder(cls) -> Iterator[None]:
        """Where its stores are; each has a file of its own."""
        with tempfile.TemporaryDirectory() as cls.folder:
            yield

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        return SqliteBackend(Path(tempfile.mkdtemp(dir=self.folder)) / "guard.db", clock=clock, tenant=tenant)


class TestSqliteApprovals(Files, ApprovalContract):
    trials = 5
    histories = 6


@pytest.mark.slow
class TestManySqliteRaces(Files, Concurrency):
    trials = 100


@pytest.mark.slow
class TestManySqliteHistories(Files, Histories):
    histories = 200


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "guard.db"


@pytest.fixture
def backend(path: Path, clock: FakeClock) -> Iterator[SqliteBackend]:
    """A backend that waits for nobody."""
    with SqliteBackend(path, tenant=TENANT, clock=clock, busy_timeout=0) as backend:
        yield backend


@pytest.fixture
def office(backend: SqliteBackend) -> Iterator[Office]:
    """Its desk and its outbox."""
    with driven(backend, "execute") as office:
        yield office


def count(path: Path, table: str) -> int:
    """How many rows there are."""
    with closing(sqlite3.connect(path)) as file:
        found: int = file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


# The file


def test_it_is_an_approval_backend(backend: SqliteBackend) -> None:
    """What an approval node and a tool guard ask for, and nothing of it is answered from memory."""
    assert isinstance(backend, ApprovalBackend)
    assert (backend.desk.instant, backend.outbox.instant) == (False, False)


def test_a_file_of_the_released_format_gets_a_desk(path: Path) -> None:
    """It was written before there was one, and all else in it stays."""
    as_version_1(path)
    with SqliteBackend(path, tenant=TENANT, clock=FakeClock()) as backend, driven(backend, "execute") as office:
        office.ask()
        office.decide()
        assert office.claim(approval="a1", required=True) == Claimed(1)
    assert count(path, "holds") == 3


STORED: Final[dict[str, list[tuple[Any, ...]]]] = {
    "approvals": [
        (
            "acme",
            "a1",
            "t1",
            1_767_225_600.0,
            None,
            1_767_225_601.0 + KEPT,
            (
                r'["a1","acme","t1","","c1","pay","{\"amount\":5,\"to\":\"zo\\u00eb\"}",'
                r'"e861d935f75f03ce663bd0f8e6c72f0c844579cd222ffed448e7b95cfb403c2b",'
                r'"e861d935f75f03ce663bd0f8e6c72f0c844579cd222ffed448e7b95cfb403c2b","money",'
                r'[["approve","edit","reject"],1,[],["boss"],60.0,false,""],"agent",1767225600.0,1767225660.0,'
                r'"approved",[["zo\u00eb",1767225601.0,'
                r'"e861d935f75f03ce663bd0f8e6c72f0c844579cd222ffed448e7b95cfb403c2b"]],["zo\u00eb"],1767225601.0,"",'
                r'["730f3c7a6cb2bd76b4ee354c5e66fded"]]'
            ),
        ),
    ],
    "effects": [
        (
            "acme",
            "t1",
            "c1",
            "e861d935f75f03ce663bd0f8e6c72f0c844579cd222ffed448e7b95cfb403c2b",
            "0000001767225661.000000000 9bf1ceb8ee9320a3fd4d77e1aada4433",
            None,
            r'["started","w1",1,1767225601.0,1767225661.0,"","a1"]',
        ),
    ],
    "heads": [],
}


def test_the_rows_are_these(office: Office, clock: FakeClock, path: Path) -> None:
    """Every later release reads them. Whoever changes one gives the file a new version and reads both."""
    office.ask(Requirement(roles=("boss",), ttl=TTL))
    clock.advance(1)
    office.decide("zoë", roles=("boss",), source="q1")
    office.claim(approval="a1", required=True)
    with closing(sqlite3.connect(path)) as file:
        found = {table: file.execute(f"SELECT * FROM {table}").fetchall() for table in STORED}
        (deed,) = file.execute("SELECT row FROM trail WHERE number = 3").fetchone()
    (told,) = office.tell(Trail(TENANT))
    assert found == {**STORED, "heads": [(TENANT, 3, told.head.hash)]}
    assert deed.startswith('[3,1767225601000,"started","')
    assert deed.endswith(f'"{told.head.hash}"]')


@pytest.mark.parametrize("row", ["", "{", "null", "7", "[1]", '[["2026"]]'])
def test_a_row_that_somebody_edited_is_an_error_of_ours(office: Office, path: Path, row: str) -> None:
    """And no reason to run anything, or to quote what it says."""
    office.ask()
    office.claim()
    with closing(sqlite3.connect(path)) as file, file:
        for table in ("approvals", "effects", "trail"):
            file.execute(f"UPDATE {table} SET row = ?", (row,))
    for send, command in ((office.tell, decide()), (office.do, LookUp(KEY)), (office.tell, Trail(TENANT))):
        with pytest.raises(StoreRefused, match="in the file is not what was written"):
            send(command)


def test_a_trail_that_was_shortened_in_the_file_shows_it(office: Office, path: Path) -> None:
    """Its head stands elsewhere."""
    office.ask()
    office.decide()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM trail WHERE number = 2")
    (told,) = office.tell(Trail(TENANT))
    assert verify(told.deeds, told.head, told.after) == "the chain ends at record 1, and 2 were written"


# When it cannot


def test_a_file_that_others_hold_runs_nothing(office: Office, backend: SqliteBackend, path: Path) -> None:
    """Who only looks waits for nobody; who would write is told, and nothing has happened."""
    office.ask()
    with locked(path):
        for send, command in ((office.tell, decide()), (office.do, Claim(KEY, "w"))):
            with pytest.raises(StoreUnavailable, match="sqlite did not answer"):
                send(command)
        assert (office.state(), office.pending(), office.execution()) == ("pending", ["a1"], None)
    assert office.kinds() == ["requested"]
    assert office.claim() == Claimed(1)


@pytest.mark.parametrize(
    ("pragma", "reason"), [("max_page_count=1", "full"), ("query_only=ON", "readonly")], ids=["full", "read-only"]
)
def test_a_disk_that_takes_nothing_is_an_error_and_nothing_is_half_written(
    office: Office, backend: SqliteBackend, pragma: str, reason: str
) -> None:
    """No decision without its deed. It goes on when there is room."""
    office.ask(args="x" * 100_000)
    before = (office.approval(), office.deeds())
    set_up(backend, pragma)
    with pytest.raises(StoreRefused, match=f"sqlite refused Request: .*{reason}"):
        office.tell(*(request(f"b{number}", args="x" * 100_000) for number in range(20)))
    with pytest.raises(StoreRefused, match=f"sqlite refused (Claim|Done): .*{reason}"):
        office.claim()
        office.done("x" * 1_000_000)
    set_up(backend, pragma.replace("ON", "OFF").replace("=1", "=1000000"))
    assert office.approval() == before[0]
    assert len(office.deeds()) == len(before[1]) + len(office.pending()) - 1 + (office.stands() == "started")
    assert office.decide().won


async def test_an_event_loop_is_not_held_up(path: Path) -> None:
    """Somebody else has the file; whoever looks has an answer, and whoever writes waits in a thread."""
    backend = SqliteBackend(path, clock=FakeClock(), busy_timeout=60)
    with locked(path) as other:
        (looked,) = await backend.desk.aexecute([Look("", ("a1",))])
        other.execute("ROLLBACK")
        assert (looked, await backend.outbox.aexecute([Claim(KEY, "w")])) == ((None,), [Claimed(1)])


# Its size


def test_the_file_forgets_what_was_closed(office: Office, clock: FakeClock, path: Path) -> None:
    """A worker that runs for years does not fill the disk."""
    found = []
    for _ in range(3):
        office.tell(*(request(f"{clock.now()} {number}", "allow") for number in range(20)))
        for number in range(20):
            key = KEY._replace(call_id=f"{clock.now()} {number}")
            office.claim(key=key)
            office.done(key=key)
        found.append((count(path, "approvals"), count(path, "effects")))
        clock.advance(KEPT)
    assert found == [(20, 20)] * 3


def test_the_trail_is_bounded_and_still_verified(office: Office, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning goes; what is left says what it comes after, so whoever wrote that down misses nothing."""
    monkeypatch.setattr(journal, "KEPT_DEEDS", 10)
    office.tell(*(request(f"{number}") for number in range(12)))
    (told,) = office.tell(Trail(TENANT))
    assert [deed.number for deed in told.deeds] == list(range(3, 13))
    assert (told.after.number, verify(told.deeds, told.head, told.after)) == (2, None)
    assert verify(told.deeds, told.head) == "record 1 is missing"
    assert verify(told.deeds, told.head, Head(2, "another")) == "record 3 does not follow the one before it"
    assert count(path, "trail") == 10
