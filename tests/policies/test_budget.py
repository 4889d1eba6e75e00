"""Budgets: limits as data, wrong ones refused where they are written, and the pure decisions over them."""

from __future__ import annotations

import copy
import decimal
import math
import pickle
from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.policies.budget import (
    LEDGER_UNITS,
    LONGEST_NAP,
    SCOPES,
    STATUS,
    Budget,
    Identity,
    Limit,
    Standing,
    account,
    meters,
    nap,
    scope_of,
    standing,
    tightest,
    used_up,
)
from langgraph_guard.policies.ledger import MAX_AMOUNT, RUN, TURN, Account, Balance

ANY: Final[Any] = Limit  # a caller without types
MADE: Final[Any] = Budget


# A limit


@pytest.mark.parametrize(
    ("unit", "amount", "counted"),
    [
        ("usd", 0.50, 500_000),
        ("usd", 5, 5_000_000),
        ("usd", 0.29, 290_000),
        ("usd", Decimal("0.000001"), 1),
        ("usd", 0.0000019, 1),
        ("usd", Decimal("9007199254.740991"), MAX_AMOUNT),
        ("seconds", 120, 120_000),
        ("seconds", 0.25, 250),
        ("tokens", 50_000, 50_000),
        ("tokens", 50_000.0, 50_000),
        ("model_calls", MAX_AMOUNT, MAX_AMOUNT),
    ],
)
def test_an_amount_becomes_the_integer_that_is_counted(unit: str, amount: Any, counted: int) -> None:
    """Micro-USD and milliseconds, exactly as written; what is finer than that rounds down, the safe side."""
    assert ANY(unit, amount, per="turn").amount == counted


@pytest.mark.parametrize("unit", STATUS)
@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        (-1, "negative"),
        (-0.5, "negative|whole numbers"),
        (0, "zero"),
        (0.0, "zero"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (-math.inf, "finite"),
        (Decimal("NaN"), "finite"),
        (Decimal("sNaN"), "finite"),
        (Decimal("Infinity"), "finite"),
        (Decimal("9e999999"), "2\\^53"),
        (Decimal("-9e999999"), "negative"),
        (True, "is a bool"),
        (False, "is a bool"),
        ("5", "is a str"),
        (b"5", "is a bytes"),
        (None, "is a NoneType"),
        ([5], "is a list"),
        (5 + 0j, "is a complex"),
        (2**53, "2\\^53"),
        (10**400, "2\\^53"),
        (1e300, "2\\^53"),
    ],
    ids=str,
)
def test_a_wrong_amount_is_refused_at_once(unit: str, amount: Any, problem: str) -> None:
    """One NaN passes every comparison, one negative figure lifts the limit: found before the graph is built."""
    with pytest.raises(InvalidAmount, match=problem) as caught:
        ANY(unit, amount, per="turn")
    assert caught.value.field == "amount"


@pytest.mark.parametrize("amount", [Decimal("9007199254.740992"), 9007199254.75])
def test_more_than_2_to_the_53_micro_usd_is_refused(amount: Any) -> None:
    """Past it a double loses the last digit, and with it the limit."""
    with pytest.raises(InvalidAmount, match="micro-USD"):
        ANY("usd", amount, per="global")


def test_less_than_a_micro_usd_is_refused() -> None:
    """It would round down to a limit of nothing; whoever wrote it meant something else."""
    with pytest.raises(InvalidAmount, match="too small"):
        Limit("usd", 0.0000009, per="session")


@pytest.mark.parametrize("unit", ["tokens", "model_calls", "tool_calls", "steps"])
def test_counts_are_whole(unit: str) -> None:
    """Two and a half calls is a mistake, not a limit."""
    with pytest.raises(InvalidAmount, match=f"{unit} are counted in whole numbers"):
        ANY(unit, 2.5, per="turn")


