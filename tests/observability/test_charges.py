"""Charges and calls find each other by themselves, in whichever order they are told, and nothing is kept for ever."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from langgraph_guard.observability.charges import Charge, Charges

RUN, ROOT = uuid.uuid4(), uuid.uuid4()
PAID = Charge(7, 12, told=True)


def reserve(charges: Charges, reservation: str, call: str) -> None:
    """What a meter says before a call."""
    charges.say("budget.reserved", {"reservation": reservation, "call": call, "usd": 9, "tokens": 90})


def settle(charges: Charges, reservation: str, usd: int | None = 7, tokens: int | None = 12) -> Any:
    """What a meter says after it, and what it is handed back."""
    return charges.say("budget.settled", {"reservation": reservation, "usd": usd, "tokens": tokens})


def test_a_charge_comes_before_the_end_or_after_it() -> None:
    """A callback that meters is told of an end before us, or after us."""
    told: list[Charge | None] = []
    for settles_first in (True, False):
        charges = Charges()
        charges.began(RUN, RUN, None, ROOT)
        reserve(charges, "r", RUN.hex)
        steps = [lambda at=charges: settle(at, "r"), lambda at=charges: at.ended(RUN, told.append)]
        for step in steps if settles_first else steps[::-1]:
            step()
    assert told == [PAID, PAID]


def test_a_call_that_nobody_meters_is_left_to_the_price_list() -> None:
    """And is forgotten."""
    charges = Charges()
    charges.began(RUN, RUN, None, ROOT)
    assert not charges.ended(RUN, lambda _: None)
    assert kept(charges) == 0


def test_two_budgets_on_a_call_are_one_charge() -> None:
    """The second is the same money, and no tool's either."""
    charges, told = Charges(), []
    reserve(charges, "outer", "outer")
    reserve(charges, "inner", "outer")
    charges.began(RUN, RUN, ["outer", "inner"], ROOT)
    charges.ended(RUN, told.append)
    handed_back = [settle(charges, "inner"), settle(charges, "outer", usd=70)]
    assert (told, handed_back, kept(charges)) == ([PAID], [None, None], 0)


def test_a_call_within_a_call_has_no_charge_of_its_own() -> None:
    """It carries the same reservation: the money is the outer one's."""
    charges, told = Charges(), []
    inner = uuid.uuid4()
    reserve(charges, "r", "r")
    for run in (RUN, inner):
        charges.began(run, run, ["r"], ROOT)
    charges.ended(inner, told.append)
    charges.ended(RUN, told.append)
    settle(charges, "r")
    assert (told, kept(charges)) == ([None, PAID], 0)


def test_what_a_settlement_does_not_name_was_held() -> None:
    """Nobody knows what an answer without figures cost: the ledger charges the reservation."""
    charges, told = Charges(), []
    charges.began(RUN, RUN, None, ROOT)
    reserve(charges, "r", RUN.hex)
    settle(charges, "r", usd=None, tokens=None)
    charges.ended(RUN, told.append)
    assert told == [Charge(9, 90, told=False)]


def test_a_charge_of_no_call_is_handed_back() -> None:
    """A tool that costs money."""
    charges = Charges()
    reserve(charges, "r", "")
    found = settle(charges, "r")
    assert (found.charge, found.root, kept(charges)) == (PAID, None, 0)


def test_a_charge_that_comes_too_late_is_handed_back_with_its_run() -> None:
    """The record of the call is written; the sum of the run must be right all the same."""
    charges, told = Charges(), []
    charges.began(RUN, RUN, None, ROOT)
    reserve(charges, "r", RUN.hex)
    charges.ended(RUN, told.append)
    charges.close_within(lambda _: True)
    charges.forget(ROOT)
    found = settle(charges, "r")
    assert (told, found.charge, found.root, kept(charges)) == ([None], PAID, ROOT, 0)


@pytest.mark.parametrize("first", ["given up", "taken up"])
def test_a_call_that_another_run_took_up_is_that_runs(first: str) -> None:
    """It was given up in one: whichever ends first, that neither fails nor takes the charge from the other."""
    charges, told = Charges(), []
    again, other = uuid.uuid4(), uuid.uuid4()
    reserve(charges, "r", "r")
    charges.began(RUN, RUN, ["r"], ROOT)
    charges.left(RUN)
    charges.began(again, again, ["r"], other)
    settle(charges, "r")
    ends = [lambda: charges.forget(ROOT), lambda: charges.ended(again, told.append)]
    for end in ends if first == "given up" else ends[::-1]:
        end()
    assert (told, kept(charges)) == ([PAID], 0)


def test_calls_whose_end_nobody_tells_are_bounded() -> None:
    """The oldest ends without a figure."""
    charges, told = Charges(most=2), []
    for n in range(5):
        run = uuid.uuid4()
        reserve(charges, str(n), run.hex)
        charges.began(run, run, None, run)
        charges.ended(run, told.append)
    assert (told, len(charges._calls), len(charges._of_reservation)) == ([None] * 3, 2, 2)


def kept(charges: Charges) -> int:
    """How much is remembered."""
    return sum(len(held) for held in vars(charges).values() if isinstance(held, dict))
