"""The approval desk and the outbox on a Redis server: all that they promise, and what is in the server then."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from redis.crc import key_slot

from langgraph_guard import RedisBackend
from langgraph_guard._redis import RedisLink
from langgraph_guard._redis.scripts import load_script
from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.errors import StoreRefused
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Look, Pending, Trail
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Claimed, Done
from langgraph_guard.testing import FakeClock, FaultProxy
from langgraph_guard.testing.contracts import ApprovalContract
from langgraph_guard.testing.contracts.approvals.deciding import Deciding
from langgraph_guard.testing.contracts.approvals.executing import Covered, Executing
from langgraph_guard.testing.contracts.approvals.harness import KEY, LEASE, Office, decide, driven, request
from tests.backends.redis import places
from tests.backends.redis.desks import Desks, office
from tests.servers.redis import HOST, RedisServer

MONTH: Final = 30 * 86_400_000
SLACK: Final = 60_000
"""Milliseconds that a busy machine may take between a write and a look at it."""


class TestRedisDesk(Desks, places.OnRedis, ApprovalContract):
    """As it comes."""

    trials = 2
    histories = 3


class TestOnOldRedis(Desks, places.OnOldRedis, Deciding, Executing, Covered):
    """Whose Lua tells errors in another way."""


class TestOnACluster(Desks, places.OnACluster, Deciding, Executing, Covered):
    """Each tenant in a slot of its own."""


# What is in the server


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    """A process's connections."""
    link = RedisLink.from_url(redis_server.url, deadline=60)
    yield link
    link.close()


@pytest.fixture
def backend(link: RedisLink, prefix: str) -> ApprovalBackend:
    """By the server's own clock."""
    return RedisBackend(link=link, prefix=prefix)


@pytest.fixture
def desk(backend: ApprovalBackend) -> Iterator[Office]:
    """The same, with types."""
    with driven(backend, "execute") as office:
        yield office


def left(server: RedisServer, prefix: str, kind: str) -> int:
    """Milliseconds that the one key of that kind stays; -1 means for good."""
    (key,) = server.tell("KEYS", f"{{{prefix}:desk:*}}:{kind}:*")
    return int(server.tell("PTTL", key))


def test_what_is_closed_goes_after_a_month(desk: Office, redis_server: RedisServer, prefix: str) -> None:
    """By itself, on a server that nobody sweeps; what waits for somebody stays for as long as it takes."""
    stays = []
    desk.ask()
    stays.append(left(redis_server, prefix, "a"))
    desk.decide()
    stays.append(left(redis_server, prefix, "a"))
    desk.claim()
    stays.append(left(redis_server, prefix, "e"))
    desk.failed(happened=False)
    stays.append(left(redis_server, prefix, "e"))
    desk.claim()
    desk.failed(happened=True, fence=2)
    stays.append(left(redis_server, prefix, "e"))
    desk.resolve("paid")
    stays.append(left(redis_server, prefix, "e"))
    kept = [MONTH if MONTH - SLACK < each <= MONTH else each for each in stays]
    assert kept == [-1, MONTH, -1, MONTH, -1, MONTH]


def test_what_is_asked_anew_stays(link: RedisLink, redis_server: RedisServer, prefix: str, clock: FakeClock) -> None:
    """After a month it is another request; what the first one left must not take it away."""
    place = office(link, clock, prefix=prefix)
    place.desk.execute([request(effect="deny")])
    clock.advance(31 * 86_400)
    place.desk.execute([request()])
    assert left(redis_server, prefix, "a") == -1


