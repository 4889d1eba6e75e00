"""What the benchmark of `CloudflareKVSaver` counts is what is sent, and its bills are sums of it."""

from __future__ import annotations

import httpx
import pytest

from benchmarks import cloudflare, cloudflare_d1
from benchmarks.cloudflare_counts import FIVE, chain, invokes, marginal, stored, thread
from benchmarks.cloudflare_prices import by_d1, by_objects, by_rest, usd
from benchmarks.cloudflare_wire import Counting, Log, in_memory
from benchmarks.peers import BOTH, How
from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport
from langgraph_guard.checkpoint.cloudflare.clock import SystemClock
from tests.servers.kv_front import NAMESPACE, KVFront


def test_what_is_counted_is_what_arrives() -> None:
    """A count of our own that missed a request would flatter us."""
    front, log = KVFront(SystemClock()), Log()
    with front.served() as place:
        wire = Counting(httpx.HTTPTransport(), log)
        transport = RestTransport.of_url(place.url, api_token=place.api_token, blocking=wire)
        saver = CloudflareKVSaver(transport)
        chain(saver, FIVE).invoke({"items": []}, thread(0))
        saver.get_tuple(thread(0))
        wire.close()
    assert (sorted(log.calls), sorted(log.written)) == (sorted(front.calls), front.store.names(NAMESPACE))


@pytest.mark.parametrize("how", BOTH)
def test_what_is_billed_does_not_depend_on_who_shares_a_request(how: How) -> None:
    """Group commit saves requests, and a benchmark that made it look cheaper would be wrong."""
    with in_memory() as connect:
        shared = invokes(connect, how, 3, FIVE)
        alone = invokes(connect, how, 3, FIVE, group_commit=False)
    assert by_rest(shared) == by_rest(alone) == {"KV write": 13, "KV list": 1, "KV read": 0}
    assert (alone["requests"], alone["bulk writes"]) == (14, 13)


def test_each_count_begins_with_an_empty_namespace() -> None:
    """A thread that is there already is read, and a second count would differ from the first."""
    with in_memory() as connect:
        once, again = (invokes(connect, "sync", 1, FIVE, group_commit=False) for _ in range(2))
    assert once == again


def test_a_superstep_is_what_one_more_step_costs() -> None:
    """What an invoke costs besides, its input and its first look, would make supersteps look dearer or cheaper."""
    assert marginal({"requests": 10.0}, {"requests": 14.0}, 2) == {"requests": 2.0}


def test_a_bill_is_the_sum_of_its_operations() -> None:
    """By hand: two keys are 10 USD a million times, and four rows with their two requests 4.45."""
    superstep = {"requests": 1, "keys written": 2, "lists": 0, "values read": 0, "object requests": 1}
    assert usd(by_rest(superstep)) == pytest.approx(10)
    assert usd(by_objects(superstep)) == pytest.approx(4.45)
    assert usd(by_d1({"inserts": 3, "rows read": 0})) == pytest.approx(6)


def test_whole_checkpoints_grow_with_what_was_said_before() -> None:
    """Twice the turns take more than twice the bytes; it stands in the README because nobody expects it."""
    with in_memory() as connect:
        assert stored(connect, 12) > 2 * stored(connect, 6)


@pytest.mark.skipif(cloudflare_d1.missing() is not None, reason="the peer is not installed")
def test_the_peer_is_counted_by_what_its_database_was_asked() -> None:
    """19 requests of five steps: one look, 7 checkpoints, and one for each of 11 writes."""
    found = cloudflare_d1.invokes(2)
    assert (found["requests"], found["inserts"]) == (19, 18)


def test_a_peer_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody should take silence about a peer for a result; what is ours is printed all the same."""
    monkeypatch.setattr(cloudflare_d1, "find_spec", lambda name: None)
    cloudflare.measured.cache_clear()
    rows = list(cloudflare.rows(rounds=1))
    cloudflare.measured.cache_clear()
    assert rows[-1].claim == f"cloudflare: skipped, {cloudflare_d1.D1} is not here: pip install {cloudflare_d1.D1}"
    assert len(rows) > 5