def test_the_programs_decimal_settings_do_not_matter() -> None:
    """A program that rounds to six digits for its reports must not round its limits."""
    with decimal.localcontext(prec=4):
        assert Limit("usd", 1234.567891, per="session").amount == 1_234_567_891


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"unit": "dollars"}, "unit", "unknown; one of usd, tokens, model_calls, tool_calls, steps, seconds"),
        ({"unit": "token"}, "unit", "did you mean 'tokens'?"),
        ({"unit": "USD"}, "unit", "one of usd"),
        ({"unit": "USD"}, "unit", "did you mean 'usd'?"),
        ({"unit": "dollars"}, "unit", "did you mean 'usd'?"),
        ({"unit": "requests"}, "unit", "did you mean 'model_calls'?"),
        ({"window": "daily"}, "window", "did you mean 'day'?"),
        ({"window": "24h"}, "window", "did you mean 'day'?"),
        ({"unit": None}, "unit", "unknown"),
        ({"unit": 5}, "unit", "must be a str, is a int"),
        ({"window": "week"}, "window", "unknown; one of minute, hour, day, month"),
        ({"window": "hourly"}, "window", "did you mean 'hour'?"),
        ({"window": 3600}, "window", "must be a str, is a int"),
        ({"window": ""}, "window", "unknown"),
        ({"per": ""}, "per", "must name a scope"),
        ({"per": "u1|u2"}, "per", "must name a scope"),
        ({"per": None}, "per", "is a NoneType"),
        ({"per": 42}, "per", "is a int"),
        ({"wait": -1}, "wait", "0 or more"),
        ({"wait": math.inf}, "wait", "finite"),
        ({"wait": math.nan}, "wait", "finite"),
        ({"wait": True}, "wait", "number of seconds"),
        ({"wait": "1h"}, "wait", "number of seconds"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named_with_what_it_may_be(wrong: dict[str, Any], field: str, says: str) -> None:
    """The message is read by whoever mistyped it."""
    given_: dict[str, Any] = {"unit": "usd", "amount": 5, "per": "user", "window": "day", **wrong}
    with pytest.raises(ConfigError) as caught:
        ANY(given_.pop("unit"), given_.pop("amount"), **given_)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_per_is_required() -> None:
    """A limit that silently counts per call, or for everyone, is the wrong limit."""
    with pytest.raises(TypeError, match="per"):
        ANY("usd", 5)


@pytest.mark.parametrize("per", ["call", "turn"])
def test_calls_and_turns_have_no_windows(per: str) -> None:
    """Neither lasts a day."""
    with pytest.raises(ConfigError, match="window goes with session, user, tenant or global"):
        ANY("usd", 5, per=per, window="day")


@pytest.mark.parametrize("unit", ["steps", "seconds"])
@pytest.mark.parametrize("per", ["session", "user", "tenant", "global", "team"])
def test_steps_and_seconds_are_limited_per_turn(unit: str, per: str) -> None:
    """They belong to a run; no ledger counts them."""
    with pytest.raises(ConfigError, match=f"{unit} cannot be limited per {per}; per turn it can"):
        ANY(unit, 5, per=per)


@pytest.mark.parametrize("unit", ["model_calls", "tool_calls", "steps"])
def test_a_call_is_one_call(unit: str) -> None:
    """A limit of calls per call says nothing."""
    with pytest.raises(ConfigError, match="cannot be limited per call"):
        ANY(unit, 5, per="call")


def test_a_limit_is_a_value() -> None:
    """It is compared, hashed, copied and sent to workers like the data that it is."""
    limit = Limit("usd", 5, per="user", window="day", wait=2)
    same = Limit("usd", Decimal(5), per="user", window="day", wait=2.0)
    assert limit == same == pickle.loads(pickle.dumps(limit)) == copy.deepcopy(limit)
    assert hash(limit) == hash(same)
    with pytest.raises(FrozenInstanceError):
        limit.amount = 10**9  # type: ignore[misc]


def test_what_the_ledger_counts() -> None:
    """Per call there is nothing to remember; steps and seconds travel with the run."""
    assert Limit("usd", 5, per="turn").in_ledger
    assert not Limit("usd", 5, per="call").in_ledger
    assert not Limit("seconds", 5, per="turn").in_ledger


# A budget


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *[({"warn_at": each}, "warn_at") for each in (0, -0.1, 1.01, math.nan, math.inf, True, "0.75", None)],
        *[({"lease": each}, "lease") for each in (0, -1, math.nan, math.inf, True, "300", None)],
        *[({"orphans": each}, "orphans") for each in ("", "charged", None, True)],
        *[({"landing_reserve": each}, "landing_reserve") for each in (-1, math.nan, math.inf, True, "1", 2**60)],
        *[({"scopes": each}, "scopes") for each in ("team", [""], ["a b"], [7], [RUN])],
        *[({"limits": each}, "limits") for each in ([("usd", 5)], [None], ["usd"], {"usd": 5})],
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    """Before the graph is built, not in its tenth superstep."""
    with pytest.raises(ConfigError) as caught:
        MADE(**{"limits": [], **wrong})
    assert caught.value.field == field


def test_a_misspelt_orphan_rule_gets_a_hint() -> None:
    """`charged` for `charge`."""
    with pytest.raises(ConfigError, match="did you mean 'charge'"):
        MADE([], orphans="charged")


@pytest.mark.parametrize(
    ("per", "hint"), [("sesion", "did you mean 'session'"), ("users", "did you mean 'user'"), ("team", "scopes=")]
)
def test_an_unknown_scope_is_refused_with_a_hint(per: str, hint: str) -> None:
    """A typo would be an account that nobody ever names, and so a limit that always fails closed."""
    with pytest.raises(ConfigError, match=hint) as caught:
        Budget([Limit("usd", 5, per=per)])
    assert caught.value.field == "per"


def test_a_scope_of_your_own_is_declared() -> None:
    """Then it is as good as any."""
    limit = Limit("usd", 5, per="team", window="day")
    assert Budget([limit], scopes=["team"]).of(per="team") == (limit,)


def test_two_limits_of_the_same_key_are_refused() -> None:
    """Only one could be charged; which one would be a matter of order."""
    with pytest.raises(ConfigError, match="two limits of usd per user, window day"):
        Budget([Limit("usd", 5, per="user", window="day"), Limit("usd", 6, per="user", window="day")])


def test_limits_that_differ_in_unit_scope_or_window_stand_together() -> None:
    """That is what a budget is for."""
    limits = (
        Limit("usd", 5, per="user", window="day"),
        Limit("usd", 6, per="user", window="hour"),
        Limit("usd", 7, per="user"),
        Limit("usd", 8, per="session"),
        Limit("tokens", 9, per="user"),
    )
    budget = Budget(limits)
    assert budget.limits == limits
    assert budget.of(unit="usd", per="user") == limits[:3]
    assert budget.of(unit="tokens") == limits[4:]
    assert budget.of() == limits


def test_a_budget_without_limits_only_counts() -> None:
    """Metering comes before limiting."""
    assert Budget([]).limits == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [("users", "user"), ("thread", "session"), ("run", "turn"), ("request", "call"), ("everyone", "global")],
)
def test_a_scope_by_another_name_is_named(said: str, meant: str) -> None:
    """LangGraph and others call them so."""
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'") as caught:
        Budget([Limit("usd", 5, per=said)])
    assert caught.value.field == "per"