def test_by_default_the_server_s_clock_counts(
    desk: Office, link: RedisLink, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is a day off neither expires a request nor ends a lease."""
    asked = desk.ask(Requirement(ttl=600.0))
    desk.claim(lease=600.0)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    with driven(RedisBackend(link=link, prefix=prefix), "execute") as other:
        assert (other.state(), other.pending(), other.stands()) == ("pending", ["a1"], "started")
    assert abs(asked.at - now()) < 60


def test_all_of_a_tenant_is_in_one_slot(link: RedisLink, redis_server: RedisServer, prefix: str) -> None:
    """Whatever its name is: a claim looks at a request in the same step. Another tenant's keys are others."""
    for tenant in ("acme", "a{b}c", "{}", ""):
        place = office(link, FakeClock(), tenant, prefix)
        place.desk.execute([request("x{y}", tenant=tenant), decide(id="x{y}", tenant=tenant)])
        place.outbox.execute([Claim(KEY._replace(tenant=tenant), "w", approval="x{y}")])
    keys = redis_server.tell("KEYS", f"{{{prefix}:*")
    assert (len(keys), len({key.partition(b"}")[0] for key in keys}), len(set(map(key_slot, keys)))) == (20, 4, 4)


def test_the_newest_ten_thousand_deeds_are_kept(desk: Office, redis_server: RedisServer, prefix: str) -> None:
    """A chain that begins later is still one; and who reads on from what is forgotten gets what there is."""
    desk.ask()
    (head,), (deeds,) = (redis_server.tell("KEYS", f"{{{prefix}:*:{kind}") for kind in "hd")
    (deed,) = redis_server.tell("LRANGE", deeds, 0, -1)
    redis_server.tell("RPUSH", deeds, *[deed] * 9_999)
    redis_server.tell("HSET", head, "number", 10_000)
    desk.decide()
    desk.ask(id="a2")
    (told,) = desk.tell(Trail("acme", 10_000))
    (first,) = desk.tell(Trail("acme", 0, 1))
    assert redis_server.tell("LLEN", deeds) == 10_000
    assert [each.number for each in told.deeds] == [10_001, 10_002]
    assert (verify(told.deeds, told.head, told.after), len(first.deeds)) == (None, 1)


def test_large_things_come_back_whole(desk: Office) -> None:
    """A hundred thousand characters of arguments, and a million of a result."""
    args, result = json.dumps({"text": "é" * 16_000}), "ü€" * 500_000
    desk.tell(request(args=args))
    desk.claim()
    desk.done(result)
    approval, execution = desk.approval(), desk.execution()
    assert approval is not None
    assert execution is not None
    assert (approval.args == args, execution.result == result) == (True, True)


def test_the_server_hashes_as_everybody_does(redis_server: RedisServer) -> None:
    """SHA-256 in Lua: of every length up to 300, and of what is no ASCII."""
    dice = random.Random(256)
    texts = [*map(dice.randbytes, range(301)), *("ü€😀".encode() * number for number in range(40))]
    source = load_script("langgraph_guard.backends.redis", "lua/approval/sha256").source
    all_of_them = "local found = {} for at, text in ipairs(ARGV) do found[at] = sha256(text) end return found"
    found = redis_server.tell("EVAL", source + all_of_them, 0, *texts)
    assert [each.decode() for each in found] == [hashlib.sha256(text).hexdigest() for text in texts]


# What cannot be trusted


def spoil(server: RedisServer, prefix: str, kind: str, *command: Any) -> bytes:
    """Change the one key of a kind behind everybody's back."""
    (key,) = server.tell("KEYS", f"{{{prefix}:desk:aacme}}:{kind}*")
    server.tell(command[0], key, *command[1:])
    return bytes(key)


def dumped(server: RedisServer, prefix: str) -> dict[bytes, bytes]:
    """All keys, and what is in them."""
    return {key: server.tell("DUMP", key) for key in server.tell("KEYS", f"{{{prefix}:*")}


ACTS: Final = {
    "a": ("ask", "decide", "approval", "claim_covered", "pending", "sweep"),
    "e": ("claim", "done", "extend", "resolve", "execution"),
    "h": ("ask", "decide", "claim", "done", "resolve", "deeds"),
}


@pytest.mark.parametrize(("kind", "act"), [(kind, act) for kind, acts in ACTS.items() for act in acts])
def test_what_a_later_release_wrote_is_refused_and_stays(
    desk: Office, redis_server: RedisServer, prefix: str, kind: str, act: str
) -> None:
    """It is neither taken for nothing, nor written over; and nothing runs."""
    desk.ask(Requirement(ttl=0.001))
    desk.claim(lease=60.0)
    key = spoil(redis_server, prefix, kind, "HSET", "v", "2")
    before = redis_server.tell("HGETALL", key)
    acts: dict[str, Any] = {
        "claim_covered": lambda: desk.claim(key=KEY._replace(call_id="c2"), approval="a1"),
        "ask": lambda: desk.ask(id="a1" if kind == "a" else "a2"),
        "claim": lambda: desk.claim("w2", key=KEY if kind == "e" else KEY._replace(call_id="c2")),
        "resolve": lambda: desk.resolve("paid"),
        # A place that says that its time is over, whatever the request says.
        "pending": lambda: desk.tell(Look("acme", ("a1",)), Pending("acme")),
    }
    with pytest.raises(StoreRefused):
        acts.get(act, getattr(desk, act, None))()
    assert redis_server.tell("HGETALL", key) == before


@pytest.mark.parametrize("kind", ["h", "d", "o", "a"])
def test_a_key_that_holds_something_else_is_refused(
    desk: Office, redis_server: RedisServer, prefix: str, kind: str
) -> None:
    """Before anything is written: half of a decision is none."""
    desk.ask()
    key = spoil(redis_server, prefix, kind, "DEL")
    redis_server.tell("SADD", key, "x")
    before = dumped(redis_server, prefix)
    acts: list[Any] = [desk.decide, lambda: desk.ask(id="a1" if kind == "a" else "a2")]
    for act in [*acts, desk.claim] if kind in "hd" else acts:
        with pytest.raises(StoreRefused, match="something else"):
            act()
    assert dumped(redis_server, prefix) == before


def test_a_place_without_a_request_is_swept(desk: Office, redis_server: RedisServer, prefix: str) -> None:
    """Somebody deleted a key by hand."""
    desk.ask(Requirement(ttl=0.001))
    spoil(redis_server, prefix, "a", "DEL")
    assert (desk.pending(), desk.sweep()) == ([], 0)
    assert redis_server.tell("KEYS", f"{{{prefix}:*:o") == []


# What it costs


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The network between a worker and the server."""
    with FaultProxy(HOST, redis_server.port) as proxy:
        yield proxy


def test_a_call_with_effects_takes_two_round_trips(proxy: FaultProxy, prefix: str) -> None:
    """The claim, which looks at the request in the same step, and its end. Several calls at once take no more."""
    link = RedisLink.from_url(f"redis://{HOST}:{proxy.port}", deadline=60)
    place = office(link, FakeClock(), prefix=prefix)
    keys = [KEY._replace(call_id=f"c{number}") for number in range(5)]
    place.desk.execute([each for key in keys for each in (request(key[2], call_id=key[2]), decide(id=key[2]))])
    trips = []
    for some in (keys[:1], keys[1:]):
        proxy.forget()
        found = place.outbox.execute([Claim(key, "w", LEASE, key.call_id, True) for key in some])
        assert found == [Claimed(1)] * len(some)
        assert place.outbox.execute([Done(key, 1, "paid") for key in some]) == [True] * len(some)
        trips.append(proxy.round_trips)
    link.close()
    assert trips == [2, 2]


@pytest.mark.parametrize(("count", "trips"), [(1, 2), (3, 2)])
def test_a_list_of_what_is_open_takes_two_round_trips_a_page(
    proxy: FaultProxy, prefix: str, count: int, trips: int
) -> None:
    """Which they are, and what they are."""
    link = RedisLink.from_url(f"redis://{HOST}:{proxy.port}", deadline=60)
    place = office(link, FakeClock(), prefix=prefix)
    place.desk.execute([request(f"a{number}") for number in range(5)])
    proxy.forget()
    (found,) = place.desk.execute([Pending("acme", count=count)])
    taken = proxy.round_trips
    link.close()
    assert (len(found), taken) == (count, trips)  # type: ignore[arg-type]
