"""Periods: each window starts over by the backend's clock, and a call belongs to the one it was reserved in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from langgraph_guard.policies.ledger import Account, Charge, Denied, Granted
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import EVERYONE, SESSION, TENANT, USER, Harness, Till

BORDERS = [
    ("minute", "2026-03-04T05:06:59.999", "2026-03-04T05:07:00"),
    ("hour", "2026-03-04T05:59:59.999", "2026-03-04T06:00:00"),
    ("day", "2026-03-04T23:59:59.999", "2026-03-05T00:00:00"),
    ("day", "2028-02-28T23:59:59.999", "2028-02-29T00:00:00"),
    ("month", "2028-02-29T23:59:59.999", "2028-03-01T00:00:00"),
    ("month", "2026-02-28T23:59:59.999", "2026-03-01T00:00:00"),
    ("month", "2026-12-31T23:59:59.999", "2027-01-01T00:00:00"),
]
WITHIN = [
    ("minute", "2026-03-04T05:06:00", "2026-03-04T05:06:59.999"),
    ("hour", "2026-03-04T05:00:00", "2026-03-04T05:59:59.999"),
    ("day", "2026-03-04T00:00:00", "2026-03-04T23:59:59.999"),
    ("month", "2028-02-01T00:00:00", "2028-02-29T23:59:59.999"),
    (None, "2026-12-31T23:59:59.999", "2031-01-01T00:00:00"),
]


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


class Periods(Harness):
    """Whoever spends a day's money at 23:59:59.999 has it again at 00:00, UTC, whatever the workers' clocks say."""

    @pytest.mark.parametrize(("window", "before", "after"), BORDERS)
    def test_a_window_starts_over_at_its_border(
        self, till: Till, clock: FakeClock, window: str, before: str, after: str
    ) -> None:
        """Not a millisecond earlier, which would double it; not later, which would refuse what is allowed."""
        account = Account(TENANT, "user", "42", "usd", window)
        clock.set(at(before))
        till.reserve("a", Charge(account, 100, 100))
        till.settle("a")

        denied = till.reserve("b", Charge(account, 1, 100))
        clock.set(at(after))

        assert isinstance(denied, Denied)
        assert denied.retry_after == pytest.approx(0.001, abs=1e-4)
        assert till.balance(account) == (0, 0)
        assert isinstance(till.reserve("b", Charge(account, 100, 100)), Granted)

    @pytest.mark.parametrize(("window", "first", "last"), WITHIN)
    def test_a_window_lasts_until_its_end(
        self, till: Till, clock: FakeClock, window: str | None, first: str, last: str
    ) -> None:
        """From its first moment to its last it is one window; without a window it is for good."""
        account = Account(TENANT, "user", "42", "usd", window)
        clock.set(at(first))
        till.reserve("a", Charge(account, 60, 100))
        till.settle("a")
        clock.set(at(last))
        assert till.balance(account) == (60, 0)
        assert isinstance(till.reserve("b", Charge(account, 41, 100)), Denied)

    def test_a_denial_says_how_long_its_window_lasts(self, till: Till, clock: FakeClock) -> None:
        """A queue sleeps that long and no longer; an account without a window never has room again by waiting."""
        clock.set(at("2026-03-04T05:59:00"))
        hour = till.reserve("r", Charge(EVERYONE, 2, 1))
        never = till.reserve("r", Charge(SESSION, 2, 1))
        assert isinstance(hour, Denied)
        assert isinstance(never, Denied)
        assert (hour.retry_after, never.retry_after) == (60.0, None)

    def test_what_was_reserved_before_midnight_is_settled_before_midnight(self, till: Till, clock: FakeClock) -> None:
        """The old day gets its true cost, the new one starts at nothing."""
        clock.set(at("2026-03-04T23:59:59.999"))
        till.reserve("r", Charge(USER, 30, 100), Charge(SESSION, 30))
        clock.set(at("2026-03-05T00:00:00"))
        assert till.balance(USER) == (0, 0)

        till.settle("r", usd=12)

        assert till.balances(USER, SESSION) == [(0, 0), (12, 0)]
        clock.set(at("2026-03-04T23:59:59.999"))
        assert till.balance(USER) == (12, 0)

    def test_what_was_reserved_before_midnight_is_released_before_midnight(self, till: Till, clock: FakeClock) -> None:
        """Giving back to the new day would let it spend more than its limit."""
        clock.set(at("2026-03-04T23:59:59.999"))
        till.reserve("old", Charge(USER, 30, 100))
        clock.set(at("2026-03-05T00:00:00"))
        till.reserve("new", Charge(USER, 100, 100))
        till.release("old")
        assert till.balance(USER) == (0, 100)

    def test_a_reservation_repeated_after_midnight_is_not_made_again(self, till: Till, clock: FakeClock) -> None:
        """A retry that crosses the border is still the same call."""
        clock.set(at("2026-03-04T23:59:59.999"))
        first = till.reserve("r", Charge(USER, 30, 100))
        clock.set(at("2026-03-05T00:00:00"))
        assert till.reserve("r", Charge(USER, 30, 100)) == first
        assert till.balance(USER) == (0, 0)

    def test_a_long_call_finds_its_window_however_many_have_passed(self, till: Till, clock: FakeClock) -> None:
        """A reservation that is held keeps its period readable."""
        minute = Account(TENANT, "user", "42", "usd", "minute")
        began = clock.now()
        till.reserve("long", Charge(minute, 30, 100), lease=3_600)
        for number in range(10):
            clock.advance(60)
            till.reserve(f"short-{number}", Charge(minute, 100, 100), lease=3_600)
            till.settle(f"short-{number}")
        till.settle("long", usd=12)
        assert till.balance(minute) == (100, 0)
        clock.set(began)
        assert till.balance(minute) == (12, 0)

    def test_windows_of_one_account_are_counted_apart(self, till: Till, clock: FakeClock) -> None:
        """A limit per hour and one per day stand together."""
        hour, day = (Account(TENANT, "user", "42", "usd", window) for window in ("hour", "day"))
        clock.set(at("2026-03-04T05:59:59"))
        till.reserve("a", Charge(hour, 10), Charge(day, 10))
        clock.set(at("2026-03-04T06:00:00"))
        till.reserve("b", Charge(hour, 10), Charge(day, 10))
        assert till.balances(hour, day) == [(0, 10), (0, 20)]

    def test_a_clock_that_was_set_back_finds_its_former_figures(self, till: Till, clock: FakeClock) -> None:
        """A corrected server clock opens a window early at worst; it never forgets what was spent."""
        clock.set(at("2026-03-04T12:00:00"))
        till.reserve("a", Charge(USER, 60, 100))
        till.settle("a")
        clock.set(at("2026-03-05T12:00:00"))
        till.reserve("b", Charge(USER, 70, 100))
        till.settle("b")
        clock.set(at("2026-03-04T13:00:00"))
        assert isinstance(till.reserve("c", Charge(USER, 41, 100)), Denied)
        assert till.balance(USER) == (60, 0)
