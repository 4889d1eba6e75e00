"""Reserving: on every account or on none, once per id."""

from __future__ import annotations

import pytest

from langgraph_guard.backends.protocols import Backend, BudgetLedger
from langgraph_guard.errors import InvalidAmount, ReservationConflict
from langgraph_guard.policies.ledger import Balance, Charge, Denied, Granted, Read, Reserve, Settle, Wait
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import (
    ACCOUNTS,
    EVERYONE,
    SESSION,
    TENANT,
    THE_TURN,
    TOKENS,
    USER,
    Harness,
    Till,
    driven,
    everywhere,
)


class Reserving(Harness):
    """A reservation is whole, idempotent, and never more than the room."""

    def test_the_backend_is_one(self, clock: FakeClock) -> None:
        """Guards check this when they are built, and charge to the tenant that the backend names."""
        backend = self.make_backend(clock, TENANT)
        assert isinstance(backend, Backend)
        assert isinstance(backend.ledger, BudgetLedger)
        assert (backend.tenant, backend.clock.now()) == (TENANT, clock.now())

    def test_an_account_starts_at_zero(self, till: Till) -> None:
        """Nobody creates accounts; the first call of a new user must just work."""
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4

    def test_a_reservation_holds_on_every_account(self, till: Till) -> None:
        """A call concerns its session, its user and everyone at once."""
        assert till.reserve("r", *everywhere(30, 100)) == Granted("r", (30, 30, 30, 30))
        assert till.balances(*ACCOUNTS) == [(0, 30)] * 4

    @pytest.mark.parametrize("full", ACCOUNTS, ids=lambda account: f"{account.scope}-{account.window}")
    def test_a_denial_on_one_account_leaves_the_others_unchanged(self, till: Till, full: object) -> None:
        """Half a reservation would take room from a user for a call that was never made."""
        charges = [Charge(account, 30, 29 if account == full else 100) for account in ACCOUNTS]

        reply = till.reserve("r", *charges)

        assert isinstance(reply, Denied)
        assert (reply.charge.account, reply.balance[:2]) == (full, (0, 0))
        assert till.balances(*ACCOUNTS) == [(0, 0)] * 4

    def test_a_denial_leaves_its_id_free(self, till: Till) -> None:
        """A caller that queues for room asks again under the same id."""
        assert isinstance(till.reserve("r", Charge(USER, 30, 29)), Denied)
        assert isinstance(till.reserve("r", Charge(USER, 30, 30)), Granted)

    def test_a_denial_names_the_limit_that_waiting_helps_least(self, till: Till) -> None:
        """Whoever waits for the hour only to be refused by the day has waited for nothing."""
        hour, day, ever = Charge(EVERYONE, 9, 5), Charge(USER, 9, 5), Charge(SESSION, 9, 5)
        for charges, firmest in (((hour, day), day), ((day, hour), day), ((hour, ever, day), ever)):
            reply = till.reserve("r", *charges)
            assert isinstance(reply, Denied)
            assert reply.charge == firmest

    def test_what_is_held_counts_against_the_limit(self, till: Till) -> None:
        """Forty workers that only look at what is spent would all spend the same last cent."""
        till.reserve("a", Charge(USER, 70, 100))
        reply = till.reserve("b", Charge(USER, 31, 100))
        assert isinstance(reply, Denied)
        assert reply.balance[:2] == (0, 70)
        assert isinstance(till.reserve("c", Charge(USER, 30, 100)), Granted)

    def test_at_least_grants_what_is_left(self, till: Till) -> None:
        """A shorter answer within the budget is worth more than a refusal."""
        till.reserve("a", Charge(USER, 70, 100))
        assert till.reserve("b", Charge(USER, 50, 100, at_least=20), Charge(SESSION, 50)) == Granted("b", (30, 50))
        assert till.balances(USER, SESSION) == [(0, 100), (0, 50)]

    def test_less_than_at_least_is_a_denial(self, till: Till) -> None:
        """An answer of three tokens costs money and helps nobody."""
        till.reserve("a", Charge(USER, 81, 100))
        assert isinstance(till.reserve("b", Charge(USER, 50, 100, at_least=20)), Denied)
        assert till.balance(USER) == (0, 81)

    def test_an_account_without_a_limit_only_counts(self, till: Till) -> None:
        """Reports need figures of sessions that nobody limited."""
        assert till.reserve("a", Charge(SESSION, 10**12)) == Granted("a", (10**12,))
        assert till.balance(SESSION) == (0, 10**12)

    def test_the_same_reservation_again_is_the_same_reservation(self, till: Till) -> None:
        """A caller that lost the answer sends it again; that must not hold twice."""
        first = till.reserve("r", *everywhere(30, 100))
        assert [till.reserve("r", *everywhere(30, 100)) for _ in range(3)] == [first] * 3
        assert till.balances(*ACCOUNTS) == [(0, 30)] * 4

    def test_a_repeated_grant_says_the_same_amounts_whatever_happened_since(self, till: Till) -> None:
        """The cap that the provider was sent follows from the grant; a second answer may not move it."""
        till.reserve("a", Charge(USER, 70, 100))
        first = till.reserve("b", Charge(USER, 50, 100, at_least=20))
        till.release("a")
        assert till.reserve("b", Charge(USER, 50, 100, at_least=20)) == first
        till.settle("b", usd=5)
        assert till.reserve("b", Charge(USER, 50, 100, at_least=20)) == first
        assert till.balance(USER) == (5, 0)

    def test_a_repeated_reservation_may_carry_another_limit(self, till: Till) -> None:
        """A limit that an operator changes between two attempts is no other call."""
        first = till.reserve("r", Charge(USER, 30, 100))
        assert till.reserve("r", Charge(USER, 30, 10)) == first

    @pytest.mark.parametrize(
        "other",
        [
            (Charge(USER, 31, 100),),
            (Charge(USER, 30, 100, at_least=1),),
            (Charge(USER._replace(id="43"), 30, 100),),
            (Charge(USER._replace(unit="tokens"), 30, 100),),
            (Charge(USER, 30, 100), Charge(SESSION, 30)),
            (),
        ],
        ids=["amount", "at_least", "account", "unit", "more", "nothing"],
    )
    def test_an_id_used_for_something_else_is_a_conflict(self, till: Till, other: tuple[Charge, ...]) -> None:
        """Ids that collide would let one call ride on the reservation of another."""
        till.reserve("r", Charge(USER, 30, 100))
        with pytest.raises(ReservationConflict):
            till.reserve("r", *other)
        assert till.balances(USER, SESSION, USER._replace(id="43")) == [(0, 30), (0, 0), (0, 0)]

    def test_reserving_nothing_is_fine(self, till: Till) -> None:
        """A budget without ledger limits makes the same calls."""
        assert till.reserve("r") == Granted("r", ())
        assert till.settle("r", usd=3).overrun == {}

    def test_commands_of_a_batch_run_in_order_and_are_answered_in_order(self, till: Till) -> None:
        """The gate opens its turn, raises accounts and reads them in one trip."""
        replies = till.send(
            [Reserve("r", (Charge(SESSION, 9),)), Read((SESSION,)), Settle("r", {"usd": 4}), Read((SESSION, TOKENS))]
        )
        assert replies[0] == Granted("r", (9,))
        assert replies[1] == (Balance(0, 9),)
        assert replies[3] == (Balance(4, 0), Balance(0, 0))

    def test_an_empty_batch_has_no_replies(self, till: Till) -> None:
        """A flow may have nothing to ask."""
        assert till.send([]) == []

    def test_waiting_moves_the_clock(self, till: Till, clock: FakeClock) -> None:
        """Rate limiters queue through the ledger, so that a test's clock decides how long that takes."""
        began = clock.now()
        assert till.send([Wait(2.5), Read((SESSION,))])[0] is None
        assert (clock.now(), clock.slept) == (began + 2.5, [2.5])

    def test_a_limit_below_what_is_spent_denies(self, till: Till) -> None:
        """An operator who lowers a limit means it at once."""
        till.reserve("a", Charge(USER, 60, 100))
        till.settle("a")
        assert isinstance(till.reserve("b", Charge(USER, 1, 50)), Denied)
        assert isinstance(till.reserve("c", Charge(USER, 0, 50)), Denied)

    def test_a_raised_limit_allows_and_a_removed_one_too(self, till: Till) -> None:
        """The ledger holds figures, not limits: a deploy changes them without a migration."""
        till.reserve("a", Charge(USER, 60, 60))
        till.settle("a")
        assert isinstance(till.reserve("b", Charge(USER, 1, 60)), Denied)
        assert isinstance(till.reserve("b", Charge(USER, 1, 61)), Granted)
        assert isinstance(till.reserve("c", Charge(USER, 500)), Granted)

    def test_both_ways_share_one_ledger(self, ledger: BudgetLedger) -> None:
        """A process may serve `invoke` and `ainvoke` from the same backend."""
        with driven(ledger, "execute") as blocking, driven(ledger, "aexecute") as looping:
            blocking.reserve("r", *everywhere(30, 100))
            assert looping.balances(*ACCOUNTS) == [(0, 30)] * 4
            looping.settle("r", usd=7)
            assert blocking.balances(*ACCOUNTS) == [(7, 0)] * 4

    def test_one_call_may_not_charge_an_account_twice(self, till: Till) -> None:
        """Both charges would be checked against the same room and the limit passed."""
        with pytest.raises(InvalidAmount, match="usd per user"):
            till.reserve("r", Charge(USER, 60, 100), Charge(USER, 60, 100))
        assert till.balance(USER) == (0, 0)

    def test_grants_follow_the_charges_and_balances_the_accounts(self, till: Till) -> None:
        """Callers match replies to what they asked by position."""
        reply = till.reserve("r", Charge(USER, 1, 9), Charge(SESSION, 2, 9), Charge(TOKENS, 3, 9))
        assert reply == Granted("r", (1, 2, 3))
        assert till.balances(TOKENS, SESSION, USER) == [(0, 3), (0, 2), (0, 1)]

    def test_turns_and_sessions_are_counted_apart(self, till: Till) -> None:
        """One session account starts over with each turn, the other never does."""
        till.reserve("r", Charge(SESSION, 5), Charge(THE_TURN, 7))
        assert till.balances(SESSION, THE_TURN) == [(0, 5), (0, 7)]
