"""Turns: an account that starts over with each message, and figures that only ever rise."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.ledger import Account, Charge, Denied, Granted, Read
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import SESSION, TENANT, THE_TURN, USER, Harness, Till


class Turns(Harness):
    """What a turn has used survives interrupts, retries and other workers, because it does not live in the run."""

    def test_a_call_is_charged_to_the_open_turn(self, till: Till) -> None:
        """Meters deep inside a tool know the session, not the message that opened its turn."""
        till.open_turn("t1")
        reply = till.reserve("r", Charge(THE_TURN, 30, 100))
        assert reply == Granted("r", (30,), "t1")
        assert till.balance(THE_TURN) == (0, 30)

    def test_a_new_turn_starts_over_and_the_session_does_not(self, till: Till) -> None:
        """Each message has a fresh allowance; the thread has one."""
        till.open_turn("t1", 1)
        till.reserve("a", Charge(THE_TURN, 90, 100), Charge(SESSION, 90, 1_000))
        till.settle("a")
        till.open_turn("t2", 2)
        assert till.balances(THE_TURN, SESSION) == [(0, 0), (90, 0)]
        assert till.reserve("b", Charge(THE_TURN, 90, 100)) == Granted("b", (90,), "t2")

    def test_a_turn_that_is_opened_again_has_what_it_had(self, till: Till) -> None:
        """Time travel goes back to a turn; its money stays spent."""
        till.open_turn("t1")
        till.reserve("a", Charge(THE_TURN, 90, 100))
        till.settle("a")
        till.open_turn("t2")
        till.open_turn("t1")
        assert till.balance(THE_TURN) == (90, 0)
        assert isinstance(till.reserve("b", Charge(THE_TURN, 11, 100)), Denied)

    def test_opening_the_open_turn_changes_nothing(self, till: Till) -> None:
        """The gate does so at every visit."""
        till.open_turn("t1")
        till.reserve("a", Charge(THE_TURN, 90, 100))
        till.open_turn("t1")
        assert till.balance(THE_TURN) == (0, 90)

    def test_a_call_that_names_its_turn_is_charged_there(self, till: Till) -> None:
        """A branch that still runs when the next message arrives spends its own turn's money."""
        till.open_turn("t1")
        till.open_turn("t2")
        assert till.reserve("r", Charge(THE_TURN, 30, 100), turn="t1") == Granted("r", (30,), "t1")
        assert till.balance(THE_TURN) == (0, 0)
        till.open_turn("t1")
        assert till.balance(THE_TURN) == (0, 30)

    def test_a_read_that_names_its_turn_is_of_that_turn(self, till: Till) -> None:
        """Two runs at once on one thread: the gate of each sees its own turn's money, whoever opened one last."""
        till.open_turn("t1")
        till.reserve("a", Charge(THE_TURN, 30, 100), Charge(SESSION, 30))
        till.open_turn("t2")
        replies = till.send([Read((THE_TURN, SESSION), turn=turn) for turn in ("t1", "t2", None)])
        assert [[balance.reserved for balance in reply] for reply in replies] == [[30, 30], [0, 30], [0, 30]]  # type: ignore[union-attr]

    def test_a_call_is_settled_in_the_turn_that_it_began_in(self, till: Till) -> None:
        """As a day, so a turn."""
        till.open_turn("t1")
        till.reserve("r", Charge(THE_TURN, 30, 100))
        till.open_turn("t2")
        till.settle("r", usd=12)
        assert till.balance(THE_TURN) == (0, 0)
        till.open_turn("t1")
        assert till.balance(THE_TURN) == (12, 0)

    def test_a_denial_names_the_turn_it_happened_in(self, till: Till) -> None:
        """The verdict is written to the graph's state, which must know whether it is still news."""
        till.open_turn("t7", 7)
        reply = till.reserve("r", Charge(THE_TURN, 101, 100))
        assert isinstance(reply, Denied)
        assert (reply.turn, reply.turn_seq, reply.retry_after) == ("t7", 7, None)

    def test_sessions_have_their_own_turns(self, till: Till) -> None:
        """A message in one thread opens nothing in another."""
        other = THE_TURN._replace(id="s2")
        till.open_turn("t1", session="s1")
        till.open_turn("t1", session="s2")
        till.reserve("a", Charge(THE_TURN, 30, 100))
        till.open_turn("t2", session="s2")
        assert till.balances(THE_TURN, other) == [(0, 30), (0, 0)]

    def test_units_of_a_turn_are_counted_apart(self, till: Till) -> None:
        """Dollars and calls start over together and are otherwise strangers."""
        calls = THE_TURN._replace(unit="model_calls")
        till.open_turn("t1")
        till.reserve("a", Charge(THE_TURN, 30, 100), Charge(calls, 1, 5))
        assert till.balances(THE_TURN, calls) == [(0, 30), (0, 1)]

    # Re-seeding

    @pytest.mark.parametrize("account", [SESSION, USER], ids=["for good", "per day"])
    def test_ensure_at_least_takes_the_larger_figure(self, till: Till, account: Account) -> None:
        """A checkpoint may know of money that a restarted ledger has forgotten; money spent is spent."""
        seen = []
        for total in (40, 10, 40, 70, 0):
            till.ensure(account, total)
            seen.append(till.balance(account))
        assert seen == [(40, 0), (40, 0), (40, 0), (70, 0), (70, 0)]

    def test_ensure_at_least_leaves_what_is_held(self, till: Till) -> None:
        """It speaks of what is settled; calls under way settle on top."""
        till.reserve("r", Charge(SESSION, 30))
        till.ensure(SESSION, 40)
        assert till.balance(SESSION) == (40, 30)
        till.settle("r", usd=5)
        assert till.balance(SESSION) == (45, 0)

    def test_what_was_ensured_counts_against_the_limit(self, till: Till) -> None:
        """Else a restart would be a refund."""
        till.ensure(SESSION, 95)
        assert isinstance(till.reserve("r", Charge(SESSION, 6, 100)), Denied)
        assert isinstance(till.reserve("r", Charge(SESSION, 5, 100)), Granted)

    def test_ensure_at_least_raises_the_turn_that_it_names(self, till: Till) -> None:
        """The gate raises a turn's account before or after it opens it."""
        till.ensure(THE_TURN, 40, turn="t1")
        assert till.balance(THE_TURN) == (0, 0)
        till.open_turn("t1")
        assert till.balance(THE_TURN) == (40, 0)

    def test_ensure_at_least_raises_the_window_of_now(self, till: Till, clock: FakeClock) -> None:
        """Tomorrow owes nothing for it."""
        till.ensure(USER, 40)
        clock.advance(86_400)
        assert till.balance(USER) == (0, 0)

    def test_a_turn_of_another_tenants_session_is_another_turn(self, till: Till) -> None:
        """Thread ids are chosen by users; two tenants may choose alike."""
        till.open_turn("t1")
        theirs = THE_TURN._replace(tenant="other")
        till.reserve("a", Charge(THE_TURN, 30, 100))
        assert (TENANT, till.balance(theirs)) == ("acme", (0, 0))
        assert till.reserve("b", Charge(theirs, 30, 100)) == Granted("b", (30,), "")
