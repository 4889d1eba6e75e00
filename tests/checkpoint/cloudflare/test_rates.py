"""Rate limits: a burst waits rather than trip the block; a block is sat out; what takes too long is an error."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.checkpoint.cloudflare.pace import Pace
from langgraph_guard.errors import StoreRateLimited, StoreRefused, StoreUnavailable
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv_front import Fault, KVFront, Quota

DAILY = 10048


@pytest.fixture
def front() -> KVFront:
    """A store whose faults a test orders."""
    return fronts.front(hot=1.0)


def put(front: KVFront, number: int = 1, **options: Any) -> None:
    """A checkpoint from a process that just started."""
    fronts.saver(front, **options).put(at(), checkpoint(uid(number)), about(number), {})


def ids(front: KVFront) -> list[str]:
    """What is stored."""
    return [each.checkpoint["id"] for each in fronts.saver(front).list(at())]


# The server says "later"


@pytest.mark.parametrize("seconds", [1, 120, 300])
def test_a_wait_that_the_server_names_is_waited(front: KVFront, seconds: int) -> None:
    """A block lasts for up to five minutes; a run that gave up would lose what it has not stored."""
    front.will(Fault(429, retry_after=seconds))
    put(front)
    assert seconds <= sum(front.clock.slept) < seconds + 3
    assert ids(front) == [uid(1)]


def test_a_wait_that_is_longer_than_one_may_wait_is_an_error_at_once(front: KVFront) -> None:
    """It names the rule, and what has no such rule."""
    front.will(Fault(429, retry_after=300))
    with pytest.raises(StoreRateLimited, match=r"1,200 API requests in 5 minutes.*gateway") as caught:
        put(front, throttle_budget=60)
    assert caught.value.retry_after == 300
    assert front.clock.slept == []
    assert ids(front) == []


def test_waits_are_counted_together(front: KVFront) -> None:
    """Four blocks in a row are too many."""
    front.will(*(Fault(429, retry_after=20) for _ in range(9)))
    with pytest.raises(StoreRateLimited) as caught:
        put(front, throttle_budget=60)
    assert caught.value.waited == pytest.approx(60)


def test_a_429_without_a_time_is_tried_again_after_a_second_and_more(front: KVFront) -> None:
    """One write per second and key is what it may mean."""
    front.will(Fault(429), Fault(429))
    put(front)
    assert all(each >= 1 for each in front.clock.slept)
    assert ids(front) == [uid(1)]


def test_a_day_that_is_used_up_is_not_waited_for(front: KVFront) -> None:
    """It ends at midnight."""
    front.will(Fault(429, code=DAILY))
    with pytest.raises(StoreRateLimited, match="today"):
        put(front)
    assert front.clock.slept == []


def test_while_one_waits_nobody_asks(front: KVFront) -> None:
    """Each request of a blocked token is one too many."""
    pace = Pace()
    pace.stop(30, now=100.0)
    assert [pace.take(now=100.0), pace.take(now=110.0), pace.take(now=131.0)] == [30.0, 20.0, 0.0]


# The bucket


def test_a_burst_waits_rather_than_trip_the_block() -> None:
    """200 writes at once, 100 allowed in a minute: none of them is refused."""
    front = fronts.front(Quota(requests=100, window=60))
    saver = fronts.saver(front)
    for number in range(200):
        saver.put_writes(at(id=uid(1)), [("c", number)], task(number))
    assert set(front.answered) == {200}
    assert 60 <= sum(front.clock.slept) <= 125


def test_the_last_of_a_quota_is_spread_over_its_time() -> None:
    """Another process has the same token."""
    pace = Pace()
    pace.hear({"ratelimit": '"default";r=9;t=100', "ratelimit-policy": '"default";q=100;w=300'}, now=0.0)
    waits = [pace.take(now=0.0) for _ in range(3)]
    assert waits[0] == 0
    assert waits[1] >= 10
    assert waits[2] >= waits[1] + 10


def test_without_a_word_of_limits_there_is_none() -> None:
    """A gateway has none."""
    pace = Pace()
    pace.hear({}, now=0.0)
    assert [pace.take(now=0.0) for _ in range(5_000)] == [0.0] * 5_000


def test_nothing_left_is_waited_for() -> None:
    """Until the quota is full again, which is known."""
    pace = Pace()
    pace.hear({"ratelimit": '"default";r=0;t=30'}, now=0.0)
    assert pace.take(now=10.0) == pytest.approx(20.0)


# No answer


@pytest.mark.parametrize("fault", [Fault(500), Fault(503), Fault(cut=10), Fault(cut=10, done=True)], ids=str)
def test_what_got_lost_is_sent_again(front: KVFront, fault: Fault) -> None:
    """Done or not: a key is written with the same value, so twice is as good as once."""
    front.will(fault)
    put(front)
    assert ids(front) == [uid(1)]


def test_a_write_whose_answer_was_lost_is_stored_once(front: KVFront) -> None:
    """Its second sending meets the limit of one write per second and key, and waits for it."""
    front.will(Fault(cut=10, done=True), Fault(429))
    saver = fronts.saver(front)
    saver.put_writes(at(id=uid(1)), [("c", 1)], task(1))
    assert len(fronts.names(front)) == 1


def test_a_server_that_does_not_answer_is_given_up_in_time(front: KVFront) -> None:
    """And the error says what was asked for."""
    front.will(*(Fault(503) for _ in range(50)))
    with pytest.raises(StoreUnavailable) as caught:
        fronts.saver(front, deadline=5).get_tuple(at())
    assert (caught.value.store, caught.value.operation) == ("cloudflare kv", "list")
    assert sum(front.clock.slept) <= 5


# Part of a bulk request


def test_a_part_that_was_not_written_is_written_again(front: KVFront) -> None:
    """A second later: the answer is a success, and lists what it is not."""
    front.store.refuse("/w", times=1)
    fronts.saver(front).put_writes(at(id=uid(1)), [("c", 1)], task(1))
    assert len(fronts.names(front)) == 1
    assert front.clock.slept[0] >= 1


def test_a_part_that_is_never_written_is_an_error(front: KVFront) -> None:
    """A peer says nothing, and loses it."""
    front.store.refuse("/c", times=100)
    with pytest.raises(StoreRefused, match="1 of 1 keys"):
        put(front)
    assert ids(front) == []


def test_a_part_that_is_never_deleted_is_an_error(front: KVFront) -> None:
    """Else a thread would be thought forgotten."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.store.refuse("/c", times=100)
    with pytest.raises(StoreRefused, match="not deleted"):
        saver.delete_thread("t")
    assert saver.get_tuple(at()) is not None


def test_a_copy_that_fails_leaves_nothing(front: KVFront) -> None:
    """Half a copy would be taken for a thread."""
    saver = fronts.saver(front)
    for number in range(1, 130):
        saver.put(at(), checkpoint(uid(number)), about(number), {})
    front.will(Fault(call="POST bulk/get", done=True), Fault(413, call="POST bulk/get"))
    with pytest.raises(StoreRefused):
        fronts.saver(front).copy_thread("t", "copy")
    assert {key.split("/")[3] for key in fronts.names(front)} == {"t"}


def test_pages_without_keys_are_not_the_end(front: KVFront) -> None:
    """What was deleted leaves holes in lists: only an empty cursor ends them."""
    put(front)
    front.store.weather.empty_pages = 3
    assert ids(front) == [uid(1)]
    found = fronts.saver(front).get_tuple(at())
    assert found is not None
