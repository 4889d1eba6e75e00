"""Amounts: whole numbers from 0 to 2^53-1, exact to the last one; anything else is refused before it is written."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest

from langgraph_guard.errors import InvalidAmount
from langgraph_guard.policies.ledger import MAX_AMOUNT, Charge, Denied, Granted
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    ACCOUNTS,
    EVERYONE,
    SESSION,
    THE_TURN,
    USER,
    Harness,
    Till,
    everywhere,
)

WRONG: Final = [-1, math.nan, math.inf, -math.inf, True, False, "5", 1.5, 2.0, None, 2**53, 10**30]


class Amounts(Harness):
    """One negative or NaN amount would lift every limit; one rounded amount would break the sums."""

    @pytest.mark.parametrize("wrong", WRONG, ids=repr)
    def test_a_wrong_amount_is_refused_and_nothing_written(self, till: Till, wrong: Any) -> None:
        """It stands last, so a store that writes as it reads would have written three accounts."""
        charges = [Charge(account, 5, 100) for account in (SESSION, THE_TURN, USER)]
        with pytest.raises(InvalidAmount):
            till.reserve("r", *charges, Charge(EVERYONE, wrong, 100))
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4
        assert isinstance(till.reserve("r", *everywhere(5, 100)), Granted)

    @pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong is not None], ids=repr)
    def test_a_wrong_least_amount_is_refused(self, till: Till, wrong: Any) -> None:
        """It decides what is granted just as the amount does."""
        with pytest.raises(InvalidAmount):
            till.reserve("r", Charge(SESSION, 5, 100), Charge(USER, 5, 100, at_least=wrong))
        assert till.balances(SESSION, USER) == [(0, 0), (0, 0)]

    @pytest.mark.parametrize("wrong", WRONG, ids=repr)
    def test_a_wrong_cost_is_refused_and_the_reservation_stays(self, till: Till, wrong: Any) -> None:
        """Providers do report nonsense; the caller then settles at the reservation."""
        till.reserve("r", *everywhere(30, 100))
        with pytest.raises(InvalidAmount, match="usd"):
            till.settle("r", usd=wrong)
        assert till.balances(*ACCOUNTS) == [(0, 30)] * 4
        till.settle("r", usd=7)
        assert till.balances(*ACCOUNTS) == [(7, 0)] * 4

    @pytest.mark.parametrize("wrong", WRONG, ids=repr)
    def test_a_wrong_total_is_refused(self, till: Till, wrong: Any) -> None:
        """It comes from checkpointed state, which may be old or edited."""
        till.ensure(SESSION, 5)
        with pytest.raises(InvalidAmount, match="total"):
            till.ensure(SESSION, wrong)
        assert till.balance(SESSION) == (5, 0)

    def test_the_refusal_names_the_kind_and_not_the_content(self, till: Till) -> None:
        """What was passed by mistake may be anything, a prompt included."""
        with pytest.raises(InvalidAmount) as caught:
            till.reserve("r", Charge(USER, "my secret"))  # type: ignore[arg-type]
        assert "str" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_zero_is_an_amount(self, till: Till) -> None:
        """Free models and cached answers cost it."""
        assert till.reserve("r", *everywhere(0, 100)) == Granted("r", (0, 0, 0, 0))
        till.settle("r", usd=0)
        assert till.reserve("s", *everywhere(100, 100)) == Granted("s", (100, 100, 100, 100))

    def test_the_largest_amount_is_exact(self, till: Till) -> None:
        """Stores that count in doubles print it as 9e15, or lose its last digit."""
        assert till.reserve("r", Charge(USER, MAX_AMOUNT, MAX_AMOUNT)) == Granted("r", (MAX_AMOUNT,))
        assert till.balance(USER) == (0, MAX_AMOUNT)
        till.settle("r", usd=MAX_AMOUNT - 1)
        assert till.balance(USER) == (MAX_AMOUNT - 1, 0)

    def test_a_sum_past_the_border_is_denied_and_does_not_wrap(self, till: Till) -> None:
        """2^53 + 1 is 2^53 in a double: one micro-USD at a time, a limit there would never be reached."""
        till.reserve("r", Charge(USER, MAX_AMOUNT, MAX_AMOUNT))
        assert isinstance(till.reserve("s", Charge(USER, 1, MAX_AMOUNT)), Denied)
        assert isinstance(till.reserve("t", Charge(USER, MAX_AMOUNT, MAX_AMOUNT)), Denied)
        till.settle("r")
        assert isinstance(till.reserve("s", Charge(USER, 1, MAX_AMOUNT)), Denied)
        assert isinstance(till.reserve("t", Charge(USER, 0, MAX_AMOUNT)), Granted)
        assert till.balance(USER) == (MAX_AMOUNT, 0)

    def test_what_would_pass_the_border_is_refused_and_nothing_written(self, till: Till) -> None:
        """Where nothing limits it, too: a sum that no store can count exactly is no sum."""
        till.ensure(USER, MAX_AMOUNT - 5)
        for limit in (None, 2 * MAX_AMOUNT):
            with pytest.raises(InvalidAmount, match="2\\^53-1"):
                till.reserve("r", Charge(SESSION, 1, 100), Charge(USER, 6, limit))
            assert till.balances(SESSION, USER) == [(0, 0), (MAX_AMOUNT - 5, 0)]
        assert isinstance(till.reserve("r", Charge(SESSION, 1, 100), Charge(USER, 5)), Granted)

    def test_credit_lifts_no_sum_past_the_border(self, till: Till) -> None:
        """However much is given."""
        till.adjust("a", USER, spent=MAX_AMOUNT - 5, credit=MAX_AMOUNT)
        with pytest.raises(InvalidAmount, match="2\\^53-1"):
            till.reserve("r", Charge(USER, 6, MAX_AMOUNT))
        assert till.balance(USER) == (MAX_AMOUNT - 5, 0)

    @pytest.mark.parametrize("orphan", [False, True], ids=["in time", "late"])
    def test_what_is_settled_beyond_the_border_counts_as_the_border(
        self, till: Till, clock: FakeClock, orphan: bool
    ) -> None:
        """The call was made and must be closed; nothing fits afterwards, and nothing begins at zero again."""
        till.ensure(SESSION, MAX_AMOUNT - 50)
        till.reserve("r", Charge(SESSION, 30), lease=60)
        clock.advance(60 if orphan else 0)
        assert till.settle("r", usd=MAX_AMOUNT).overrun == {"usd": MAX_AMOUNT - 30}
        assert till.balance(SESSION) == (MAX_AMOUNT, 0)
        with pytest.raises(InvalidAmount):
            till.reserve("s", Charge(SESSION, 1))

    @pytest.mark.parametrize("amount", [10**15 - 1, 10**15, 10**15 + 1, 2**52 + 1, 2**53 - 2])
    def test_large_amounts_are_kept_to_the_last_digit(self, till: Till, amount: int) -> None:
        """From 10^15 on some scripts format numbers with an exponent."""
        till.reserve("r", Charge(USER, amount, MAX_AMOUNT))
        assert till.balance(USER) == (0, amount)
        till.settle("r", usd=amount)
        till.ensure(SESSION, amount)
        assert till.balances(USER, SESSION) == [(amount, 0), (amount, 0)]

    def test_small_amounts_add_up_exactly(self, till: Till) -> None:
        """A thousand calls of one micro-USD are a thousand micro-USD."""
        for number in range(1_000):
            till.reserve(f"r{number}", Charge(SESSION, 3))
            till.settle(f"r{number}", usd=1)
        assert till.balance(SESSION) == (1_000, 0)
