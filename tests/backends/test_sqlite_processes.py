"""One file, many processes: exact while they race, whole when one is killed, shared by those that fork.

The processes are this file, run with a role: they say on a line what they did, and go on when they are told to.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from langgraph_guard.backends import SystemClock
from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.policies.breaker import (
    FAILURE,
    Admit,
    Admitted,
    BreakerSettings,
    CircuitKey,
    ForceOpen,
    Peek,
    Record,
    Refused,
)
from langgraph_guard.policies.ledger import Account, Charge, Expire, Granted, Read, Release, Reserve, Settle

PROCESSES: Final = 8
THREADS: Final = 8
CALLS: Final = 5

NOON: Final = 1_767_268_800.0
LEASE: Final = 60.0

USER: Final = Account("acme", "user", "42", "usd", "day")
LIMITS: Final = {
    Account("acme", "session", "s1", "usd"): 1_500,
    Account("acme", "session", "s1", "usd", "turn"): 1_600,
    USER: 1_450,
    Account("", "global", "", "usd", "hour"): 1_400,
}
KEY: Final = CircuitKey("acme", "breaker", "search")
SETTINGS: Final = BreakerSettings(jitter=0)


class Noon(SystemClock):
    """No day and no hour ends while a test runs."""

    def __init__(self, later: float = 0.0) -> None:
        self.later = later

    def now(self) -> float:
        return NOON + self.later


# What the processes do


def say(what: object) -> None:
    """A line for the test."""
    print(json.dumps(what), flush=True)


def wait_for_a_word() -> str:
    """What the test writes; the end of the test ends the process."""
    return input()


def spend() -> NoReturn:
    """Race for the limits in each file that is named, with eight threads."""
    say("ready")
    while True:
        path, seed = json.loads(wait_for_a_word())
        ledger = SqliteBackend(path, clock=Noon(), busy_timeout=60).ledger

        def work(thread: int) -> tuple[int, int, int]:
            dice = random.Random(f"{seed}-{thread}")  # noqa: B023 - run now
            cost = granted = most = 0
            for call in range(CALLS):
                held, id = dice.randint(1, 30), f"{seed}-{thread}-{call}"  # noqa: B023 - run now
                charges = tuple(Charge(account, held, limit, 1) for account, limit in LIMITS.items())
                (reply, balances) = ledger.execute([Reserve(id, charges), Read(tuple(LIMITS))])  # noqa: B023 - run now
                assert isinstance(balances, tuple)
                most = max(most, *_over(balances))
                if not isinstance(reply, Granted):
                    continue
                granted += 1
                if dice.random() < 0.2:
                    ledger.execute([Release(id)])  # noqa: B023 - run now
                    continue
                actual = dice.randint(0, min(reply.amounts))
                ledger.execute([Settle(id, {"usd": actual})])  # noqa: B023 - run now
                cost += actual
            return cost, granted, most

        with ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(work, range(THREADS)))
        say([sum(each[0] for each in done), sum(each[1] for each in done), max(each[2] for each in done)])


def _over(balances: Any) -> list[int]:
    return [each.spent + each.reserved - limit for each, limit in zip(balances, LIMITS.values(), strict=True)]


def hold(path: str) -> None:
    """Settle one call, reserve another, and be killed before its end."""
    ledger = SqliteBackend(path, clock=Noon()).ledger
    ledger.execute([Reserve("first", (Charge(USER, 20, 100),), LEASE), Settle("first", {"usd": 12})])
    ledger.execute([Reserve("second", (Charge(USER, 30, 100),), LEASE)])
    say("held")
    wait_for_a_word()


def stop_halfway(path: str) -> None:
    """Be killed in the middle of a transaction that has written already."""
    backend = SqliteBackend(path, clock=Noon())
    backend.ledger.execute([Reserve("first", (Charge(USER, 20, 100),), LEASE)])

    def work(connection: Any) -> None:
        connection.execute("DELETE FROM holds")
        connection.execute("UPDATE accounts SET row = '[]'")
        say("halfway")
        wait_for_a_word()

    backend._file.write("test", work)


def keep_on(path: str) -> NoReturn:
    """Make calls, and name each that was acknowledged."""
    ledger = SqliteBackend(path, clock=Noon()).ledger
    call = 0
    while True:
        ledger.execute([Reserve(f"{call}", (Charge(USER, 3),), LEASE), Settle(f"{call}", {"usd": 2})])
        say(call)
        call += 1


def fail(path: str) -> NoReturn:
    """Fail three times; then say at each word whether a call would be let through."""
    breakers = SqliteBackend(path, clock=Noon()).breakers
    for call in range(3):
        (admitted,) = breakers.execute([Admit(KEY, SETTINGS, f"{call}")])
        assert isinstance(admitted, Admitted)
        breakers.execute([Record(KEY, SETTINGS, f"{call}", admitted.generation, FAILURE)])
    say("failed")
    while True:
        wait_for_a_word()
        say(isinstance(breakers.execute([Admit(KEY, SETTINGS, "more")])[0], Admitted))


def fork(path: str) -> None:
    """Fork while the file is open and an event loop's threads have been at work; both sides go on with it."""
    backend = SqliteBackend(path, clock=Noon())
    backend.ledger.execute([Reserve("before", (Charge(USER, 1, 100),), LEASE)])
    backend._file._writer.thread.submit(lambda: None).result()
    to_child, to_parent = os.pipe(), os.pipe()
    if not os.fork():
        try:
            say(["open in the child", any("guard.db" in name for name in _open_files())])
            backend._file._writer.thread.submit(backend.ledger.execute, [Settle("before", {"usd": 2})]).result()
            os.write(to_parent[1], b"x")
            os.read(to_child[0], 1)
            backend.ledger.execute([Reserve("child", (Charge(USER, 4, 100),), LEASE)])
            os._exit(0)
        finally:
            os._exit(1)
    os.close(to_parent[1])
    os.read(to_parent[0], 1)
    backend.ledger.execute([Reserve("parent", (Charge(USER, 8, 100),), LEASE)])
    backend.close()  # the last one to let go removes the log: it must not take itself for the last one
    os.write(to_child[1], b"x")
    say(["child", os.wait()[1]])


