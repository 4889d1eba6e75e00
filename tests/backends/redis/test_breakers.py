"""Circuits in Redis: all that a registry promises, on one server all of it, elsewhere what could differ there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.protocols import BreakerRegistry
from langgraph_guard.backends.redis import RedisBreakers
from langgraph_guard.errors import StoreRefused
from langgraph_guard.policies.breaker import (
    FAILURE,
    SUCCESS,
    Admit,
    Admitted,
    AuditRecord,
    BreakerSettings,
    Change,
    CircuitKey,
    Outcome,
    Record,
    Refused,
)
from langgraph_guard.testing import FakeClock, FaultProxy
from langgraph_guard.testing.contracts import BreakerContract
from langgraph_guard.testing.contracts.breakers.by_hand import ByHand
from langgraph_guard.testing.contracts.breakers.concurrency import THREADS, Concurrency, in_threads
from langgraph_guard.testing.contracts.breakers.harness import KEY, LEASE, WAIT, Circuits
from langgraph_guard.testing.contracts.breakers.opening import Opening
from langgraph_guard.testing.contracts.breakers.probing import Probing
from tests.backends.redis import circuits as places
from tests.servers.redis import HOST, RedisServer, until

DAY: Final = 86_400_000
HOUR: Final = 3_600_000
SLACK: Final = 60_000
"""Milliseconds that a busy machine may take between a write and a look at it."""

Open = Callable[..., Circuits]


class TestRedisBreakers(places.OnRedis, BreakerContract):
    """As it comes."""


class Sample(Opening, Probing, ByHand, Concurrency):
    """What a server or a network could change."""


class TestOnOldRedis(places.OnOldRedis, Sample):
    """Whose Lua tells errors in another way."""


class TestOnACluster(places.OnACluster, Sample):
    """Each circuit in a slot of its own."""


class OverABadNetwork(places.ThroughABadNetwork):
    """No result is lost, and none counts twice, unless many others came between."""

    trials = 1

    @pytest.mark.parametrize("outcome", [FAILURE, SUCCESS], ids=["failure", "success"])
    def test_no_result_is_lost(self, outcome: Outcome) -> None:
        """48 threads at once, 3 % of whose answers are lost: hardly a share is moved by what arrives twice then."""
        settings = BreakerSettings(minimum_number_of_calls=1_000)
        registry = self.make_registry(FakeClock())
        in_threads(lambda worker: [_call(registry, settings, f"{worker}-{at}", outcome) for at in range(4)])
        found = Circuits(registry.execute, settings).status()
        assert found.failures == found.calls * (outcome is FAILURE)
        assert 4 * THREADS <= found.calls <= 4 * THREADS * 1.1


def _call(registry: BreakerRegistry, settings: BreakerSettings, id: str, outcome: Outcome) -> None:
    registry.execute([Admit(KEY, settings, id), Record(KEY, settings, id, 0, outcome)])


class TestThroughABadNetwork(OverABadNetwork, Sample):
    """Every answer is the one that was lost."""


@pytest.mark.slow
class TestAllOnOldRedis(places.OnOldRedis, BreakerContract):
    """Names too, and histories."""


@pytest.mark.slow
class TestAllOnACluster(places.OnACluster, BreakerContract):
    """Names too, and histories."""


@pytest.mark.slow
class TestAllBehindSentinels(places.BehindSentinels, BreakerContract):
    """Who have nothing to do here."""


@pytest.mark.slow
class TestAllThroughABadNetwork(OverABadNetwork, BreakerContract):
    """Every history is answered as if nothing had been lost."""


@pytest.mark.slow
class TestAllWhileScriptsAreFlushed(places.WhileScriptsAreFlushed, BreakerContract):
    """A server that was restarted knows no script."""


# What is in the server


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    """A process's connections."""
    link = RedisLink.from_url(redis_server.url)
    yield link
    link.close()


@pytest.fixture
def open_registry(link: RedisLink, prefix: str) -> Open:
    """Makes registries on one key space; each is a process that just started."""
    return lambda clock=None, **options: Circuits(RedisBreakers(link, clock, prefix=prefix, **options).execute)


@pytest.fixture
def circuits(open_registry: Open) -> Circuits:
    """A registry by the server's own clock."""
    return open_registry()


