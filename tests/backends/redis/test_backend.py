"""`RedisBackend`: made, used, shared and closed; and what breakers do while its server is away."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import redis.asyncio

from langgraph_guard import CircuitBreaker, CircuitOpen, RedisBackend
from langgraph_guard.backends import Backend, SystemClock
from langgraph_guard.errors import BudgetUnavailable, ConfigError, StoreError, StoreRefused, StoreUnavailable
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
from langgraph_guard.policies.ledger import Account, Read
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import KEY, Circuits
from langgraph_guard.tools.breaker import Permit, shared
from langgraph_guard.tools.breaker.shared import REJOIN
from tests.servers.redis import HOST, RedisServer, free_port, until

SETTINGS: Final = BreakerSettings(jitter=0)

Open = Callable[..., RedisBackend]


@pytest.fixture
def open_backend(redis_server: RedisServer, prefix: str) -> Iterator[Open]:
    """Makes backends on one key space; each is a process that just started."""
    opened: list[RedisBackend] = []

    def make(**options: Any) -> RedisBackend:
        opened.append(RedisBackend.from_url(redis_server.url, **{"prefix": prefix, "deadline": 60, **options}))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


# How it is made


def test_it_is_a_backend_and_usable_at_once(open_backend: Open) -> None:
    """In the place of `MemoryBackend()`, without a call before."""
    backend = open_backend()
    assert isinstance(backend, Backend)
    assert isinstance(backend.clock, SystemClock)
    assert backend.breakers.execute([Admit(KEY, SETTINGS, "r")]) == [Admitted(0)]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"tenant": 7}, "tenant"),
        ({"tenant": "\ud83d"}, "tenant"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "a:b"}, "prefix"),
        ({"prefix": None}, "prefix"),
        ({"slots": "many"}, "slots"),
        ({"create": 1}, "create"),
        ({"clock": 5}, "clock"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": True}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"deadline": "2"}, "deadline"),
        ({"closed_for": -1}, "closed_for"),
        ({"closed_for": 61}, "closed_for"),
        ({"closed_for": None}, "closed_for"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(f"{name}={each!r}" for name, each in value.items()),
)
def test_a_wrong_setting_is_named_when_it_is_made(options: dict[str, Any], field: str) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError) as caught:
        RedisBackend.from_url("redis://localhost", **options)
    assert caught.value.field == field


def test_without_a_server_it_says_what_is_missing() -> None:
    """`RedisBackend()` is the first thing that somebody tries."""
    with pytest.raises(ConfigError) as caught:
        RedisBackend()
    assert caught.value.field == "client"


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://:hunter2@localhost:port"])
def test_a_url_that_is_none_is_refused_and_not_told(url: str) -> None:
    """There may be a password in it."""
    with pytest.raises(ConfigError) as caught:
        RedisBackend.from_url(url)
    assert (caught.value.field, "hunter2" in f"{caught.value!r}") == ("url", False)


def test_terms_of_a_connection_may_be_given_with_a_url(redis_server: RedisServer) -> None:
    """As with the checkpointer."""
    name = "guard-of-this-test"
    with RedisBackend.from_url(redis_server.url, deadline=60, connection_args={"client_name": name}) as backend:
        backend.breakers.execute([Admit(KEY, SETTINGS, "r")])
        assert name.encode() in redis_server.tell("CLIENT", "LIST")


def test_a_client_of_the_user_is_read_and_stays_open(redis_server: RedisServer, prefix: str) -> None:
    """It belongs to whoever made it, and so does the way in which it decodes."""
    with redis.Redis(host=HOST, port=redis_server.port, decode_responses=True, protocol=3) as client:
        with RedisBackend(client, prefix=prefix, deadline=60) as backend:
            Circuits(backend.breakers.execute).trip()
        assert client.ping()
    assert len(redis_server.tell("KEYS", f"{prefix}:*")) == 1


# Both worlds


def test_both_worlds_see_the_same_circuits(open_backend: Open) -> None:
    """One backend serves `invoke` and `ainvoke`."""
    backend = open_backend()

    async def trip() -> None:
        async with backend:
            for _ in range(3):
                await backend.breakers.aexecute([Record(KEY, SETTINGS, "r", 0, FAILURE)])

    asyncio.run(trip())
    assert isinstance(backend.breakers.execute([Admit(KEY, SETTINGS, "r")])[0], Refused)


def test_one_of_asyncio_s_clients_is_enough(redis_server: RedisServer, prefix: str) -> None:
    """The other world's connections follow from it."""
    backend = RedisBackend(
        async_client=redis.asyncio.Redis(host=HOST, port=redis_server.port), prefix=prefix, deadline=60
    )
    with backend:
        assert backend.breakers.execute([Admit(KEY, SETTINGS, "r")]) == [Admitted(0)]


