"""By hand: what people correct, give, freeze and thaw, what that changes, and what is written down about it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from langgraph_guard.errors import ConfigError, InvalidAmount, ReservationConflict
from langgraph_guard.policies.ledger import (
    MAX_AMOUNT,
    Adjust,
    Balance,
    Charge,
    Deed,
    Denied,
    Freeze,
    Granted,
    Owner,
    Thaw,
    owner_of,
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

THEY: Final = owner_of(USER)

# What is set to work on 60 spent and 0 of credit, and what comes of it: spent, credit.
ADJUSTED: Final = [
    ({"spent": 7}, (67, 0)),
    ({"spent": -7}, (53, 0)),
    ({"spent": -100}, (0, 0)),
    ({"spent": MAX_AMOUNT}, (MAX_AMOUNT, 0)),
    ({"credit": 40}, (60, 40)),
    ({"credit": -40}, (60, 0)),
    ({"credit": MAX_AMOUNT}, (60, MAX_AMOUNT)),
    ({"spent": -60, "credit": 5}, (0, 5)),
    ({}, (60, 0)),
]

WRONG_NOTES: Final[list[tuple[str, dict[str, Any]]]] = [
    ("by", {"by": ""}),
    ("by", {"by": None}),
    ("by", {"by": 7}),
    ("by", {"by": "x" * 201}),
    ("reason", {"by": "ada", "reason": None}),
    ("reason", {"by": "ada", "reason": "x" * 1_001}),
]


class ByHand(Harness):
    """Somebody answers for each correction; none is lost, made twice, or made in secret."""

    # Figures

    @pytest.mark.parametrize(
        ("change", "after"), ADJUSTED, ids=lambda each: str(each) if isinstance(each, dict) else ""
    )
    def test_an_adjustment_adds_and_stays_within_what_can_be_counted(
        self, till: Till, change: dict[str, Any], after: tuple[int, int]
    ) -> None:
        """An invoice says otherwise, a customer is given more, a mistake is taken back."""
        till.reserve("r", Charge(USER, 60))
        till.settle("r")
        told = till.adjust("a", USER, **change)
        assert (told.spent, told.credit) == after
        assert till.told(USER) == told

    def test_what_is_held_stays_held(self, till: Till) -> None:
        """Calls under way know nothing of it, and settle on top."""
        till.reserve("r", Charge(USER, 30, 100))
        assert till.adjust("a", USER, spent=40)[:2] == (40, 30)
        till.settle("r", usd=5)
        assert till.balance(USER) == (45, 0)

    def test_credit_is_room_beyond_the_limit(self, till: Till) -> None:
        """The limit stands in the program; whoever is on duty gives more without a deploy."""
        till.adjust("a", USER, credit=50)
        assert isinstance(till.reserve("r", Charge(USER, 151, 100)), Denied)
        assert till.reserve("r", Charge(USER, 170, 100, at_least=10)) == Granted("r", (150,))
        till.settle("r", usd=120)
        assert till.told(USER)[:2] == (120, 0)
        assert isinstance(till.reserve("s", Charge(USER, 31, 100)), Denied)
        assert isinstance(till.reserve("s", Charge(USER, 30, 100)), Granted)

    def test_a_denial_tells_of_the_credit(self, till: Till) -> None:
        """Else it would say that 120 of 100 are spent."""
        till.adjust("a", USER, spent=120, credit=50)
        denied = till.reserve("r", Charge(USER, 31, 100))
        assert isinstance(denied, Denied)
        assert denied.balance == till.told(USER)
        assert (denied.balance.spent, denied.balance.credit) == (120, 50)

    def test_credit_survives_what_calls_do_to_the_account(self, till: Till, clock: FakeClock) -> None:
        """Each reservation, settlement, release, orphan and re-seeding writes the same balance."""
        till.adjust("a", SESSION, credit=50)
        till.reserve("r", Charge(SESSION, 10, 100))
        till.settle("r", usd=4)
        till.reserve("s", Charge(SESSION, 10, 100))
        till.release("s")
        till.reserve("t", Charge(SESSION, 10, 100), lease=60)
        clock.advance(60)
        till.expire()
        till.settle("t", usd=6)
        till.ensure(SESSION, 12)
        assert till.told(SESSION) == Balance(12, 0, till.told(SESSION).period, 50)

    def test_credit_ends_with_its_period(self, till: Till, clock: FakeClock) -> None:
        """What was given for today is not given every day."""
        till.adjust("a", USER, credit=50)
        clock.advance(86_400)
        assert till.told(USER)[3] == 0
        assert isinstance(till.reserve("r", Charge(USER, 101, 100)), Denied)

    def test_an_adjustment_of_a_turn_is_of_the_open_one_or_of_the_named_one(self, till: Till) -> None:
        """Whoever looks at a thread means the turn that it is in."""
        till.open_turn("t1")
        till.adjust("a", THE_TURN, credit=5)
        till.adjust("b", THE_TURN, turn="t2", credit=7)
        seen = [till.told(THE_TURN).credit]
        till.open_turn("t2")
        assert [*seen, till.told(THE_TURN).credit] == [5, 7]

    def test_the_same_adjustment_again_is_the_same_adjustment(self, till: Till) -> None:
        """The answer to the first one may have been lost; a customer is not given the money twice."""
        first = till.adjust("a", USER, spent=10, credit=50)
        till.reserve("r", Charge(USER, 5))
        again = till.adjust("a", USER, spent=10, credit=50)
        assert (first[:2], again[:2], again.credit) == ((10, 0), (10, 5), 50)
        assert len(till.audit()) == 1

    @pytest.mark.parametrize("other", [{"spent": 11}, {"spent": 10, "credit": 1}, {}], ids=str)
    def test_an_id_that_made_another_adjustment_is_a_conflict(self, till: Till, other: dict[str, Any]) -> None:
        """Two operators whose tools count alike must not believe that both were heard."""
        till.adjust("a", USER, spent=10)
        with pytest.raises(ReservationConflict):
            till.adjust("a", USER, **other)
        with pytest.raises(ReservationConflict):
            till.adjust("a", SESSION, spent=10)
        assert till.balances(USER, SESSION) == [(10, 0), (0, 0)]

    @pytest.mark.parametrize("field", ["spent", "credit"])
    @pytest.mark.parametrize("wrong", [1.5, True, None, "5", float("nan"), 2**53, -(2**53)], ids=repr)
    def test_a_wrong_figure_is_refused(self, till: Till, field: str, wrong: Any) -> None:
        """What comes from a command line may be anything."""
        with pytest.raises(InvalidAmount, match=field):
            till.adjust("a", USER, **{field: wrong})
        assert (till.told(USER)[:2], till.told(USER).credit, till.audit()) == ((0, 0), 0, ())

    # Frozen

    def test_a_frozen_owner_is_refused_on_every_account(self, till: Till) -> None:
        """With room, without a limit, for nothing at all: somebody said stop."""
        till.freeze(THEY)
        for charge in (Charge(USER, 1, 100), Charge(USER, 1), Charge(USER._replace(unit="tokens"), 0, 5)):
            denied = till.reserve("r", Charge(SESSION, 1, 100), charge)
            assert isinstance(denied, Denied)
            assert (denied.charge, denied.balance.frozen, denied.retry_after) == (charge, True, None)
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4

    def test_being_frozen_shows_in_every_balance_of_the_owner_and_in_no_others(self, till: Till) -> None:
        """The gate ends the run before it asks."""
        till.freeze(THEY)
        assert [till.told(account).frozen for account in (*ACCOUNTS, USER._replace(unit="tokens"))] == [
            account == USER for account in (*ACCOUNTS, USER)
        ]
        assert till.adjust("a", USER, spent=1).frozen

    def test_a_thawed_owner_goes_on(self, till: Till) -> None:
        """As if nothing had been."""
        till.freeze(THEY)
        till.thaw(THEY)
        assert isinstance(till.reserve("r", *everywhere(30, 100)), Granted)
        assert not till.told(USER).frozen

    def test_calls_under_way_are_closed_as_ever(self, till: Till, clock: FakeClock) -> None:
        """Their money is spent, whoever stops the next ones."""
        for id in ("a", "b", "c"):
            till.reserve(id, *everywhere(30, 100), lease=60)
        till.freeze(THEY)
        assert isinstance(till.reserve("a", *everywhere(30, 100)), Granted)
        till.settle("a", usd=12)
        till.release("b")
        clock.advance(60)
        till.expire()
        assert till.balances(*ACCOUNTS) == [(42, 0)] * 4

    def test_everyone_can_be_frozen_at_once(self, till: Till) -> None:
        """At 2 a.m. nobody looks for the tenant first."""
        till.freeze(owner_of(EVERYONE))
        denied = till.reserve("r", *everywhere(1, 100))
        assert isinstance(denied, Denied)
        assert denied.charge.account == EVERYONE

    def test_owners_of_like_names_are_not_frozen_together(self, till: Till) -> None:
        """Tenant, scope and id are three names."""
        till.freeze(Owner("a", "user:b", "c"))
        till.freeze(Owner("turn", "s1", ""))
        for tenant, scope, id in (
            ("a:user", "b", "c"),
            ("a", "user", "b:c"),
            ("a", "user:b", ""),
            ("", "a", "user:b:c"),
        ):
            account = USER._replace(tenant=tenant, scope=scope, id=id)
            assert isinstance(till.reserve(f"{tenant}-{scope}", Charge(account, 1, 5)), Granted)

    # The record

    def test_each_deed_is_written_down(self, till: Till, clock: FakeClock) -> None:
        """Who, what, to whom, why and when."""
        began = clock.now()
        till.adjust("a", USER, by="ada", reason="an invoice", spent=-5, credit=7)
        clock.advance(1)
        till.send([Freeze(THEY, "ben", "abuse")])
        clock.advance(1)
        till.send([Thaw(THEY, "ada")])
        assert till.audit() == (
            Deed(began, "adjust", THEY, "ada", "an invoice", "usd", "day", -5, 7),
            Deed(began + 1, "freeze", THEY, "ben", "abuse"),
            Deed(began + 2, "thaw", THEY, "ada", ""),
        )

    def test_what_changed_nothing_is_no_deed(self, till: Till) -> None:
        """Freezing twice is a retry, and thawing what is not frozen a precaution."""
        till.thaw(THEY)
        till.freeze(THEY)
        till.freeze(THEY)
        assert [deed.action for deed in till.audit()] == ["freeze"]

    def test_a_tenant_reads_its_own_deeds_and_everyones(self, till: Till, clock: FakeClock) -> None:
        """Why everybody is refused concerns each of them; why a neighbour is, does not."""
        for number, owner in enumerate(
            (THEY, owner_of(EVERYONE), Owner("other", "user", "42"), Owner("", "user", "42"))
        ):
            till.freeze(owner, by=f"person {number}")
            clock.advance(1)
        read = {tenant: [deed.by for deed in till.audit(tenant)] for tenant in (TENANT, "other", "", "nobody")}
        assert read == {
            TENANT: ["person 0", "person 1"],
            "other": ["person 1", "person 2"],
            "": ["person 1", "person 3"],
            "nobody": ["person 1"],
        }

    def test_the_record_keeps_the_newest_thousand(self, till: Till, clock: FakeClock) -> None:
        """A script that runs wild must not fill the store."""
        for number in range(1_010):
            till.adjust(f"a{number}", USER, spent=1, reason=str(number))
            clock.advance(0.001)
        assert [deed.reason for deed in till.audit()] == [str(number) for number in range(10, 1_010)]

    @pytest.mark.parametrize(
        ("field", "note"), WRONG_NOTES, ids=[f"{f} {number}" for number, (f, _) in enumerate(WRONG_NOTES)]
    )
    def test_a_deed_has_somebody_who_answers_for_it(self, till: Till, field: str, note: dict[str, Any]) -> None:
        """And neither name nor reason fills the store."""
        for deed in (Adjust("a", USER, spent=5, **note), Freeze(THEY, **note), Thaw(THEY, **note)):
            with pytest.raises(ConfigError, match=field):
                till.send([deed])
        assert (till.told(USER)[:2], till.told(USER).frozen, till.audit()) == ((0, 0), False, ())

    def test_notes_may_have_any_characters(self, till: Till) -> None:
        """People write in their own words."""
        reason = "“größer” 日本 🦜 \0 \n {g} \\ '; --"
        till.adjust("a", USER, by="zoë\u202e", reason=reason, credit=1)
        (deed,) = till.audit()
        assert (deed.by, deed.reason) == ("zoë\u202e", reason)