def left(server: RedisServer, prefix: str, kind: str = "circuit") -> int:
    """Milliseconds that the one key of that kind stays; -1 means for good."""
    (key,) = server.tell("KEYS", f"{prefix}:*:{kind}")
    return int(server.tell("PTTL", key))


def test_what_is_never_recorded_is_never_remembered(circuits: Circuits, redis_server: RedisServer, prefix: str) -> None:
    """A model that names a new host in each call must not fill the server by asking."""
    for number in range(10):
        circuits.admit("r", KEY._replace(key=f"host:{number}"))
        circuits.status(KEY._replace(key=f"host:{number}"))
    assert redis_server.tell("KEYS", f"{prefix}:*") == []


def test_a_closed_circuit_stays_as_long_as_its_window(
    circuits: Circuits, redis_server: RedisServer, prefix: str
) -> None:
    """And goes by itself."""
    circuits.call(FAILURE)
    assert 61_000 - SLACK < left(redis_server, prefix) <= 61_000


def test_a_circuit_that_was_open_is_remembered_for_an_hour_more(
    open_registry: Open, redis_server: RedisServer, prefix: str
) -> None:
    """So that a call of its first generation which ends now counts for nothing."""
    circuits = open_registry().under(wait_duration_in_open_state=0.001)
    circuits.call(FAILURE, FAILURE, FAILURE)
    until(lambda: circuits.status().admits, "the end of the open time")
    circuits.record("probe", circuits.probe(), SUCCESS)
    assert 61_000 + HOUR - SLACK < left(redis_server, prefix) <= 61_000 + HOUR


def test_an_open_circuit_is_remembered_through_many_quiet_nights(
    circuits: Circuits, redis_server: RedisServer, prefix: str
) -> None:
    """The first call afterwards is a probe, not one of fifty. A host that nobody asks for in a month is forgotten."""
    circuits.trip()
    assert 30 * DAY + 30_000 - SLACK < left(redis_server, prefix) <= 30 * DAY + 30_000


def test_a_circuit_that_is_held_open_never_goes(circuits: Circuits, redis_server: RedisServer, prefix: str) -> None:
    """A kill switch that times out is none; nor does the record of who pressed it go before it."""
    circuits.reset()
    circuits.force_open()
    assert [left(redis_server, prefix), left(redis_server, prefix, "audit")] == [-1, -1]


def test_what_people_did_is_kept_for_a_year(circuits: Circuits, redis_server: RedisServer, prefix: str) -> None:
    """Then the hundred records of a key that nobody uses any more go, too."""
    circuits.force_open()
    circuits.reset()
    assert 365 * DAY - SLACK < left(redis_server, prefix, "audit") <= 365 * DAY