def test_closed_it_can_be_used_again(open_backend: Open) -> None:
    """A module-level backend outlives the blocks that it is used in."""
    backend = open_backend()
    for _ in range(2):
        with backend:
            backend.breakers.execute([Record(KEY, SETTINGS, "r", 0, FAILURE)])
    (status,) = backend.breakers.execute([Peek((KEY,), SETTINGS)])[0]  # type: ignore[misc, union-attr]
    assert status.calls == 2


def test_setup_finds_a_sound_server_sound(open_backend: Open, redis_server: RedisServer, prefix: str) -> None:
    """Again and again, at every start, in both worlds, and leaves nothing."""
    backend = open_backend()
    backend.setup()
    backend.setup()

    async def both() -> Any:
        async with backend:
            await backend.asetup()
            return await backend.acheck()

    assert asyncio.run(both()) == backend.check()
    assert redis_server.tell("KEYS", f"*{prefix}:*") == []


def test_setup_says_when_there_is_no_server() -> None:
    """Before the first run."""
    with pytest.raises(StoreUnavailable):
        RedisBackend.from_url(f"redis://{HOST}:{free_port()}", deadline=0.2).setup()


def test_a_budget_says_where_there_is_no_server() -> None:
    """The run's error is all that most people see of a wrong address."""
    port = free_port()
    ledger = RedisBackend.from_url(f"redis://{HOST}:{port}", deadline=0.2).ledger
    with pytest.raises(BudgetUnavailable) as caught:
        ledger.execute([Read((Account("", "global", "", "usd"),))])
    assert str(caught.value).startswith(f"the budget ledger (redis at {HOST}:{port}) did not answer within ")
    assert str(caught.value).endswith("nothing listens there. Start the server, or correct the address")


def test_secrets_are_not_told(caplog: pytest.LogCaptureFixture, servers_last_word: None) -> None:
    """Errors and reports are pasted into tickets."""
    caplog.set_level(logging.DEBUG)
    with RedisServer(requirepass="secret") as server:
        backend = RedisBackend.from_url(f"redis://:hunter2@{HOST}:{server.port}", tenant="acme-corp", deadline=60)
        with pytest.raises(StoreRefused) as caught:
            backend.breakers.execute([ForceOpen(KEY, "ada@example.com", "their secret outage")])
        report = backend.check()
    told = f"{backend!r} {report} {report!r} {caught.value!r} {caught.value} {caplog.text}"
    assert [word for word in ("hunter2", "acme", "ada@", "outage", KEY.key) if word in told] == []


# Whose is what


def test_tenants_have_circuits_of_their_own(open_backend: Open) -> None:
    """One tenant's bad credentials open a tool for that tenant."""
    breakers = [CircuitBreaker(open_backend(tenant=tenant), jitter=0) for tenant in ("a", "b", "")]
    breakers[0].force_open("search", by="ada")
    assert [breaker.state("search").state for breaker in breakers] == ["forced_open", "closed", "closed"]


def test_prefixes_have_circuits_of_their_own(redis_server: RedisServer, prefix: str) -> None:
    """Staging and production on one server."""
    first, second = (
        RedisBackend.from_url(redis_server.url, prefix=f"{prefix}{end}", deadline=60) for end in ("", "-staging")
    )
    with first, second:
        Circuits(first.breakers.execute).trip()
        assert Circuits(second.breakers.execute).status().calls == 0


