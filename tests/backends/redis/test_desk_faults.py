"""The network and the server fail while people decide and tools run: nothing runs twice, and no deed is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.errors import StoreError, StoreRefused, StoreUnavailable
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Decided, Look, Sweep, Told, Trail
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Claimed, Done, EffectKey, Execution, Extend, Failed, LookUp, Resolve
from langgraph_guard.testing import FakeClock, FaultProxy
from langgraph_guard.testing.contracts.approvals.harness import KEY, LEASE, TENANT, decide, request
from tests.backends.redis.desks import Office, office
from tests.servers.redis import HOST, RedisServer, until

PLACES: Final = 12
"""Where a request or an answer tears, evenly over its length, and at each end."""


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The network between a worker and the server."""
    with FaultProxy(HOST, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: FaultProxy, prefix: str) -> Iterator[Callable[..., Office]]:
    """Makes desks and outboxes whose way to the server leads through the proxy."""
    links: list[RedisLink] = []

    def make(deadline: float = 60.0) -> Office:
        links.append(RedisLink.from_url(f"redis://{HOST}:{proxy.port}", deadline=deadline))
        return office(links[-1], FakeClock(), prefix=prefix)

    yield make
    for link in links:
        link.close()


def call(number: int) -> EffectKey:
    """A tool call of its own."""
    return KEY._replace(call_id=f"c{number:04d}")


def trail(place: Office) -> Told:
    """All deeds, which are one chain."""
    (told,) = place.desk.execute([Trail(TENANT, count=10_000)])
    assert isinstance(told, Told)
    assert verify(told.deeds, told.head, told.after) is None
    return told


def kinds(place: Office) -> Counter[str]:
    """How often each kind of deed was done."""
    return Counter(deed.kind for deed in trail(place).deeds)


def ask(place: Office, key: EffectKey) -> None:
    """For two people's word."""
    place.desk.execute([request(key.call_id, call_id=key.call_id, requirement=Requirement(quorum=2))])


def vote(place: Office, key: EffectKey) -> None:
    """One of them edits it."""
    (reply,) = place.desk.execute([decide("bob", "edit", id=key.call_id, source="s")])
    assert isinstance(reply, Decided)
    assert (reply.won, reply.approval.edited, len(reply.approval.votes)) == (True, True, 1)


def claim(place: Office, key: EffectKey) -> None:
    """A worker begins."""
    assert place.outbox.execute([Claim(key, "w", LEASE)]) == [Claimed(1)]


def end(place: Office, key: EffectKey) -> None:
    """It tells the result."""
    assert place.outbox.execute([Done(key, 1, "paid")]) == [True]


