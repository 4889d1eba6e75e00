"""What people read: balances and open reservations, all of them, page by page, and nobody else's."""

from __future__ import annotations

import pytest

from langgraph_guard.errors import InvalidAmount
from langgraph_guard.policies.ledger import (
    AccountBalance,
    Balance,
    Charge,
    Command,
    Holds,
    OpenHold,
    Owner,
    Survey,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    ACCOUNTS,
    EVERYONE,
    SESSION,
    TENANT,
    THE_TURN,
    USER,
    Harness,
    Till,
    everywhere,
)


class Pages(Harness):
    """Whoever is asked at 2 a.m. where the money goes can say it."""

    def test_a_survey_has_the_balances_of_the_present_periods(self, till: Till, clock: FakeClock) -> None:
        """Spent, held, given and frozen, as the gate sees them."""
        till.open_turn("t1")
        till.reserve("a", *everywhere(30, 100))
        till.settle("a", usd=12)
        till.open_turn("t2")
        clock.advance(3_600)
        till.reserve("b", *everywhere(5, 100))
        till.adjust("c", USER, credit=50)
        till.freeze(Owner(TENANT, "session", "s1"))
        found = till.survey()
        assert found == {account: till.told(account) for account in ACCOUNTS}
        assert [found[account][:2] for account in ACCOUNTS] == [(12, 5), (0, 5), (12, 5), (0, 5)]
        assert (found[USER].credit, found[SESSION].frozen, found[THE_TURN].frozen) == (50, True, True)

    def test_a_survey_is_a_tenants_own_and_everyones(self, till: Till) -> None:
        """Two tenants of one store may have users of the same name, and one of them no name at all."""
        theirs = [USER._replace(tenant=tenant) for tenant in ("other", "", f"{TENANT}2", f'{TENANT}"')]
        for number, account in enumerate([USER, EVERYONE, *theirs]):
            till.reserve(f"r{number}", Charge(account, 1 + number))
        assert till.survey(TENANT) == {USER: till.told(USER), EVERYONE: till.told(EVERYONE)}
        assert till.survey("") == {theirs[1]: till.told(theirs[1]), EVERYONE: till.told(EVERYONE)}

    @pytest.mark.parametrize("count", [1, 7, 500])
    def test_pages_of_any_size_have_each_account_once(self, till: Till, count: int) -> None:
        """However many there are: a page is what fits a screen."""
        accounts = [USER._replace(id=f"user {number}") for number in range(20)]
        till.reserve("r", *(Charge(account, 1 + number) for number, account in enumerate(accounts)))
        pages = till.pages(Survey(TENANT, count=count))
        items = [item for page in pages for item in page]
        assert all(len(page) <= count for page in pages)
        assert len(items) == 20
        assert dict(items) == {account: till.told(account) for account in accounts}

    def test_holds_are_what_is_open_in_the_order_of_their_ends(self, till: Till, clock: FakeClock) -> None:
        """Who holds what, and until when."""
        now = clock.now()
        charge = Charge(USER, 30, 100, at_least=10)
        till.reserve("late", Charge(USER, 80, 100), lease=90)
        till.reserve("soon", charge, Charge(EVERYONE, 5), lease=30)
        for id in ("settled", "released"):
            till.reserve(id, Charge(SESSION, 1), lease=10)
        till.settle("settled")
        till.release("released")
        till.release("never there")
        assert till.holds() == [
            OpenHold("soon", (charge, Charge(EVERYONE, 5)), (20, 5), now + 30, False),
            OpenHold("late", (Charge(USER, 80, 100),), (80,), now + 90, False),
        ]

    def test_holds_are_a_tenants_own(self, till: Till) -> None:
        """That a call is charged to everyone's account as well shows it to nobody else."""
        for tenant in (TENANT, "other", ""):
            till.reserve(f"by {tenant}", Charge(USER._replace(tenant=tenant), 1), Charge(EVERYONE, 1))
        found = {tenant: [hold.id for hold in till.holds(tenant)] for tenant in (TENANT, "other", "", "nobody")}
        assert found == {TENANT: [f"by {TENANT}"], "other": ["by other"], "": ["by "], "nobody": []}

    def test_an_orphan_says_that_it_is_one_or_is_gone(self, till: Till, clock: FakeClock) -> None:
        """What is past its lease is charged with the next command of anybody, which may have been a while ago."""
        till.reserve("orphan", Charge(USER, 1), lease=30)
        till.reserve("open", Charge(USER, 1), lease=90)
        clock.advance(30)
        assert {hold.id: hold.orphan for hold in till.holds()} in ({"open": False}, {"orphan": True, "open": False})

    @pytest.mark.parametrize("count", [1, 7, 500])
    def test_pages_of_any_size_have_each_hold_once(self, till: Till, count: int) -> None:
        """Those that end at the same moment, too."""
        for number in range(20):
            till.reserve(f"r{number}", Charge(USER, 1), lease=30 + number // 6)
        pages = till.pages(Holds(TENANT, count=count))
        items = [item for page in pages for item in page]
        assert all(len(page) <= count for page in pages)
        assert sorted(item.id for item in items) == sorted(f"r{number}" for number in range(20))
        assert [item.deadline for item in items] == sorted(item.deadline for item in items)

    def test_an_empty_ledger_has_empty_pages(self, till: Till) -> None:
        """Nobody has called yet."""
        assert (till.survey(), till.holds(), till.audit()) == ({}, [], ())

    @pytest.mark.parametrize("count", [0, -1, 1.5, True, None, 10_001], ids=repr)
    @pytest.mark.parametrize("kind", [Survey, Holds])
    def test_a_page_has_a_size(self, till: Till, kind: type[Command], count: object) -> None:
        """One of none would never end, and one of all would hold up the store."""
        with pytest.raises(InvalidAmount, match="count"):
            till.send([kind(TENANT, count=count)])  # type: ignore[call-arg, arg-type]

    def test_a_survey_tells_of_what_somebody_gave_before_anything_was_spent(self, till: Till) -> None:
        """An account begins with the first thing that happens to it."""
        till.adjust("a", USER, credit=5)
        assert till.survey() == {USER: Balance(0, 0, till.told(USER).period, 5)}
        assert AccountBalance(USER, till.told(USER)) in till.pages(Survey(TENANT))[0]