def test_a_backend_and_a_saver_share_a_server(open_backend: Open, redis_server: RedisServer, prefix: str) -> None:
    """And a prefix: no key of one is a key of the other."""
    from langgraph_guard.checkpoint.redis import RedisSaver

    backend = open_backend(tenant="acme")
    Circuits(backend.breakers.execute).trip()
    with RedisSaver.from_conn_string(redis_server.url, prefix=prefix, tenant="acme") as saver:
        for thread in ("breaker.search", "breaker", ""):
            if thread:
                saver.delete_thread(thread)
    assert Circuits(backend.breakers.execute).status().state == "open"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_goes_on_with_it(open_backend: Open) -> None:
    """Servers that fork their workers make the backend before they do."""
    backend = open_backend(closed_for=1.0)
    backend.breakers.execute([Admit(KEY, SETTINGS, "parent")])
    child = os.fork()
    if not child:
        try:
            Circuits(backend.breakers.execute).trip()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert backend.breakers.execute([Peek((KEY,), SETTINGS)])[0][0].state == "open"  # type: ignore[index, union-attr]


# While the server is away


class Away:
    """A server of one test's own, a worker on it, and what that worker's tool does."""

    def __init__(self, server: RedisServer, clock: FakeClock) -> None:
        self.server, self.clock = server, clock
        self.backend = RedisBackend.from_url(server.url, clock=clock, deadline=60)
        self.breaker = CircuitBreaker(self.backend, jitter=0)

    def goes(self) -> None:
        """As when its machine goes. Nobody need wait a minute for it."""
        self.server.kill()
        self.backend._link._deadline = 0.3

    def comes_back(self) -> None:
        """With what it knew; the worker asks again when it does so by itself."""
        self.server.start()
        self.backend._link._deadline = 60
        self.clock.advance(REJOIN)


@pytest.fixture
def away(clock: FakeClock) -> Iterator[Away]:
    """It writes what it is told to disk."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield Away(server, clock)


def test_no_run_fails_while_the_server_is_away(away: Away) -> None:
    """A breaker is there to keep runs going: a local one decides, with the same settings."""
    node = away.breaker.wrap(lambda state: {"done": True}, "search")
    broken = away.breaker.wrap(_fail, "fetch")
    node({})
    away.goes()
    assert [node({}) for _ in range(5)] == [{"done": True}] * 5
    for _ in range(3):
        with pytest.raises(TimeoutError):
            broken({})
    with pytest.raises(CircuitOpen):
        broken({})
    assert away.breaker.available_tools(["search", "fetch"]) == ["search"]


def _fail(state: Any) -> Any:
    raise TimeoutError


async def test_no_async_run_fails_either(away: Away) -> None:
    """The same on an event loop."""

    async def answer(state: Any) -> Any:
        return {"done": True}

    node = away.breaker.wrap(answer, "search")
    await node({})
    away.goes()
    assert [await node({}) for _ in range(5)] == [{"done": True}] * 5
    await away.backend.aclose()


def test_a_server_that_is_back_decides_again(away: Away) -> None:
    """What others found out counts, and what was open before it was killed is still open."""
    away.breaker.admit("search")
    for _ in range(3):
        permit = away.breaker.admit("fetch")
        away.breaker.record(permit, "failure")  # type: ignore[arg-type]
    away.goes()
    assert isinstance(away.breaker.admit("fetch"), Permit)
    away.comes_back()
    with RedisBackend.from_url(away.server.url, clock=away.clock, deadline=60) as other:
        CircuitBreaker(other).force_open("search", by="ada")
    assert [away.breaker.state(key).state for key in ("search", "fetch")] == ["forced_open", "open"]


@pytest.mark.parametrize("how", ["admit", "state", "by hand"])
def test_what_a_person_holds_open_stays_refused_without_the_server(away: Away, how: str) -> None:
    """Somebody pressed the kill switch, and then the server went. That switch is no guess of ours."""
    with RedisBackend.from_url(away.server.url, clock=away.clock, deadline=60) as other:
        CircuitBreaker(other).force_open("payments", by="ada")
    if how == "by hand":
        away.breaker.force_open("payments", by="bob")
    else:
        getattr(away.breaker, how)("payments")
    away.goes()
    refused = away.breaker.admit("payments")
    assert (refused.state, refused.retry_after) == ("forced_open", None)  # type: ignore[union-attr]
    assert away.breaker.available_tools(["payments", "search"]) == ["search"]


def test_what_a_person_let_go_is_not_refused_without_the_server(away: Away) -> None:
    """The last word counts."""
    away.breaker.force_open("payments", by="ada")
    away.breaker.reset("payments", by="ada")
    away.goes()
    assert away.breaker.available_tools(["payments"]) == ["payments"]


def test_what_people_hold_open_is_remembered_within_bounds(open_backend: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that holds everything open must not fill the worker's memory."""
    monkeypatch.setattr(shared, "MOST_HELD", 3)
    breaker = CircuitBreaker(open_backend())
    for number in range(10):
        breaker.force_open(f"{number}", by="script")
    assert [key.key for key in breaker._circuits._held] == ["7", "8", "9"]


