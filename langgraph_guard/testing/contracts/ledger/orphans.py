"""Orphans: reservations whose worker died are closed when their lease ends, and corrected when it was only slow."""

from __future__ import annotations

from typing import Literal

import pytest

from langgraph_guard.policies.ledger import Account, Charge, Denied, Granted
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    ACCOUNTS,
    SESSION,
    TENANT,
    USER,
    Harness,
    Till,
    everywhere,
)


class Orphans(Harness):
    """kill -9 between reserve and settle costs at most what was held, and never holds it for ever."""

    def test_a_lease_runs_until_its_end(self, till: Till, clock: FakeClock) -> None:
        """A slow answer is not a dead worker."""
        till.reserve("r", *everywhere(30, 100), lease=60)
        clock.advance(59.999)
        assert till.expire() == 0
        assert till.balances(*ACCOUNTS) == [(0, 30)] * 4

    @pytest.mark.parametrize(("orphans", "spent"), [("charge", 30), ("release", 0)])
    def test_an_orphan_is_charged_or_released_when_its_lease_ends(
        self, till: Till, clock: FakeClock, orphans: Literal["charge", "release"], spent: int
    ) -> None:
        """Charging is the safe side: the provider may have answered a worker that was dead already."""
        till.reserve("r", *everywhere(30, 100), lease=60, orphans=orphans)
        clock.advance(60)
        assert till.expire() == 1
        assert till.balances(*ACCOUNTS) == [(spent, 0)] * 4

    def test_expiring_twice_charges_once(self, till: Till, clock: FakeClock) -> None:
        """Every worker sweeps."""
        till.reserve("r", *everywhere(30, 100), lease=60)
        clock.advance(600)
        assert [till.expire() for _ in range(3)] == [1, 0, 0]
        assert till.balances(*ACCOUNTS) == [(30, 0)] * 4

    def test_leases_end_one_by_one(self, till: Till, clock: FakeClock) -> None:
        """Only what is due is closed, in whatever order it was reserved."""
        for id, lease in (("c", 90), ("a", 30), ("b", 60)):
            till.reserve(id, Charge(SESSION, 10), lease=lease)
        found = []
        for _ in range(3):
            clock.advance(30)
            till.expire()
            found.append(till.balance(SESSION))
        assert found == [(10, 20), (20, 10), (30, 0)]

    @pytest.mark.parametrize("orphans", ["charge", "release"])
    def test_a_late_settlement_corrects(
        self, till: Till, clock: FakeClock, orphans: Literal["charge", "release"]
    ) -> None:
        """The worker was only slow, and now the true figure is known."""
        till.reserve("r", *everywhere(30, 100), lease=60, orphans=orphans)
        clock.advance(61)
        till.expire()
        till.settle("r", usd=12)
        till.settle("r", usd=12)
        assert till.balances(*ACCOUNTS) == [(12, 0)] * 4

    def test_a_late_settlement_corrects_the_window_it_was_reserved_in(self, till: Till, clock: FakeClock) -> None:
        """Yesterday's call must not take from today's money."""
        clock.advance(86_400 - 30)
        till.reserve("r", Charge(USER, 30, 100), lease=60)
        clock.advance(60)
        till.expire()
        assert till.balance(USER) == (0, 0)
        till.settle("r", usd=12)
        assert till.balance(USER) == (0, 0)
        clock.set(clock.now() - 60)
        assert till.balance(USER) == (12, 0)

    def test_late_settlements_of_old_windows_leave_the_present_one_alone(self, till: Till, clock: FakeClock) -> None:
        """A store that keeps a few periods per account may not drop today's to make room for last week's."""
        minute = Account(TENANT, "user", "42", "usd", "minute")
        for at in range(8):
            till.reserve(f"old-{at}", Charge(minute, 10, 100), lease=30)
            clock.advance(60)
        till.expire()
        till.reserve("now", Charge(minute, 90, 100))
        till.settle("now")
        for at in range(8):
            till.settle(f"old-{at}", usd=5)
        assert till.balance(minute) == (90, 0)
        assert isinstance(till.reserve("more", Charge(minute, 11, 100)), Denied)

    def test_a_late_overrun_is_reported_too(self, till: Till, clock: FakeClock) -> None:
        """Being late is no reason to hide it."""
        till.reserve("r", Charge(SESSION, 30), lease=60)
        clock.advance(61)
        till.expire()
        assert till.settle("r", usd=45).overrun == {"usd": 15}
        assert till.balance(SESSION) == (45, 0)

    def test_a_charged_orphan_still_counts_against_the_limit(self, till: Till, clock: FakeClock) -> None:
        """The end of a lease is no new money: safety never waits for a sweep."""
        till.reserve("r", Charge(SESSION, 80, 100), lease=60)
        clock.advance(61)
        assert isinstance(till.reserve("s", Charge(SESSION, 21, 100)), Denied)
        assert isinstance(till.reserve("s", Charge(SESSION, 20, 100)), Granted)

    def test_many_orphans_are_each_closed_once(self, till: Till, clock: FakeClock) -> None:
        """A whole fleet may die at once."""
        for number in range(500):
            till.reserve(f"r{number}", Charge(SESSION, 1), lease=60)
        clock.advance(60)
        total = 0
        while closed := till.expire():
            total += closed
        assert (total, till.balance(SESSION)) == (500, (500, 0))

    @pytest.mark.parametrize("lease", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_lease_ends_after_it_began(self, till: Till, lease: float) -> None:
        """One that never ends would hold money for ever; one that has ended would protect nothing."""
        with pytest.raises(ValueError, match="lease"):
            till.reserve("r", *everywhere(30, 100), lease=lease)
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4