STEPS: Final[dict[str, Callable[[Office, EffectKey], None]]] = {
    "requested": ask,
    "voted": vote,
    "started": claim,
    "done": end,
}


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("torn", STEPS)
def test_a_request_that_tears_anywhere_is_done_once(
    proxy: FaultProxy, distant: Callable[..., Office], torn: str, direction: Any
) -> None:
    """Half a request is none, and a lost answer is asked for again."""
    place = distant()
    calls = [call(number) for number in range(PLACES + 1)]
    size = 0
    for number, key in enumerate(calls):
        for step, act in STEPS.items():
            proxy.forget()
            if number and step == torn:
                proxy.cut_after(size * (number - 1) // (PLACES - 1), direction)
            act(place, key)
            proxy.heal()
            if not number and step == torn:
                size = proxy.request_bytes if direction == "request" else proxy.reply_bytes
    assert kinds(place) == dict.fromkeys(STEPS, len(calls))


def test_a_sweep_whose_answer_is_lost_says_what_it_closed(proxy: FaultProxy, distant: Callable[..., Office]) -> None:
    """It is sent again, and finds all closed: by itself."""
    place, sizes, counts = distant(), [], []
    for time in ("first", "whole", "wound"):
        place.desk.execute([request(f"{time}{number}", requirement=Requirement(ttl=LEASE)) for number in range(3)])
        place.clock.advance(LEASE)  # type: ignore[attr-defined]
        proxy.forget()
        if time == "wound":
            proxy.cut_after(sizes[-1] - 2, "reply")
        counts += place.desk.execute([Sweep(TENANT)])
        sizes.append(proxy.reply_bytes)
    assert sizes[-1] > sizes[-2]  # it was answered twice
    assert (counts, kinds(place)) == ([3, 3, 3], {"requested": 9, "expired": 9})


def test_a_silent_server_runs_nothing(proxy: FaultProxy, distant: Callable[..., Office]) -> None:
    """Whoever cannot claim does not begin; and what was asked for while nobody answered is one claim, not two."""
    place = distant(0.5)
    place.outbox.execute([LookUp(KEY)])
    proxy.blackhole()
    for act in (lambda: place.outbox.execute([Claim(KEY, "w")]), lambda: place.desk.execute([request()])):
        with pytest.raises(StoreUnavailable):
            act()
    proxy.heal()
    patient = distant()
    assert patient.outbox.execute([Claim(KEY, "w")]) == [Claimed(1)]
    patient.desk.execute([request()])
    assert kinds(patient) == {"started": 1, "requested": 1}


def test_scripts_that_were_flushed_are_brought_again(redis_server: RedisServer, distant: Callable[..., Office]) -> None:
    """A server that was restarted knows none."""
    place = distant()
    for number in range(3):
        redis_server.tell("SCRIPT", "FLUSH")
        place.desk.execute([request(f"a{number}"), decide(id=f"a{number}"), request(f"b{number}")])
        redis_server.tell("SCRIPT", "FLUSH")
        place.outbox.execute([Claim(call(number), "w", approval=""), Done(call(number), 1, "")])
    assert kinds(place) == {"requested": 6, "approved": 3, "started": 3, "done": 3}


# A server that dies


def insist(act: Callable[[], list[Any]]) -> Any:
    """Until it answers."""
    for _ in range(100):
        try:
            return act()[0]
        except StoreError:
            continue
    raise AssertionError("it never came back")


def work(place: Office, worker: int, calls: int) -> int:
    """Do some calls, once each; how many were done."""
    done = 0
    for number in range(calls):
        key = KEY._replace(call_id=f"{worker} {number}")
        found = insist(lambda: place.outbox.execute([Claim(key, f"{worker}", LEASE)]))  # noqa: B023 - run now
        assert found == Claimed(1)
        done += insist(lambda: place.outbox.execute([Done(key, 1, "paid")]))  # noqa: B023 - run now
    return done


def written(server: RedisServer) -> int:
    """Bytes of its append-only file, wherever it keeps it."""
    return sum(each.stat().st_size for each in server.folder.rglob("*aof*") if each.is_file())


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(prefix: str) -> None:
    """kill -9 of Redis with its append-only file, between claims and their ends: each is there, and once."""
    workers, calls = 8, 12
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        link = RedisLink.from_url(server.url)
        place = office(link, FakeClock(), prefix=prefix)
        with ThreadPoolExecutor(workers) as pool:
            done = [pool.submit(work, place, worker, calls) for worker in range(workers)]
            for _ in range(3):
                enough = written(server) + 10_000
                until(lambda: written(server) > enough or all(each.done() for each in done), "load")  # noqa: B023 - run now
                server.restart()
            assert sum(each.result() for each in done) == workers * calls
        keys = [KEY._replace(call_id=f"{worker} {number}") for worker in range(workers) for number in range(calls)]
        states = {each and (each.state, each.fence) for each in place.outbox.execute([LookUp(key) for key in keys])}  # type: ignore[union-attr]
        assert (states, kinds(place)) == ({("done", 1)}, {"started": len(keys), "done": len(keys)})
        link.close()


# A server that is full


@pytest.fixture
def full() -> Iterator[tuple[RedisServer, Office, FakeClock, Callable[[], Any]]]:
    """A server of its own, what is on it, and how to fill it."""
    clock = FakeClock()
    with RedisServer(maxmemory_policy="noeviction") as server:
        link = RedisLink.from_url(server.url, deadline=60)
        yield server, office(link, clock), clock, lambda: server.tell("CONFIG", "SET", "maxmemory", 1)
        link.close()


GROWING: Final[dict[str, Any]] = {
    "request": lambda place: place.desk.execute([request("a2")]),
    "approve": lambda place: place.desk.execute([decide()]),
    "reject": lambda place: place.desk.execute([decide(type="reject", source="s")]),
    "claim": lambda place: place.outbox.execute([Claim(call(2), "w")]),
}


@pytest.mark.parametrize("act", GROWING)
def test_a_full_server_begins_nothing(full: Any, act: str) -> None:
    """A typed error that says so, and not half of it is written."""
    server, place, _, fill = full
    place.desk.execute([request()])
    before, keys = trail(place), server.tell("KEYS", "*")
    fill()
    with pytest.raises(StoreRefused, match="memory"):
        GROWING[act](place)
    found = place.desk.execute([Look(TENANT, ("a1", "a2"))])[0]
    assert (trail(place), [each and (each.state, each.heard) for each in found]) == (before, [("pending", ()), None])
    assert set(server.tell("KEYS", "*")) == set(keys)


ENDING: Final[dict[str, Any]] = {
    "done": (Done(KEY, 1, "paid"), "done"),
    "failed": (Failed(KEY, 1, False), "failed"),
    "in doubt": (Failed(KEY, 1, True), "in_doubt"),
    "extend": (Extend(KEY, 1, 10 * LEASE), "started"),
}


@pytest.mark.parametrize("end", ENDING)
def test_a_full_server_takes_the_end_of_what_it_began(full: Any, end: str) -> None:
    """Otherwise every call that was under way would be in doubt."""
    _, place, _, fill = full
    place.outbox.execute([Claim(KEY, "w", LEASE)])
    fill()
    command, state = ENDING[end]
    found = place.outbox.execute([command, LookUp(KEY)])
    assert (found[0], found[1].state) == (True, state)
    trail(place)


def test_a_full_server_lets_people_clear_up(full: Any) -> None:
    """What is in doubt can be resolved, and what is over closed."""
    _, place, clock, fill = full
    place.desk.execute([request(requirement=Requirement(ttl=LEASE))])
    place.outbox.execute([Claim(KEY, "w", LEASE)])
    clock.advance(LEASE)
    fill()
    (resolved,) = place.outbox.execute([Resolve(KEY, "ann", "paid")])
    assert isinstance(resolved, Execution)
    assert (resolved.state, place.desk.execute([Sweep(TENANT)])) == ("done", [1])
    assert kinds(place) == {"requested": 1, "started": 1, "resolved_done": 1, "expired": 1}


def test_a_server_that_was_away_for_a_moment_is_waited_for(proxy: FaultProxy, distant: Callable[..., Office]) -> None:
    """A restart within the deadline costs nobody a claim."""
    place = distant()
    place.outbox.execute([Claim(KEY, "w")])
    proxy.refuse()
    healing = threading.Timer(0.3, proxy.heal)
    healing.start()
    assert place.outbox.execute([Done(KEY, 1, "paid")]) == [True]
    healing.join()
