"""Windows: which period a moment falls in, and when the next one begins. UTC, whatever the machine's zone."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.windows import ALWAYS, WINDOWS, period

MOMENTS = st.floats(0, datetime(2100, 1, 1, tzinfo=UTC).timestamp())
windows = st.sampled_from(WINDOWS)


def at(moment: str) -> float:
    """A moment, UTC, as seconds since 1970."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "last", "next_first"),
    [
        ("minute", "2026-03-04T05:06:59.999", "2026-03-04T05:07:00"),
        ("hour", "2026-03-04T05:59:59.999", "2026-03-04T06:00:00"),
        ("day", "2026-03-04T23:59:59.999", "2026-03-05T00:00:00"),
        ("day", "2028-02-28T23:59:59.999", "2028-02-29T00:00:00"),
        ("day", "2027-02-28T23:59:59.999", "2027-03-01T00:00:00"),
        ("month", "2028-02-29T23:59:59.999", "2028-03-01T00:00:00"),
        ("month", "2027-02-28T23:59:59.999", "2027-03-01T00:00:00"),
        ("month", "2026-04-30T23:59:59.999", "2026-05-01T00:00:00"),
        ("month", "2026-12-31T23:59:59.999", "2027-01-01T00:00:00"),
        ("minute", "2026-12-31T23:59:59.999", "2027-01-01T00:00:00"),
    ],
)
def test_a_period_ends_where_the_next_begins(window: str, last: str, next_first: str) -> None:
    """A millisecond before the border it is the old one, at the border the new one."""
    before, after = period(window, at(last)), period(window, at(next_first))
    assert before.ends_at == at(next_first)
    assert before.id < after.id


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        ("minute", "2026-03-04T05:06:00", "2026-03-04T05:06:59.999"),
        ("hour", "2026-03-04T05:00:00", "2026-03-04T05:59:59.999"),
        ("day", "2026-03-04T00:00:00", "2026-03-04T23:59:59.999"),
        ("month", "2028-02-01T00:00:00", "2028-02-29T23:59:59.999"),
        ("month", "2026-12-01T00:00:00", "2026-12-31T23:59:59.999"),
    ],
)
def test_a_period_lasts_from_its_first_moment_to_its_last(window: str, first: str, last: str) -> None:
    """Two ids within a day would be two limits within a day."""
    assert period(window, at(first)) == period(window, at(last))


def test_the_ids_are_pinned() -> None:
    """They are stored; another form would start every budget over on the day of an upgrade."""
    now = at("2026-11-21T13:14:15")
    assert [period(window, now).id for window in WINDOWS] == [
        "000029921114",
        "000000498685",
        "000000020778",
        "000020260011",
    ]


def test_without_a_window_there_is_one_period() -> None:
    """A limit per session is for good."""
    assert period(None, 0.0) == period(None, 4e9) == ALWAYS == ("", None)


@given(windows, MOMENTS)
def test_a_period_contains_its_moment_and_ends_after_it(window: str, now: float) -> None:
    """`retry_after` is the difference; zero or less would make a queue spin."""
    found = period(window, now)
    assert found.ends_at is not None
    assert found.ends_at > now
    assert period(window, math.nextafter(found.ends_at, 0)) == found
    assert period(window, found.ends_at).id > found.id


@given(windows, MOMENTS, MOMENTS)
def test_ids_sort_by_time(window: str, one: float, other: float) -> None:
    """Stores keep the newest few; text order must be time order."""
    earlier, later = sorted((one, other))
    assert period(window, earlier).id <= period(window, later).id


@given(MOMENTS)
def test_a_month_is_the_calendars(now: float) -> None:
    """Bills are by month."""
    here = datetime.fromtimestamp(int(now), UTC)
    first_of_next = (here.replace(day=1, hour=0, minute=0, second=0) + timedelta(days=32)).replace(day=1)
    assert period("month", now).ends_at == first_of_next.timestamp()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change its zone")
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"])
def test_the_machines_zone_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in two zones share one day, or the global limit exists once per zone."""
    moments = [at("2026-11-21T00:30:00"), at("2026-12-31T23:30:00")]
    here = [period(window, now) for window in WINDOWS for now in moments]
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert [period(window, now) for window in WINDOWS for now in moments] == here
    finally:
        monkeypatch.undo()
        time.tzset()
