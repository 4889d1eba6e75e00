"""Calls: what a model call may cost at most, and the output cap that keeps it there."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import BudgetExceeded, IdentityMissing
from langgraph_guard.policies.bookkeeping import account_key, fit, reserve
from langgraph_guard.policies.budget import Budget, Identity, Limit
from langgraph_guard.policies.calls import Call, denial, output_within, plan, plan_tool_calls
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Balance,
    Denied,
    Granted,
    Reserve,
)

WHO: Final = Identity("acme", "run-1", {"session": "s1", "user": "42"})
CALL: Final = Call(input_tokens=1_000, max_output=500, min_output=16)


def price(input: int, output: int) -> int:
    """10 and 40 micro-USD per token."""
    return 10 * input + 40 * output


def asked(budget: Budget, call: Call = CALL, **options: Any) -> dict[tuple[str, str, str | None], Any]:
    """The charges of a plan by scope, unit and window."""
    found = plan(budget, WHO, call, price, **{"aside": False, **options})
    return {(each.account.scope, each.account.unit, each.account.window): each for each in found.charges}


# The plan


def test_a_call_asks_for_the_most_that_it_can_cost() -> None:
    """Counted input and the whole output at their prices: the bound holds whatever the model answers."""
    charge = asked(Budget([Limit("usd", 1, per="user", window="day")]))["user", "usd", "day"]
    assert (charge.amount, charge.limit, charge.at_least) == (30_000, 1_000_000, 10_640)


def test_tokens_and_calls_are_asked_for_too() -> None:
    """Each unit has its own figure."""
    charges = asked(Budget([Limit("tokens", 9_000, per="user"), Limit("model_calls", 3, per="user")]))
    assert (charges["user", "tokens", None].amount, charges["user", "tokens", None].at_least) == (1_500, 1_016)
    assert (charges["user", "model_calls", None].amount, charges["user", "model_calls", None].at_least) == (1, 1)


def test_session_and_turn_are_counted_without_a_limit() -> None:
    """Their charges can never be in the way."""
    charges = asked(Budget([]))
    assert {key: each.limit for key, each in charges.items()} == {
        ("session", unit, window): None for unit in ("usd", "tokens", "model_calls") for window in (None, TURN)
    }


def test_a_limit_on_an_account_that_counts_anyway_is_one_charge() -> None:
    """Charged twice, a turn would have half its limit."""
    found = plan(Budget([Limit("usd", 1, per="turn")]), WHO, CALL, price, aside=False)
    assert len({each.account for each in found.charges}) == len(found.charges)


def test_each_charge_knows_its_limit() -> None:
    """A denial is told in the words of the limit's owner."""
    limit = Limit("usd", 1, per="user", window="day")
    found = plan(Budget([limit]), WHO, CALL, price, aside=False)
    by_scope = {each.account.scope: found.limit_of(each) for each in found.charges}
    assert by_scope == {"user": limit, "session": None}


def test_without_a_price_money_is_not_counted() -> None:
    """No usd limit stands then; the meter sees to that."""
    found = plan(Budget([Limit("tokens", 9_000, per="user")]), WHO, CALL, None, aside=False)
    assert {each.account.unit for each in found.charges} == {"tokens", "model_calls"}


def test_ordinary_calls_leave_what_is_kept_aside_and_the_landing_uses_it() -> None:
    """Otherwise the closing answer would be refused for the same reason as the last step."""
    budget = Budget([Limit("usd", 1, per="user")])
    landing = Call(1_000, 500, 16, landing=True)
    limits = [asked(budget, call, aside=True)["user", "usd", None].limit for call in (CALL, landing)]
    assert limits == [950_000, 1_000_000]


@pytest.mark.parametrize(
    ("per", "where"),
    [
        ("user", "identity="),
        ("session", "thread_id"),
        ("turn", "outside a graph"),
        ("tenant", "tenant="),
        ("team", "identity="),
    ],
)
def test_a_limit_of_nobody_fails_closed_and_says_where_it_looked(per: str, where: str) -> None:
    """A call without an owner would otherwise be free."""
    budget = Budget([Limit("usd", 1, per=per)], scopes=["team"])
    with pytest.raises(IdentityMissing, match=f"per {per}.*{where}"):
        plan(budget, Identity("", "", {}), CALL, price, aside=False)


# Limits per call


def test_a_limit_per_call_shortens_the_answer() -> None:
    """1,000 tokens of input at 10 leave room for 250 of output at 40."""
    found = plan(Budget([Limit("usd", 0.02, per="call")]), WHO, CALL, price, aside=False)
    assert found.call.max_output == 250


