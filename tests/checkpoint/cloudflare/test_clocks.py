"""Ids are times: where clocks differ, a thread may go back. That is told, and what would be hidden is refused."""

from __future__ import annotations

import pytest

from langgraph_guard.checkpoint.cloudflare.dates import ServerClock
from langgraph_guard.errors import StoreRefused
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver.harness import about, at, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint, young
from tests.servers.kv_front import KVFront


@pytest.fixture
def front() -> KVFront:
    """A namespace without weather."""
    return fronts.front()


def test_what_would_stand_behind_its_parent_is_refused(front: KVFront) -> None:
    """The machine that wrote the parent was two hours ahead: every reader would go back to it, in silence."""
    saver = fronts.saver(front)
    ahead, now = young(front, age=-7_200), young(front)
    saver.put(at(), checkpoint(ahead), about(1), {})
    with pytest.raises(StoreRefused, match=r"2\.0 h behind"):
        saver.put(at(id=ahead), checkpoint(now), about(2), {})
    assert [each.checkpoint["id"] for each in saver.list(at())] == [ahead]


@pytest.mark.parametrize(
    ("age", "parent"),
    [(0.0, -3_000.0), (0.0, 60.0), (90_000.0, 0.0)],
    ids=["less than an hour", "as it should be", "a copy of an old one"],
)
def test_what_will_be_found_soon_or_is_a_copy_is_stored(front: KVFront, age: float, parent: float) -> None:
    """A run outlives small differences, and what is moved here from elsewhere is not of this machine's clock."""
    saver = fronts.saver(front)
    saver.put(at(id=young(front, age=parent)), checkpoint(young(front, age=age)), about(1), {})
    assert len([*saver.list(at())]) == 1


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
def test_a_clock_that_is_wrong_is_told_once(front: KVFront, caplog: pytest.LogCaptureFixture, ahead: float) -> None:
    """By the `Date` of the answers, before anything goes wrong; and no run fails for it."""
    front.ahead = ahead
    saver = fronts.saver(front)
    for number in (1, 2):
        saver.put(at(), checkpoint(uid(number)), about(number), {})
    (told,) = [each.getMessage() for each in caplog.records]
    assert told.startswith(f"This machine's clock is {'3600.0' if ahead > 0 else '3599.0'} s")


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"date": "Thu, 01 Jan 2026 00:00:10 GMT"}, 0.0),
        ({"date": "Thu, 01 Jan 2026 00:00:05 GMT"}, 0.0),
        ({"date": "Thu, 01 Jan 2026 00:00:04 GMT"}, 0.0),
        ({"date": "Thu, 01 Jan 2026 00:00:03 GMT"}, -1.0),
        ({"date": "Thu, 01 Jan 2026 00:01:10 GMT"}, 60.0),
        ({"date": "Thu, 01 Jan 2026 00:01:10 GMT", "age": "7"}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Thu, 01 Jan 2026 00:01:10 -0000"}, None),
        ({}, None),
    ],
)
def test_a_date_is_compared_with_the_time_that_the_answer_took(headers: dict[str, str], ahead: float | None) -> None:
    """Asked at 5 s, answered at 10 s; what lies between agrees. An answer out of a cache is as old as it is."""
    start = FakeClock().now()
    clock = ServerClock()
    clock.hear(headers, start + 5, start + 10)
    assert clock.ahead == ahead
