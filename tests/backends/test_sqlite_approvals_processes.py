"""One file, many processes: one decision, one effect, and a doubt where somebody was killed in between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from langgraph_guard.policies.approval.commands import Pending
from langgraph_guard.policies.outbox import Claim, Claimed, Execution
from langgraph_guard.testing.contracts.approvals.harness import TENANT, Office, decide, driven, request
from tests.backends import approvals_worker
from tests.backends.approvals_worker import KEY, LEASE, REQUESTS, key_of, opened
from tests.backends.test_sqlite_processes import Process

PROCESSES: Final = 4


@contextmanager
def office(path: str, later: float = 0.0) -> Iterator[Office]:
    """What a process that starts now finds."""
    with opened(path, later) as backend, driven(backend, "execute") as found:
        yield found


class Worker(Process):
    """A process with a role."""

    def __init__(self, role: str, *arguments: str) -> None:
        command = [sys.executable, approvals_worker.__file__, role, *arguments]
        self.popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def worker(role: str, *arguments: str) -> Iterator[Worker]:
    """One that does not outlive the block."""
    found = Worker(role, *arguments)
    try:
        yield found
    finally:
        if found.popen.poll() is None:
            found.popen.kill()
        found.popen.communicate()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is; an approved payment is in it."""
    found = str(tmp_path / "guard.db")
    with office(found) as here:
        here.ask()
        here.decide()
    return found


def race(folder: Path, trials: int) -> None:
    """Four processes answer the same requests and execute what was approved."""
    with ExitStack() as stack:
        workers = [stack.enter_context(worker("answer_and_work")) for _ in range(PROCESSES)]
        assert [each.hear() for each in workers] == ["ready"] * PROCESSES
        for trial in range(trials):
            path = str(folder / f"{trial}.db")
            with office(path) as here:
                here.tell(*(request(f"{at}", call_id=f"{at}") for at in range(REQUESTS)))
            for number, each in enumerate(workers):
                each.tell([path, number])
            check(path, list(zip(*(each.hear() for each in workers), strict=True)))


def check(path: str, told: list[tuple[Any, ...]]) -> None:
    """One decision for each request, which everybody heard; one execution where it was approved, and none else."""
    with office(path) as here:
        deeds = here.deeds()
        for at, replies in enumerate(told):
            state = here.state(f"{at}")
            winners = [number for number, (won, _, _) in enumerate(replies) if won]
            assert [reply[1] for reply in replies] == [state] * PROCESSES
            assert (len(winners), state) == (1, "approved" if (at + winners[0]) % 2 else "rejected")
            assert sum(reply[2] for reply in replies) == (state == "approved")
            assert (here.stands(key_of(f"{at}")) == "started") == (state == "approved")
            begun = key_of(f"{at}").idempotency_key
            assert sum(deed.subject == begun for deed in deeds) == (state == "approved")


def test_of_four_processes_one_decides_and_one_begins(tmp_path: Path) -> None:
    """Two people answer at once, in two programs, and both programs go on with the run."""
    race(tmp_path, 1)


@pytest.mark.slow
def test_of_four_processes_one_decides_and_one_begins_four_hundred_times(tmp_path: Path) -> None:
    """The figure of the README."""
    race(tmp_path, 20)


def test_a_worker_that_is_killed_leaves_a_doubt(path: str) -> None:
    """Until its lease ends it may be alive; after that nobody does it again before somebody has looked."""
    with worker("begin", path) as found:
        assert found.hear() is True
        found.kill()
    with office(path) as here:
        under_way = here.claim("w2")
        assert isinstance(under_way, Execution)
        assert (under_way.state, under_way.owner) == ("started", "w1")
    with office(path, LEASE) as here:
        assert here.claim("w2") == here.execution()
        assert (here.stands(), here.kinds()) == ("in_doubt", ["requested", "approved", "started", "in_doubt"])


def test_whoever_looks_after_a_kill_settles_it(path: str) -> None:
    """Either everybody has the result, or it is done by the next."""
    with worker("begin", path) as found:
        found.hear()
        found.kill()
    with office(path, LEASE) as here:
        assert here.resolve(None) is not None
        assert here.claim("w2", approval="a1", required=True) == Claimed(2)
        assert here.done("paid", 2)


def test_a_worker_that_is_killed_halfway_leaves_nothing_half_written(path: str) -> None:
    """No decision without its deed, and no lock that others would wait for."""
    with office(path) as here:
        before = (here.approval(), here.deeds())
    with worker("stop_halfway", path) as found:
        assert found.hear() == "halfway"
        found.kill()
    with office(path) as here:
        assert (here.approval(), here.deeds()) == before
        assert here.claim(approval="a1", required=True) == Claimed(1)


def test_a_request_is_answered_from_another_process(path: str) -> None:
    """A second terminal, while the first still has the file open."""
    with opened(path) as mine, opened(path) as other:
        mine.desk.execute([request("a2")])
        assert [each.id for each in other.desk.execute([Pending(TENANT)])[0]] == ["a2"]  # type: ignore[union-attr]
        other.desk.execute([decide(id="a2")])
        (claimed,) = mine.outbox.execute([Claim(KEY, "w1", LEASE, "a2", True)])
    assert claimed == Claimed(1)