def test_the_tightest_limit_per_call_decides() -> None:
    """Money and tokens bound the same answer."""
    budget = Budget([Limit("usd", 0.02, per="call"), Limit("tokens", 1_100, per="call")])
    assert plan(budget, WHO, CALL, price, aside=False).call.max_output == 100


def test_a_roomy_limit_per_call_changes_nothing() -> None:
    """The author's own cap stands."""
    assert plan(Budget([Limit("usd", 9, per="call")]), WHO, CALL, price, aside=False).call == CALL


@pytest.mark.parametrize(
    ("limit", "requested"),
    [(Limit("tokens", 1_015, per="call"), 1_016), (Limit("usd", 0.010639, per="call"), 10_640)],
)
def test_a_call_that_cannot_fit_its_limit_is_refused(limit: Limit, requested: int) -> None:
    """A pasted handbook never reaches the model."""
    with pytest.raises(BudgetExceeded) as caught:
        plan(Budget([limit]), WHO, CALL, price, aside=False)
    assert (caught.value.scope, caught.value.limit, caught.value.requested) == ("call", limit.amount, requested)


def test_the_least_answer_that_is_worth_having_just_fits() -> None:
    """At the border it goes through."""
    budget = Budget([Limit("tokens", 1_016, per="call")])
    assert plan(budget, WHO, CALL, price, aside=False).call.max_output == 16


def test_seconds_per_call_are_the_meters_business() -> None:
    """Time bounds the call, not its output."""
    assert plan(Budget([Limit("seconds", 1, per="call")]), WHO, CALL, price, aside=False).call == CALL


# The cap


def test_a_full_grant_leaves_the_cap_alone() -> None:
    """Nothing is short."""
    found = plan(Budget([Limit("usd", 1, per="user")]), WHO, CALL, price, aside=False)
    assert found.output_cap(Granted("r", tuple(each.amount for each in found.charges))) == (500, None)


def test_a_short_grant_lowers_the_cap_and_is_named() -> None:
    """The provider is told to stop where the money stops."""
    found = plan(
        Budget([Limit("usd", 1, per="user"), Limit("tokens", 9_000, per="user")]), WHO, CALL, price, aside=False
    )
    amounts = [each.amount for each in found.charges]
    money = next(at for at, each in enumerate(found.charges) if each.limit == 1_000_000)
    amounts[money] = 20_039
    assert found.output_cap(Granted("r", tuple(amounts))) == (250, money)


prices = st.tuples(st.integers(0, 50), st.integers(0, 200), st.integers(1, 1_000))
"""Per input token, per output token, and what a total is divided by: prices below a micro-USD round up."""


@given(
    prices,
    st.integers(0, 5_000),
    st.integers(1, 2_000),
    st.integers(1, 2_000),
    st.dictionaries(
        st.tuples(st.sampled_from(["usd", "tokens"]), st.sampled_from(["turn", "session", "user", "global"])),
        st.tuples(st.integers(1, 400_000), st.integers(0, 100_000), st.integers(0, 100_000)),
        max_size=5,
    ),
)
def test_the_cap_fits_every_grant_and_no_longer_answer_would(
    rates: tuple[int, int, int],
    input: int,
    max_output: int,
    min_output: int,
    limits: dict[tuple[str, str], tuple[int, int, int]],
) -> None:
    """The heart of the hard bound: reserve, cap, and the answer cannot cost more than is held; nor is room wasted."""

    def cost(read: int, written: int) -> int:
        return -(-(rates[0] * read + rates[1] * written) // rates[2])

    made: Any = Limit
    budget = Budget(
        [
            made(unit, amount / 1_000_000 if unit == "usd" else amount, per=per)
            for (unit, per), (amount, *_) in limits.items()
        ]
    )
    call = Call(input, max_output, min(min_output, max_output))
    found = plan(budget, WHO, call, cost, aside=False)
    rows = {}
    for charge in found.charges:
        key = (charge.account.unit, "turn" if charge.account.window == TURN else charge.account.scope)
        _, spent, held = limits.get(key, (0, 0, 0))
        rows[account_key(charge.account)] = (Balance(spent, held),)

    reply, _ = reserve(rows.get, Reserve("r", found.charges), 0.0)

    if isinstance(reply, Denied):
        assert fit(reply.charge, reply.balance) is None
        return
    cap, short = found.output_cap(reply)
    pairs = [(each.account.unit, amount) for each, amount in zip(found.charges, reply.amounts, strict=True)]
    assert call.min_output <= cap <= max_output
    assert all(call.amount(unit, cap, cost) <= amount for unit, amount in pairs)
    assert (short is None) is (cap == max_output)
    assert cap == max_output or any(call.amount(unit, cap + 1, cost) > amount for unit, amount in pairs)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 3_000), st.integers(0, 100))