def test_by_default_the_server_s_clock_counts(
    open_registry: Open, circuits: Circuits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is a day off neither opens nor closes anything for the others."""
    circuits.under(wait_duration_in_open_state=600.0).trip()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    refused = open_registry().admit("r")
    assert isinstance(refused, Refused)
    assert refused.wait_ms is not None
    assert 0 < refused.wait_ms <= 600_000


def test_half_of_a_surrogate_pair_in_a_name_is_no_error(circuits: Circuits) -> None:
    """Models name tools, and what no key can hold must not end a run."""
    odd, other = KEY._replace(key="\ud83d"), KEY._replace(key="\ud83e")
    circuits.force_open(odd, by="\ud83d")
    assert [circuits.status(key).state for key in (odd, other)] == ["forced_open", "closed"]
    assert circuits.audit(odd)[0].by == "\ud83d"


# The format, version 1

FORMER: Final = {
    "closed": {
        "v": 1, "state": "closed", "generation": 0, "reason": "", "since": 0, "retry_at": 0, "opened": 0,
        "calls": 3, "failures": 1, "slow": 0, "bucket": [294537600, 1, 0, 0], "older": "294537599 2 1 0 ",
        "leases": {}, "marks": "0123abcd ", "by": "", "before": "",
    },
    "half_open": {
        "v": 1, "state": "half_open", "generation": 2, "reason": "wait_is_over", "since": 1_767_225_600_000,
        "retry_at": 0, "opened": 1, "calls": 1, "failures": 0, "slow": 0, "bucket": [0, 1, 0, 0], "older": "",
        "leases": [["aprobe", 1_767_225_660_000]], "marks": "", "by": "0123abcd", "before": "open",
    },
    "forced_open": {
        "v": 1, "state": "forced_open", "generation": 1, "reason": "forced_open", "since": 1_767_225_600_000,
        "retry_at": 0, "opened": 0, "calls": 0, "failures": 0, "slow": 0, "bucket": [0, 0, 0, 0], "older": "",
        "leases": {}, "marks": "", "by": "0123abcd", "before": "closed",
    },
}  # fmt: skip
SAID: Final = (
    b'{"v":1,"at":1767225600000,"action":"force_open","by":"ada","reason":"INC-7","before":"closed","mark":"0123abcd"}'
)


def stored(server: RedisServer, key: str) -> Any:
    """A circuit as it stands in the server, with one mark for all: they are random."""
    found = json.loads(server.tell("GET", key))
    marks = {name: re.sub(r"([0-9a-f]{8})(?: [0-9a-f]{8})*", "0123abcd", found[name]) for name in ("marks", "by")}
    return found | marks


def test_what_is_written_is_the_format_of_version_1(
    open_registry: Open, clock: FakeClock, redis_server: RedisServer, prefix: str
) -> None:
    """Workers of two releases share a server while one replaces the other."""
    key = f"{prefix}:{{aacme.abreaker.asearch}}:circuit"
    circuits = open_registry(clock).under(minimum_number_of_calls=4, permitted_number_of_calls_in_half_open_state=2)
    clock.set(clock.now() - 1)
    circuits.call(FAILURE, SUCCESS)
    clock.advance(1)
    circuits.call(SUCCESS)
    found = [stored(redis_server, key)]
    circuits.force_open()
    found.append(stored(redis_server, key))
    assert found == [FORMER["closed"], FORMER["forced_open"]]
    assert redis_server.tell("KEYS", f"{prefix}:*:audit") == [key.replace(":circuit", ":audit").encode()]


@pytest.mark.parametrize("state", FORMER)
def test_what_version_1_wrote_is_read(
    open_registry: Open, clock: FakeClock, redis_server: RedisServer, prefix: str, state: str
) -> None:
    """For ever."""
    key = f"{prefix}:{{aacme.abreaker.asearch}}"
    redis_server.tell("SET", f"{key}:circuit", json.dumps(FORMER[state]))
    redis_server.tell("RPUSH", f"{key}:audit", SAID)
    circuits = open_registry(clock).under(permitted_number_of_calls_in_half_open_state=2)
    status = circuits.status()
    former = FORMER[state]
    assert (status.state, status.generation, status.calls, status.failures) == (
        state, former["generation"], former["calls"], former["failures"],
    )  # fmt: skip
    assert circuits.audit() == (AuditRecord(1_767_225_600_000, "force_open", "ada", "INC-7", "closed"),)
    if state == "half_open":
        assert circuits.record("probe", 2, SUCCESS) == Change("half_open", "closed", "probes_succeeded")


@pytest.mark.parametrize(
    "content", [json.dumps(FORMER["closed"] | {"v": 2}), "no JSON", ""], ids=["newer", "strange", "empty"]
)
def test_what_cannot_be_read_is_refused_and_stays(
    circuits: Circuits, redis_server: RedisServer, prefix: str, content: str
) -> None:
    """A later release's circuit is not taken for a closed one, nor written over; breakers then go on by themselves."""
    key = f"{prefix}:{{aacme.abreaker.asearch}}:circuit"
    redis_server.tell("SET", key, content)
    for act in (
        lambda: circuits.admit("r"),
        lambda: circuits.record("r", 0, FAILURE),
        circuits.status,
        circuits.force_open,
        circuits.reset,
    ):
        with pytest.raises(StoreRefused):
            act()
    assert redis_server.tell("GET", key) == content.encode()


@pytest.mark.parametrize("kind", ["circuit", "audit"])
def test_a_key_that_holds_something_else_is_refused(
    circuits: Circuits, redis_server: RedisServer, prefix: str, kind: str
) -> None:
    """Before anything is written."""
    key = f"{prefix}:{{aacme.abreaker.asearch}}"
    redis_server.tell("SADD", f"{key}:{kind}", "x")
    with pytest.raises(StoreRefused, match="something else"):
        circuits.force_open()
    assert len(redis_server.tell("KEYS", f"{prefix}:*")) == 1


# What it costs


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The network between a registry and the server."""
    with FaultProxy(HOST, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: FaultProxy, prefix: str) -> Iterator[Open]:
    """Registries behind it."""
    link = RedisLink.from_url(f"redis://{HOST}:{proxy.port}", deadline=60)
    yield lambda clock=None, **options: Circuits(RedisBreakers(link, clock, prefix=prefix, **options).execute)
    link.close()


def test_every_command_is_one_round_trip(distant: Open, proxy: FaultProxy) -> None:
    """A breaker stands before every call of every tool."""
    circuits = distant()
    keys = [KEY._replace(key=f"tool:{number}") for number in range(60)]
    acts: list[Callable[[], object]] = [
        lambda: circuits.admit("r"),
        lambda: circuits.record("r", 0, FAILURE),
        lambda: circuits.statuses(*keys),
        circuits.force_open,
        circuits.reset,
        circuits.audit,
    ]
    for act in acts:
        act()
    trips = []
    for act in acts:
        proxy.forget()
        act()
        trips.append(proxy.round_trips)
    assert trips == [1] * len(acts)


@pytest.mark.parametrize("what", ["failure", "opening", "probe", "closing", "force_open", "reset"])
def test_a_command_whose_answer_was_lost_counts_once_and_is_answered_as_the_first(
    distant: Open, proxy: FaultProxy, clock: FakeClock, what: str
) -> None:
    """One failure in a moment in which the network drops answers must not be three, which would open the circuit."""
    circuits = distant(clock)
    warm = KEY._replace(key="warm")  # a script that the server does not know yet is sent again anyway
    circuits.trip(warm)
    circuits.force_open(warm)
    circuits.reset(warm)
    expected: object = None
    if what == "opening":
        circuits.call(FAILURE, FAILURE)
        expected = Change("closed", "open", "failure_rate", int((clock.now() + WAIT) * 1_000))
    if what in ("probe", "closing"):
        circuits.trip()
        clock.advance(WAIT)
        expected = Admitted(2, True, Change("open", "half_open", "wait_is_over"))
    if what == "closing":
        circuits.probe()
        expected = Change("half_open", "closed", "probes_succeeded")
    if what == "force_open":
        expected = Change("closed", "forced_open", "forced_open")
    if what == "reset":
        circuits.force_open()
        expected = Change("forced_open", "closed", "reset")
    acts: dict[str, Callable[[], object]] = {
        "failure": lambda: circuits.record("r", 0, FAILURE),
        "opening": lambda: circuits.record("r", 0, FAILURE),
        "probe": lambda: circuits.admit("r"),
        "closing": lambda: circuits.record("probe", 2, SUCCESS),
        "force_open": circuits.force_open,
        "reset": circuits.reset,
    }
    before = circuits.status()
    proxy.cut_after(0, "reply")
    assert acts[what]() == expected
    after = circuits.status()
    assert after.generation - before.generation == int(expected is not None and what != "probe")
    assert after.calls == int(what == "failure")
    assert len(circuits.audit()) == {"force_open": 1, "reset": 2}.get(what, 0)


# What need not be asked again


@pytest.fixture
def trusting(distant: Open, clock: FakeClock) -> Circuits:
    """A registry that takes a circuit for closed for a quarter of a second after it was."""
    return distant(clock, closed_for=0.25)


@pytest.fixture
def other(open_registry: Open, clock: FakeClock) -> Circuits:
    """Another process."""
    return open_registry(clock)


def test_a_circuit_that_was_closed_a_moment_ago_is_not_asked_for(
    trusting: Circuits, proxy: FaultProxy, clock: FakeClock
) -> None:
    """A call then costs one round trip, which tells how it ended, and how the circuit stands."""
    trusting.admit("first")
    proxy.forget()
    for _ in range(20):
        trusting.call(SUCCESS)
        clock.advance(0.2)
    assert proxy.round_trips == 20


def test_a_circuit_that_opened_elsewhere_is_noticed_in_time(
    trusting: Circuits, other: Circuits, clock: FakeClock
) -> None:
    """That is the bound: what a process starts in so many seconds."""
    trusting.admit("first")
    other.trip()
    clock.advance(0.249)
    assert trusting.admit("late") == Admitted(0)
    clock.advance(0.001)
    assert isinstance(trusting.admit("next"), Refused)


def test_the_time_on_the_way_counts(trusting: Circuits, proxy: FaultProxy, clock: FakeClock) -> None:
    """An answer that took a second says how it was a second ago, which is too long."""
    trusting.status()
    proxy.forget()
    proxy.blackhole()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(trusting.admit, "first")
        until(lambda: proxy.request_bytes > 0, "a question on its way")
        clock.advance(1)
        proxy.heal()
        assert asked.result() == Admitted(0)
    proxy.forget()
    trusting.admit("next")
    assert proxy.round_trips == 1


def test_results_of_its_own_calls_tell_it_sooner(trusting: Circuits, other: Circuits) -> None:
    """Every call that was let through in vain is the last of its thread."""
    trusting.admit("first")
    other.trip()
    trusting.record("first", 0, FAILURE)
    assert isinstance(trusting.admit("next"), Refused)


def test_a_circuit_that_it_opened_itself_is_open_at_once(trusting: Circuits) -> None:
    """Three failures in a row, all its own."""
    trusting.trip()
    assert isinstance(trusting.admit("next"), Refused)


@pytest.mark.parametrize("own", [True, False], ids=["own switch", "another's"])
def test_a_switch_is_obeyed_within_the_bound(trusting: Circuits, other: Circuits, clock: FakeClock, own: bool) -> None:
    """At once by the process that a person told."""
    trusting.admit("first")
    (trusting if own else other).force_open()
    clock.advance(0 if own else 0.25)
    assert trusting.admit("next") == Refused("forced_open", None, None)


def test_results_of_a_generation_that_is_over_do_not_count(
    trusting: Circuits, other: Circuits, clock: FakeClock
) -> None:
    """It was reset meanwhile: what it is taken for is one generation late, and so are its permits."""
    trusting.admit("first")
    other.reset()
    assert trusting.admit("late") == Admitted(0)
    trusting.record("late", 0, FAILURE)
    assert other.status().calls == 0
    assert trusting.admit("next") == Admitted(1)


def test_a_clock_that_was_set_back_makes_it_ask(trusting: Circuits, other: Circuits, clock: FakeClock) -> None:
    """Otherwise it would take the circuit for closed for an hour."""
    trusting.admit("first")
    other.force_open()
    clock.set(clock.now() - 3_600)
    assert isinstance(trusting.admit("next"), Refused)


def test_a_probe_is_asked_for_each_time(trusting: Circuits, other: Circuits, clock: FakeClock) -> None:
    """Only closed circuits are remembered."""
    other.trip()
    clock.advance(WAIT)
    trusting.probe()
    assert isinstance(trusting.admit("other"), Refused)
    clock.advance(LEASE)
    assert trusting.probe("next")


def test_what_is_remembered_is_bounded(open_registry: Open, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model names a new host in each call."""
    from langgraph_guard.backends.redis.breakers import closed

    monkeypatch.setattr(closed, "MOST", 3)
    circuits = open_registry(clock, closed_for=1.0)
    for number in range(10):
        circuits.admit("r", KEY._replace(key=f"{number}"))
    registry: Any = circuits.send.__self__  # type: ignore[attr-defined]
    assert len(registry._closed._seen) <= 3


def test_circuits_are_spread_over_a_cluster() -> None:
    """A busy one must not share its server with all the others for no reason."""
    from redis.crc import key_slot

    from langgraph_guard.backends.redis.breakers.wire import keys

    found = [keys("lgg", CircuitKey("acme", "breaker", f"tool-{number}")) for number in range(50)]
    slots = {key_slot(each.circuit.encode()) for each in found}
    assert len(slots) > 40
    assert [key_slot(each.audit.encode()) for each in found] == [key_slot(each.circuit.encode()) for each in found]


def test_settings_of_a_caller_are_its_own(open_registry: Open, clock: FakeClock) -> None:
    """Thresholds travel with each command; nothing of them is in the server."""
    strict = open_registry(clock).under(minimum_number_of_calls=1)
    patient = Circuits(strict.send, BreakerSettings(minimum_number_of_calls=100))
    patient.call(FAILURE, FAILURE)
    assert patient.status().state == "closed"
    assert strict.call(FAILURE) != [None]