@pytest.mark.parametrize("act", ["force_open", "reset"])
def test_who_switches_something_by_hand_is_told_when_it_did_not_work(away: Away, act: str) -> None:
    """Unlike a run, a person must know."""
    away.goes()
    with pytest.raises(StoreError):
        getattr(away.breaker, act)("payments", by="ada")


# Many processes

PROCESSES: Final = 4
THREADS: Final = 12


def race() -> None:
    """Ask for a place in each circuit that is named, with twelve threads at once; say how many were let through."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    url, prefix = json.loads(input())
    start = Barrier(THREADS)
    with RedisBackend.from_url(url, prefix=prefix, deadline=60) as backend, ThreadPoolExecutor(THREADS) as pool:

        def ask(thread: int) -> Any:
            start.wait()
            return backend.breakers.execute([Admit(key, permitted, f"{os.getpid()}-{thread}")])[0]

        print("ready", flush=True)
        while line := input():
            number, places = json.loads(line)
            key = CircuitKey("acme", "breaker", f"tool-{number}")
            permitted = BreakerSettings(
                jitter=0, wait_duration_in_open_state=0.001, permitted_number_of_calls_in_half_open_state=places
            )
            print(sum(isinstance(each, Admitted) for each in pool.map(ask, range(THREADS))), flush=True)


@pytest.mark.slow
@pytest.mark.timeout(600)  # four interpreters that import, on a busy machine
@pytest.mark.parametrize("places", [1, 3])
def test_48_threads_in_4_processes_at_the_end_of_the_open_time_send_exactly_the_permitted_probes(
    redis_server: RedisServer, prefix: str, places: int
) -> None:
    """Twenty times. A fleet that wakes up at once would be the next outage."""
    workers = [
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        for _ in range(PROCESSES)
    ]
    try:
        for worker in workers:
            _tell(worker, [redis_server.url, prefix])
        assert [_heard(worker) for worker in workers] == ["ready"] * PROCESSES
        passed = []
        with RedisBackend.from_url(redis_server.url, prefix=prefix, deadline=60) as backend:
            for number in range(20):
                key = KEY._replace(key=f"tool-{number}")
                circuits = Circuits(backend.breakers.execute).under(wait_duration_in_open_state=0.001)
                circuits.trip(key)
                until(partial(_admits, circuits, key), "the end of the open time")
                for worker in workers:
                    _tell(worker, [number, places])
                passed.append(sum(int(_heard(worker)) for worker in workers))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert passed == [places] * 20


def _admits(circuits: Circuits, key: CircuitKey) -> bool:
    return circuits.status(key).admits


def _tell(worker: subprocess.Popen[str], what: Any) -> None:
    assert worker.stdin
    worker.stdin.write(json.dumps(what) + "\n")
    worker.stdin.flush()


def _heard(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline().strip()


if __name__ == "__main__":
    race()
