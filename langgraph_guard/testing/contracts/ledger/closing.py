"""Closing: settle what it cost, or release what was never sent; once, and not in two ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from langgraph_guard.errors import ReservationConflict
from langgraph_guard.policies.ledger import Charge, Closed
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    ACCOUNTS,
    SESSION,
    TOKENS,
    USER,
    Harness,
    Till,
    everywhere,
)

LEASE: Final = 300.0

# What may follow what on a reservation of 30: the step, whether it is a conflict, and (spent, reserved) afterwards.
AFTER: Final = [
    ("held", "settle 10", False, (10, 0)),
    ("held", "settle 40", False, (40, 0)),
    ("held", "release", False, (0, 0)),
    ("held", "lease ends", False, (30, 0)),
    ("settle 10", "settle 10", False, (10, 0)),
    ("settle 10", "settle 11", True, (10, 0)),
    ("settle 10", "settle in full", True, (10, 0)),
    ("settle 10", "release", True, (10, 0)),
    ("settle 10", "lease ends", False, (10, 0)),
    ("release", "release", False, (0, 0)),
    ("release", "settle 10", True, (0, 0)),
    ("release", "lease ends", False, (0, 0)),
    ("lease ends", "settle 10", False, (10, 0)),
    ("lease ends", "settle 40", False, (40, 0)),
    ("lease ends", "settle in full", False, (30, 0)),
    ("lease ends", "release", False, (0, 0)),
    ("lease ends", "lease ends", False, (30, 0)),
]


class Closing(Harness):
    """A reservation is closed once; saying so again changes nothing, saying otherwise is a conflict."""

    @pytest.fixture
    def steps(self, till: Till, clock: FakeClock) -> dict[str, Callable[[], Any]]:
        def lease_ends() -> None:
            clock.advance(LEASE)
            till.expire()

        return {
            "held": lambda: till.reserve("r", *everywhere(30, 100), lease=LEASE),
            "settle 10": lambda: till.settle("r", usd=10),
            "settle 11": lambda: till.settle("r", usd=11),
            "settle 40": lambda: till.settle("r", usd=40),
            "settle in full": lambda: till.settle("r"),
            "release": lambda: till.release("r"),
            "lease ends": lease_ends,
        }

    @pytest.mark.parametrize(("state", "step", "conflict", "after"), AFTER)
    def test_what_may_follow_what(
        self,
        till: Till,
        steps: dict[str, Callable[[], Any]],
        state: str,
        step: str,
        conflict: bool,
        after: tuple[int, int],
    ) -> None:
        """A worker that is late, retries, or is wrong must leave the books as the truth has them."""
        steps["held"]()
        if state != "held":
            steps[state]()
        if conflict:
            with pytest.raises(ReservationConflict):
                steps[step]()
        else:
            steps[step]()
        assert till.balances(*ACCOUNTS) == [after] * 4

    def test_settling_moves_what_was_held_to_what_was_spent(self, till: Till) -> None:
        """The difference is room again for everyone else."""
        till.reserve("r", *everywhere(30, 100))
        assert till.settle("r", usd=12) == Closed("r", {})
        assert till.balances(*ACCOUNTS) == [(12, 0)] * 4

    def test_settling_says_the_same_twice(self, till: Till) -> None:
        """The answer to the first one may have been lost."""
        till.reserve("r", *everywhere(30, 100))
        assert till.settle("r", usd=42) == till.settle("r", usd=42) == Closed("r", {"usd": 12})

    def test_each_unit_settles_at_its_own_figure(self, till: Till) -> None:
        """One call costs dollars, tokens and a call."""
        till.reserve("r", Charge(SESSION, 30), Charge(TOKENS, 500))
        till.settle("r", usd=12, tokens=321)
        assert till.balances(SESSION, TOKENS) == [(12, 0), (321, 0)]

    def test_a_unit_that_is_not_named_settles_at_what_was_held(self, till: Till) -> None:
        """An answer without usage may have cost all of it."""
        till.reserve("r", Charge(SESSION, 30), Charge(TOKENS, 500))
        till.settle("r", tokens=321)
        assert till.balances(SESSION, TOKENS) == [(30, 0), (321, 0)]

    def test_a_unit_that_was_never_reserved_is_not_charged(self, till: Till) -> None:
        """Meters report all they know; accounts decide what counts."""
        till.reserve("r", Charge(SESSION, 30))
        till.settle("r", usd=12, tokens=321)
        assert till.balances(SESSION, TOKENS) == [(12, 0), (0, 0)]

    def test_a_shrunk_grant_settles_at_the_grant(self, till: Till) -> None:
        """What was held was less than what was asked for; so is what an unmeasured answer can have cost."""
        till.reserve("a", Charge(USER, 70, 100))
        till.reserve("b", Charge(USER, 50, 100, at_least=20))
        till.settle("b")
        assert till.balance(USER) == (30, 70)

    def test_a_cost_above_the_reservation_is_charged_in_full_and_reported(self, till: Till) -> None:
        """Money that is spent is spent; the excess is news for whoever set the prices."""
        till.reserve("r", Charge(SESSION, 30), Charge(USER, 30, 30), Charge(TOKENS, 500))
        assert till.settle("r", usd=45, tokens=500) == Closed("r", {"usd": 15})
        assert till.balances(SESSION, USER, TOKENS) == [(45, 0), (45, 0), (500, 0)]

    def test_an_overrun_is_that_of_the_smallest_grant(self, till: Till) -> None:
        """Two accounts of one unit may have granted different amounts; the figure is the worst of them."""
        till.reserve("a", Charge(USER, 80, 100))
        till.reserve("b", Charge(SESSION, 50), Charge(USER, 50, 100, at_least=10))
        assert till.settle("b", usd=60).overrun == {"usd": 40}

    def test_settling_what_nobody_reserved_is_a_conflict(self, till: Till) -> None:
        """There is no account to charge; silence would lose the money."""
        with pytest.raises(ReservationConflict):
            till.settle("never", usd=1)

    def test_releasing_what_nobody_reserved_closes_its_id_for_good(self, till: Till) -> None:
        """The reserve may still be on its way to the store; arriving late, it must not hold what nobody will close."""
        assert till.release("late") == till.release("late") == Closed("late", {})
        with pytest.raises(ReservationConflict):
            till.reserve("late", *everywhere(30, 100))
        with pytest.raises(ReservationConflict):
            till.settle("late", usd=1)
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4

    def test_closing_one_reservation_leaves_the_others_alone(self, till: Till) -> None:
        """Calls of one session run side by side."""
        for id in ("a", "b", "c"):
            till.reserve(id, *everywhere(30, 100))
        till.settle("a", usd=1)
        till.release("b")
        assert till.balances(*ACCOUNTS) == [(1, 30)] * 4

    def test_what_was_given_back_is_room_again(self, till: Till) -> None:
        """The worst case is held for a second; it must not starve the next call."""
        till.reserve("a", Charge(USER, 100, 100))
        till.settle("a", usd=40)
        assert till.reserve("b", Charge(USER, 60, 100)) is not None
        assert till.balance(USER) == (40, 60)
