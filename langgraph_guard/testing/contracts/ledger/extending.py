"""Extending: a call that goes on keeps its reservation, however long it takes."""

from __future__ import annotations

import pytest

from langgraph_guard.errors import InvalidAmount
from langgraph_guard.policies.ledger import RUN, Account, Charge
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import ACCOUNTS, TENANT, USER, Harness, Till, everywhere


class Extending(Harness):
    """A stream that outlives its lease is no orphan, and one whose worker died is, soon after."""

    def test_an_extended_lease_ends_later(self, till: Till, clock: FakeClock) -> None:
        """Counted from the moment of asking."""
        till.reserve("r", *everywhere(30, 100), lease=60)
        clock.advance(59)
        assert till.extend("r", 60) is True
        clock.advance(59)
        assert (till.expire(), till.balances(*ACCOUNTS)) == (0, [(0, 30)] * 4)
        clock.advance(1)
        assert (till.expire(), till.balances(*ACCOUNTS)) == (1, [(30, 0)] * 4)

    def test_a_shorter_lease_takes_nothing_away(self, till: Till, clock: FakeClock) -> None:
        """A heartbeat that comes late or twice does no harm."""
        till.reserve("r", *everywhere(30, 100), lease=600)
        assert till.extend("r", 60) is True
        assert [hold.deadline for hold in till.holds()] == [clock.now() + 600]
        clock.advance(599)
        assert (till.expire(), till.balances(*ACCOUNTS)) == (0, [(0, 30)] * 4)

    @pytest.mark.parametrize("state", ["unknown", "settled", "released", "expired"])
    def test_what_is_not_open_stays_as_it_is(self, till: Till, clock: FakeClock, state: str) -> None:
        """The reply tells; the call goes on, and its settlement corrects."""
        if state != "unknown":
            till.reserve("r", *everywhere(30, 100), lease=60)
        if state == "settled":
            till.settle("r", usd=12)
        if state == "released":
            till.release("r")
        if state == "expired":
            clock.advance(60)
        assert till.extend("r", 600) is False
        spent = {"unknown": 0, "settled": 12, "released": 0, "expired": 30}[state]
        assert till.balances(*ACCOUNTS) == [(spent, 0)] * 4

    def test_a_stream_of_many_leases_is_settled_in_the_end(self, till: Till, clock: FakeClock) -> None:
        """And a reservation beside it is charged when its own lease ends."""
        till.reserve("stream", Charge(USER, 30, 100), lease=60)
        till.reserve("orphan", Charge(USER, 5, 100), lease=60)
        seen = set()
        for _ in range(20):
            clock.advance(40)
            assert till.extend("stream", 60)
            seen.add(till.balance(USER))
        till.settle("stream", usd=12)
        assert (seen, till.balance(USER)) == ({(0, 35), (5, 30)}, (17, 0))

    def test_a_settled_stream_is_not_charged_again_when_its_lease_ends(self, till: Till, clock: FakeClock) -> None:
        """Each of its ends is still on some list."""
        till.reserve("r", *everywhere(30, 100), lease=60)
        clock.advance(30)
        till.extend("r", 60)
        till.settle("r", usd=12)
        clock.advance(600)
        assert (till.expire(), till.balances(*ACCOUNTS)) == (0, [(12, 0)] * 4)

    def test_the_account_of_a_run_stays_as_long_as_its_call(self, till: Till, clock: FakeClock) -> None:
        """Forgetting it halfway would be a refund."""
        the_run = Account(TENANT, RUN, "run-1", "usd")
        till.reserve("first", Charge(the_run, 10, 100), lease=60)
        till.settle("first")
        till.reserve("stream", Charge(the_run, 30, 100), lease=60)
        for _ in range(200):
            clock.advance(50)
            till.extend("stream", 60)
        assert till.balance(the_run) == (10, 30)

    @pytest.mark.parametrize("lease", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_lease_ends_after_it_was_extended(self, till: Till, lease: float) -> None:
        """One that never ends would hold money for ever."""
        till.reserve("r", *everywhere(30, 100))
        with pytest.raises(InvalidAmount, match="lease"):
            till.extend("r", lease)