def test_every_unit_has_its_reason() -> None:
    """A run that ended says why in a word that programs read."""
    assert set(STATUS.values()) == {"limit_cost", "limit_tokens", "limit_calls", "limit_steps", "limit_time"}
    assert set(LEDGER_UNITS) < set(STATUS)


# What is kept aside


@pytest.mark.parametrize(
    ("limit", "reserve", "ceiling"),
    [
        (Limit("usd", 1, per="session"), None, 950_000),
        (Limit("usd", 1, per="session"), 0.02, 980_000),
        (Limit("usd", 1, per="session"), 0, 1_000_000),
        (Limit("tokens", 1_000, per="turn"), None, 950),
        (Limit("tokens", 1_000, per="turn"), 0.02, 950),
        (Limit("tokens", 19, per="turn"), None, 19),
        (Limit("model_calls", 25, per="turn"), None, 24),
        (Limit("model_calls", 1, per="turn"), None, 1),
        (Limit("tool_calls", 25, per="turn"), None, 25),
    ],
)
def test_some_is_kept_aside_for_the_closing_answer(limit: Limit, reserve: float | None, ceiling: int) -> None:
    """A run that ends without a word has wasted all that it spent."""
    budget = Budget([limit], landing_reserve=reserve)
    assert budget.ceiling(limit, aside=True) == ceiling
    assert budget.ceiling(limit, aside=False) == limit.amount