def test_output_within_is_exact(input: int, most: int, room: int, per_token: int) -> None:
    """Found by halving; the same as found by trying each."""
    call = Call(input, most, 0)

    def cost(read: int, written: int) -> int:
        return read + per_token * written

    fitting = [output for output in range(most + 1) if cost(input, output) <= room]
    assert output_within(call, "usd", room, cost, most) == (fitting[-1] if fitting else -1)


# Denials


def test_a_denial_names_the_limit_as_its_owner_wrote_it() -> None:
    """The ledger speaks of accounts; people speak of limits, and of what they keep aside."""
    limit = Limit("usd", 1, per="turn")
    found = plan(Budget([limit]), WHO, CALL, price, aside=True)
    charge = next(each for each in found.charges if each.limit is not None)
    error = denial(Denied(charge, Balance(940_000, 5_000, "t1"), None, "t1", 4), limit)
    assert (error.unit, error.scope, error.limit, error.window) == ("usd", "turn", 1_000_000, None)
    assert (error.spent, error.reserved, error.requested, error.aside) == (940_000, 5_000, 10_640, 50_000)
    assert (error.retry_after, error.turn, error.turn_seq) == (None, "t1", 4)


def test_a_denial_counts_what_was_given_beyond_the_limit() -> None:
    """1.04 of 1 USD spent would look like a broken bound."""
    limit = Limit("usd", 1, per="user", window="day")
    found = plan(Budget([limit]), WHO, CALL, price, aside=True)
    charge = next(each for each in found.charges if each.limit is not None)
    error = denial(Denied(charge, Balance(1_040_000, 5_000, "d", credit=100_000), 60.0), limit)
    assert (error.limit, error.spent, error.aside, error.frozen) == (1_100_000, 1_040_000, 50_000, False)


@pytest.mark.parametrize(("window", "scope"), [(None, "session"), (TURN, "turn")])
def test_a_frozen_account_denies_without_a_limit(window: str | None, scope: str) -> None:
    """A session that nobody limited is stopped all the same when somebody freezes it."""
    found = plan(Budget([]), WHO, CALL, price, aside=False)
    charge = next(each for each in found.charges if each.account.window == window)
    error = denial(Denied(charge, Balance(7, 5, "t1", frozen=True), None, "t1", 4), found.limit_of(charge))
    assert (error.scope, error.unit, error.limit, error.window) == (scope, charge.account.unit, 0, None)
    assert (error.frozen, error.spent, error.aside, error.retry_after, error.turn_seq) == (True, 7, 0, None, 4)


def test_a_cut_answer_says_what_was_missing() -> None:
    """An answer that stops in mid-sentence looks like a model's mistake unless something says otherwise."""
    found = plan(Budget([Limit("usd", 1, per="user", window="day")]), WHO, CALL, price, aside=False)
    at = next(at for at, each in enumerate(found.charges) if each.limit)
    error = found.cut(at, granted=20_000, actual=19_990)
    assert (error.scope, error.window, error.spent, error.requested) == ("user", "day", 999_990, 10_000)


# Tool calls


def test_tool_calls_are_asked_for_together() -> None:
    """A batch of three with room for two is refused whole: half of it would be an answer to nobody."""
    found = plan_tool_calls(Budget([Limit("tool_calls", 2, per="turn")]), WHO, 3)
    by_account = {each.account: (each.amount, each.limit, each.at_least) for each in found.charges}
    assert by_account == {
        Account("acme", "session", "s1", "tool_calls", TURN): (3, 2, None),
        Account("acme", "session", "s1", "tool_calls"): (3, None, None),
    }


def test_what_tools_cost_is_asked_for_where_a_model_call_asks() -> None:
    """One purse: what the search took, the model does not have."""
    budget = Budget([Limit("usd", 1, per="user", window="day")])
    of_model = {each.account for each in plan(budget, WHO, CALL, price, aside=False).charges}
    of_tools = {each.account: each.amount for each in plan_tool_calls(budget, WHO, 2, 20_000).charges}
    money = {account for account in of_model if account.unit == "usd"}
    assert {account: of_tools[account] for account in money} == dict.fromkeys(money, 20_000)
    assert {account.unit for account in of_tools} == {"usd", "tool_calls"}


def test_tools_leave_what_is_kept_aside() -> None:
    """The closing answer is paid from it."""
    budget = Budget([Limit("usd", 1, per="user"), Limit("tool_calls", 9, per="user")])
    charges = {
        each.account.unit: each.limit for each in plan_tool_calls(budget, WHO, 1, 1, aside=True).charges if each.limit
    }
    assert charges == {"usd": 950_000, "tool_calls": 9}