def _open_files() -> Iterator[str]:
    for each in Path("/proc/self/fd").iterdir():
        try:
            yield str(each.readlink())
        except OSError:  # the one that this listing opened
            continue


# The tests


class Process:
    """A process with a role."""

    def __init__(self, role: str, *arguments: str) -> None:
        command = [sys.executable, __file__, role, *arguments]
        self.popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> Any:
        assert self.popen.stdout is not None
        return json.loads(self.popen.stdout.readline())

    def tell(self, what: object = "") -> None:
        assert self.popen.stdin is not None
        print(json.dumps(what), file=self.popen.stdin, flush=True)

    def kill(self) -> list[Any]:
        """End it as the kernel does when memory is short; what it had still said."""
        self.popen.send_signal(signal.SIGKILL)
        assert self.popen.stdout is not None
        said = self.popen.stdout.read()  # `communicate` would lose what is in the buffer behind the last line read
        self.popen.wait()
        return [json.loads(line) for line in said.splitlines() if line]


@contextmanager
def process(role: str, *arguments: str) -> Iterator[Process]:
    """A process that does not outlive the block."""
    found = Process(role, *arguments)
    try:
        yield found
    finally:
        if found.popen.poll() is None:
            found.popen.kill()
        found.popen.communicate()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is."""
    return str(tmp_path / "guard.db")


def balance(path: str, later: float = 0.0, account: Account = USER) -> tuple[int, int]:
    """What a process that starts now finds, as (spent, reserved)."""
    with SqliteBackend(path, clock=Noon(later)) as backend:
        _, found = backend.ledger.execute([Expire(), Read((account,))])
    assert isinstance(found, tuple)
    return found[0].spent, found[0].reserved


def race(folder: Path, trials: int) -> None:
    """Eight processes with eight threads each spend from one file; the books must be right to the micro-USD."""
    with ExitStack() as stack:
        workers = [stack.enter_context(process("spend")) for _ in range(PROCESSES)]
        assert [worker.hear() for worker in workers] == ["ready"] * PROCESSES
        for trial in range(trials):
            path = str(folder / f"{trial}.db")
            for number, worker in enumerate(workers):
                worker.tell([path, f"{trial}-{number}"])
            costs, granted, over = zip(*(worker.hear() for worker in workers), strict=True)
            assert max(over) <= 0
            assert 0 < sum(granted) < PROCESSES * THREADS * CALLS  # otherwise there was no race
            assert {balance(path, account=account) for account in LIMITS} == {(sum(costs), 0)}


def test_eight_processes_of_eight_threads_spend_no_more_than_the_limit(tmp_path: Path) -> None:
    """Every account is within its limit at every look, nothing stays held, and what is spent is what the calls cost."""
    race(tmp_path, 3)


@pytest.mark.slow
def test_eight_processes_of_eight_threads_spend_no_more_in_twenty_trials(tmp_path: Path) -> None:
    """The figure of the README."""
    race(tmp_path, 20)


def test_a_worker_that_is_killed_loses_nothing_and_costs_its_own_reservation(path: str) -> None:
    """What it settled stays spent, what it held stays held until its lease ends, and is charged then."""
    with process("hold", path) as worker:
        assert worker.hear() == "held"
        worker.kill()
    assert balance(path) == (12, 30)
    assert balance(path, LEASE) == (42, 0)


def test_a_late_settlement_corrects_what_the_killed_worker_was_charged(path: str) -> None:
    """Whoever takes its job over may know what the call did cost."""
    with process("hold", path) as worker:
        worker.hear()
        worker.kill()
    assert balance(path, LEASE) == (42, 0)
    with SqliteBackend(path, clock=Noon(LEASE)) as backend:
        backend.ledger.execute([Settle("second", {"usd": 5})])
    assert balance(path, LEASE) == (17, 0)


def test_a_worker_that_is_killed_halfway_leaves_nothing_half_written(path: str) -> None:
    """Nor does it leave a lock that others would wait for."""
    with process("stop_halfway", path) as worker:
        assert worker.hear() == "halfway"
        with SqliteBackend(path, clock=Noon(), busy_timeout=0) as other, pytest.raises(BudgetUnavailable):
            other.ledger.inner.execute([Release("first")])  # what is around it would note it for later
        worker.kill()
    with SqliteBackend(path, clock=Noon(), busy_timeout=0) as other:
        other.ledger.execute([Settle("first", {"usd": 7})])
    assert balance(path) == (7, 0)


def test_nothing_acknowledged_is_lost_wherever_a_worker_is_killed(path: str) -> None:
    """At most its last call is not among those that it named."""
    with process("keep_on", path) as worker:
        heard = [worker.hear() for _ in range(50)]
        heard += worker.kill()
    spent, reserved = balance(path, LEASE)
    assert heard == list(range(len(heard)))
    assert reserved == 0
    assert spent - 2 * len(heard) in (0, 2, 3)  # named; settled but not named; held, and charged by its lease


def test_processes_share_their_circuits(path: str) -> None:
    """One finds out that a service is down, all leave it alone; a person closes it for all."""
    with process("fail", path) as worker, SqliteBackend(path, clock=Noon()) as backend:
        assert worker.hear() == "failed"
        assert isinstance(backend.breakers.execute([Admit(KEY, SETTINGS, "mine")])[0], Refused)
        worker.tell()
        assert worker.hear() is False


def test_a_circuit_that_a_person_opens_is_open_in_every_process(path: str) -> None:
    """A kill switch that reaches one worker of eight is none."""
    other = KEY._replace(key="other")
    with process("fail", path) as worker, SqliteBackend(path, clock=Noon(60.0)) as backend:
        worker.hear()
        backend.breakers.execute([ForceOpen(KEY, "ada"), ForceOpen(other, "ada")])
        worker.tell()
        assert worker.hear() is False
        (found,) = backend.breakers.execute([Peek((KEY, other), SETTINGS)])
        assert [each.state for each in found] == ["forced_open"] * 2  # type: ignore[union-attr]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files as Linux shows them")
def test_a_process_may_fork_while_the_file_is_open(path: str) -> None:
    """A server that loads the graph and then forks its workers. SQLite's connections do not survive that by themselves:
    the child would believe to hold its parent's locks, and lose what it writes when the parent lets go."""
    with process("fork", path) as worker:
        assert worker.hear() == ["open in the child", False]
        assert worker.hear() == ["child", 0]
    assert balance(path) == (2, 12)


ROLES: Final[dict[str, Callable[..., None]]] = {
    role.__name__: role for role in (spend, hold, stop_halfway, keep_on, fail, fork)
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