def test_a_reserve_that_leaves_nothing_is_refused() -> None:
    """Every other call would be refused, with nothing spent."""
    with pytest.raises(ConfigError, match="landing_reserve"):
        Budget([Limit("usd", 1, per="session"), Limit("usd", 5, per="user")], landing_reserve=1)


@pytest.mark.parametrize("limits", [None, 3, Limit("usd", 1, per="session")])
def test_limits_come_in_a_list(limits: Any) -> None:
    """A single limit is easily passed without its brackets."""
    with pytest.raises(ConfigError, match="limits"):
        Budget(limits)


# Accounts

WHO: Final = Identity("acme", "run-1", {"session": "s1", "user": "42", "team": "blue"})
NOBODY: Final = Identity("", "", {})


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        (Limit("usd", 5, per="global", window="hour"), Account("", "global", "", "usd", "hour")),
        (Limit("usd", 5, per="tenant"), Account("acme", "tenant", "acme", "usd")),
        (Limit("usd", 5, per="user", window="day"), Account("acme", "user", "42", "usd", "day")),
        (Limit("usd", 5, per="team"), Account("acme", "team", "blue", "usd")),
        (Limit("usd", 5, per="session"), Account("acme", "session", "s1", "usd")),
        (Limit("usd", 5, per="turn"), Account("acme", "session", "s1", "usd", TURN)),
    ],
)
def test_a_limit_is_counted_on_the_account_of_whose_it_is(limit: Limit, found: Account) -> None:
    """Users are told apart within their tenant; the whole deployment shares one account."""
    assert account(limit, WHO) == found


@pytest.mark.parametrize("per", [scope for scope in SCOPES if scope not in ("global", "call")])
def test_a_limit_of_nobody_has_no_account(per: str) -> None:
    """Charged to an empty id, all anonymous callers would share one, or none would have a limit."""
    assert account(Limit("usd", 5, per=per), NOBODY) is None


def test_a_run_without_a_thread_is_its_own_turn() -> None:
    """Graphs without a checkpointer have limits per turn too."""
    who = Identity("acme", "run-1", {})
    assert account(Limit("usd", 5, per="turn"), who) == Account("acme", RUN, "run-1", "usd")
    assert meters(who, "usd") == (Account("acme", RUN, "run-1", "usd"),)


def test_session_and_turn_are_counted_with_or_without_a_limit() -> None:
    """Reports and re-seeding need the figures."""
    assert [each.window for each in meters(WHO, "usd")] == [None, TURN]
    assert meters(NOBODY, "usd") == ()


# Verdicts


def at(unit: Any, spent: int, ceiling: int = 100, reserved: int = 0) -> Standing:
    """How a limit stands."""
    return Standing(Limit(unit, 1_000, per="turn"), ceiling, spent, reserved)


@pytest.mark.parametrize("unit", [unit for unit in STATUS if unit != "tool_calls"])
def test_a_limit_is_used_up_when_nothing_is_left(unit: str) -> None:
    """The next step would need something of it."""
    assert used_up([at(unit, 99)]) is None
    assert used_up([at(unit, 100)]) == at(unit, 100)


def test_tool_calls_are_used_up_only_when_they_were_passed() -> None:
    """At the limit the model may still answer without tools; the next call is refused where it is made."""
    assert used_up([at("tool_calls", 100)]) is None
    assert used_up([at("tool_calls", 101)]) == at("tool_calls", 101)


def test_what_is_merely_held_does_not_end_a_run() -> None:
    """It may come back in a second; the meter decides about the next call."""
    assert used_up([at("usd", 50, reserved=50)]) is None


def test_the_first_limit_that_is_used_up_is_the_reason() -> None:
    """The order is the author's."""
    assert used_up([at("usd", 1), at("tokens", 100), at("steps", 100)]) == at("tokens", 100)


def test_nothing_to_spend_is_used_up() -> None:
    """When all of a limit is kept aside for the landing, there is only the landing."""
    assert used_up([at("usd", 0, ceiling=0)]) is not None


@pytest.mark.parametrize(("spent", "warned"), [(74, False), (75, True), (100, True)])
def test_a_warning_comes_at_its_share(spent: int, warned: bool) -> None:
    """Routers downgrade the model from here on."""
    assert (tightest([at("usd", spent)], 0.75) is not None) is warned


def test_the_warning_is_about_the_limit_nearest_to_its_end() -> None:
    """In whatever order they stand."""
    tight, loose = at("tokens", 90), at("usd", 80)
    assert tightest([tight, loose], 0.75) == tightest([loose, tight], 0.75) == tight
    assert tightest([], 0.75) is None


def test_a_standing_measures_against_the_ceiling() -> None:
    """With 5 % kept aside, 95 % spent is all of it."""
    limit = Limit("usd", 1, per="session")
    budget = Budget([limit])
    found = standing(budget, limit, Balance(950_000, 7), aside=True)
    assert found == Standing(limit, 950_000, 950_000, 7)
    assert found.share == 1.0
    assert used_up([found]) == found
    assert used_up([standing(budget, limit, Balance(950_000), aside=False)]) is None


def test_what_was_given_is_room_beyond_the_ceiling() -> None:
    """The gate must let pass what the meter will grant."""
    limit = Limit("usd", 1, per="session")
    found = standing(Budget([limit]), limit, Balance(1_000_000, 0, "", 100_000), aside=True)
    assert (found.ceiling, found.credit) == (1_050_000, 100_000)
    assert used_up([found]) is None


@pytest.mark.parametrize("per", ["turn", "session", "user", "tenant", "global"])
def test_a_scope_is_called_as_its_limit_calls_it(per: str) -> None:
    """A turn is counted on an account of its session, or of its run; nobody calls it that."""
    for session in ("s1", ""):
        on = account(Limit("usd", 1, per=per), Identity("acme", "run-1", {"session": session, "user": "42"}))
        assert on is None or scope_of(on) == per


# Waiting


def test_without_wait_nobody_waits() -> None:
    """A limit refuses unless it was told to queue."""
    assert nap(30.0, 1, 0.0, 0.0, 0) is None


def test_a_queue_sleeps_until_the_window_ends() -> None:
    """Nothing that is held can come back earlier, so there is nothing to ask in between."""
    assert nap(30.0, 0, 0.0, 60.0, 0) == 30.0


def test_a_queue_does_not_wait_for_a_window_that_ends_too_late() -> None:
    """Waiting a minute only to be refused is worse than being refused."""
    assert nap(61.0, 0, 0.0, 60.0, 0) is None
    assert nap(31.0, 0, 30.0, 60.0, 0) is None


def test_a_queue_does_not_wait_for_what_never_comes() -> None:
    """An account without a window and with nothing under way has no room to come."""
    assert nap(None, 0, 0.0, 60.0, 0) is None


def test_while_calls_are_under_way_a_queue_asks_ever_more_rarely() -> None:
    """Calls settle for less than they hold; forty workers must not ask a hundred times a second each."""
    naps = [nap(None, 5, 0.0, 60.0, tries) for tries in range(12)]
    assert naps[:4] == [0.01, 0.02, 0.04, 0.08]
    assert naps[-1] == LONGEST_NAP


def test_a_crowd_that_was_refused_together_asks_one_by_one() -> None:
    """Each draws its own chance; nobody waits longer for it, and nobody less than half as long."""
    naps = [nap(None, 5, 0.0, 60.0, 9, chance) for chance in (0.0, 0.5, 1.0)]
    assert naps == [1.0, 0.75, 0.5]


def test_a_queue_stops_when_its_time_is_over() -> None:
    """`wait` bounds it, whatever is under way."""
    assert nap(None, 5, 60.0, 60.0, 3) is None
    assert nap(None, 5, 59.995, 60.0, 9) == pytest.approx(0.005)


@given(
    st.none() | st.floats(0.001, 1e7),
    st.integers(0, 2**53),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
def test_a_nap_is_short_positive_and_within_the_wait(
    retry_after: float | None, held: int, waited: float, wait: float, tries: int, chance: float
) -> None:
    """However long a queue is, it neither spins nor oversleeps."""
    found = nap(retry_after, held, waited, wait, tries, chance)
    if found is not None:
        assert 0 < found <= wait - waited
        assert retry_after is None or found <= retry_after
