"""Errors: data with a sentence that can be caught, kept, sent to another process, and shown to anyone."""

from __future__ import annotations

import copy
import pickle
import traceback
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.types import RetryPolicy

from langgraph_guard import errors
from langgraph_guard.errors import (
    ActionRefused,
    BlockedType,
    BudgetExceeded,
    BudgetUnavailable,
    CheckpointTooLarge,
    CircuitOpen,
    ConfigError,
    CorruptCheckpoint,
    GuardError,
    GuardRuntimeError,
    IdentityMissing,
    InvalidAmount,
    PriceUnknown,
    ReplayMiss,
    ReservationConflict,
    StaleCheckpoint,
    StoreError,
    StoreRateLimited,
    StoreRefused,
    StoreUnavailable,
    show,
)

EXCEEDED = BudgetExceeded("usd", "user", 5_000_000, 4_930_000, 20_000, 100_000, "day", 3_600.0, 250_000, "turn-1", 3)

RUNTIME: dict[str, tuple[GuardRuntimeError, str]] = {
    "exceeded": (
        EXCEEDED,
        (
            "4.93 USD of 5.00 USD spent per user today (0.02 USD held, 0.25 USD kept for the closing answer),"
            " 0.10 USD more asked for; room again in 3600 s"
        ),
    ),
    "exceeded for good": (
        BudgetExceeded("model_calls", "turn", 25, 25, 0, 1),
        "25 model calls of 25 model calls spent per turn (0 model calls held), 1 model call more asked for",
    ),
    "exceeded in time": (
        BudgetExceeded("seconds", "turn", 120_000, 120_500, 0, 0),
        "120.5 seconds of 120 seconds spent per turn (0 seconds held), 0 seconds more asked for",
    ),
    "frozen": (
        BudgetExceeded("usd", "session", 0, 4_930_000, 20_000, 100_000, frozen=True),
        "spending per session is frozen: no call is made until somebody thaws it",
    ),
    "price unknown": (
        PriceUnknown("my-model", "azure"),
        (
            "no price is known for model 'my-model' of provider 'azure', and a usd limit is set:"
            " pass prices={model: Price(input=…, output=…)} or drop the usd limits"
        ),
    ),
    "price unknown anywhere": (
        PriceUnknown("my-model"),
        (
            "no price is known for model 'my-model', and a usd limit is set:"
            " pass prices={model: Price(input=…, output=…)} or drop the usd limits"
        ),
    ),
    "price unknown of a model without a name": (
        PriceUnknown("", "fake"),
        (
            "a usd limit is set, and a model of provider 'fake' does not say its name, so that it has no price:"
            " set its model or model_name, or drop the usd limits"
        ),
    ),
    "identity missing": (
        IdentityMissing("user", "configurable"),
        "a limit is set per user, and this run names no user (looked in configurable)",
    ),
    "identity missing anywhere": (IdentityMissing("user"), "a limit is set per user, and this run names no user"),
    "conflict": (
        ReservationConflict("7f3a", "settled", "released"),
        "reservation 7f3a is settled; it cannot be released",
    ),
    "unavailable": (BudgetUnavailable("redis", 2.0), "the budget ledger (redis) did not answer within 2.0 s"),
    "action refused": (
        ActionRefused("pay", "args.amount", "is not a finite number, which has no one text"),
        "a call of 'pay' cannot be approved: its args.amount is not a finite number, which has no one text",
    ),
    "circuit open": (
        CircuitOpen("search", "open", 27.2),
        "the circuit of 'search' is open: no call is made for another 28 s",
    ),
    "circuit half-open": (
        CircuitOpen("search", "half_open", 60.0),
        "the circuit of 'search' is being tried out: no call is made for another 60 s",
    ),
    "circuit held open": (
        CircuitOpen("search", "forced_open"),
        "the circuit of 'search' is held open: no call is made until somebody resets it",
    ),
    "replay miss": (
        ReplayMiss("search"),
        (
            "the replay calls 'search' with arguments for which no result is recorded: nothing ran."
            " With --live it would be called"
        ),
    ),
    "store unavailable": (StoreUnavailable("redis", "put", 10.0), "redis did not answer put within 10.0 s"),
    "store refused": (
        StoreRefused("redis", "put", "it is out of memory"),
        "redis refused put: it is out of memory",
    ),
    "store rate limited": (
        StoreRateLimited("cloudflare kv", "put", "1,200 requests in 5 minutes", 12.0, 299.5),
        "cloudflare kv limits put: 1,200 requests in 5 minutes (waited 12.0 s; room again in 300 s)",
    ),
    "store rate limited for nobody knows how long": (
        StoreRateLimited("cloudflare kv", "put", "the day is used up"),
        "cloudflare kv limits put: the day is used up (waited 0.0 s)",
    ),
    "stale": (
        StaleCheckpoint("cloudflare kv", "a key is listed and its value is not there", 10.0, 119.2),
        (
            "cloudflare kv does not show the latest state yet: a key is listed and its value is not there"
            " (waited 10.0 s); try again in 120 s"
        ),
    ),
    "stale for nobody knows how long": (
        StaleCheckpoint("cloudflare kv", "more is known"),
        "cloudflare kv does not show the latest state yet: more is known (waited 0.0 s)",
    ),
    "corrupt": (
        CorruptCheckpoint("channel messages", "the record belongs to another thread"),
        "channel messages: the record belongs to another thread",
    ),
    "too large": (
        CheckpointTooLarge(1_000, 1_400, (("messages", 900), ("files", 400))),
        (
            "the checkpoint has 1400 bytes, the limit is 1000;"
            " the largest channels: messages (900 bytes), files (400 bytes)"
        ),
    ),
    "too large somewhere": (CheckpointTooLarge(1_000, 1_400), "the checkpoint has 1400 bytes, the limit is 1000"),
    "blocked": (
        BlockedType("app.orders.Order", "channel order"),
        (
            "channel order holds app.orders.Order, which is not on the allow-list:"
            " pass allowed_types=[Order] to the saver if you trust it"
        ),
    ),
}

CONFIG: dict[str, tuple[ConfigError, str]] = {
    "config": (ConfigError("window", "unknown; one of minute, hour"), "window: unknown; one of minute, hour"),
    "amount": (InvalidAmount("amount", "must be a number, is a str"), "amount: must be a number, is a str"),
}

ALL: dict[str, tuple[GuardError, str]] = {**RUNTIME, **CONFIG}
every = pytest.mark.parametrize(("error", "sentence"), ALL.values(), ids=ALL)


def retries(error: Exception) -> bool:
    """Whether LangGraph's default policy would try again."""
    decide = RetryPolicy().retry_on
    assert callable(decide)
    return bool(decide(error))


def data(error: GuardError) -> dict[str, Any]:
    """What a handler can read from it."""
    return {name: value for name, value in vars(error).items() if not name.startswith("_")}


@every
def test_it_reads_well(error: GuardError, sentence: str) -> None:
    """At 2 a.m. the sentence in the log is the documentation."""
    assert str(error) == sentence


@every
def test_it_survives_a_pickle(error: GuardError, sentence: str) -> None:
    """Workers in other processes raise; the caller must see the same error, fields and all."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), data(back)) == (type(error), sentence, data(error))


@every
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_it_survives_a_copy(error: GuardError, sentence: str, duplicate: Any) -> None:
    """Tracers and retry helpers copy what they report."""
    back = duplicate(error)
    assert (type(back), str(back), data(back)) == (type(error), sentence, data(error))


@every
def test_it_is_caught_at_the_root(error: GuardError, sentence: str) -> None:
    """One except clause catches all that the pack raises by itself."""
    assert isinstance(error, GuardError)


def test_every_kind_is_tested_here() -> None:
    """A new error joins the table above, or its sentence is never read before it is needed."""
    public = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GuardError)}
    abstract = {GuardError, GuardRuntimeError, StoreError, errors._Record}
    assert public - abstract == {type(error) for error, _ in ALL.values()}


def test_the_figures_are_fields() -> None:
    """A handler decides by figures; it must not read them out of a sentence."""
    assert asdict(EXCEEDED) == {
        "unit": "usd",
        "scope": "user",
        "limit": 5_000_000,
        "spent": 4_930_000,
        "reserved": 20_000,
        "requested": 100_000,
        "window": "day",
        "retry_after": 3_600.0,
        "aside": 250_000,
        "turn": "turn-1",
        "turn_seq": 3,
        "frozen": False,
    }
    assert EXCEEDED.args == tuple(asdict(EXCEEDED).values())


@pytest.mark.parametrize("error", [error for error, _ in RUNTIME.values()], ids=RUNTIME)
def test_langgraph_does_not_retry_a_denial(error: GuardRuntimeError) -> None:
    """Its default policy tries other errors again: a budget that is used up would be asked three times."""
    assert isinstance(error, RuntimeError)
    assert retries(error) is False


def test_langgraph_would_retry_an_ordinary_error() -> None:
    """The test above shows something only if the policy does retry."""
    assert retries(Exception("anything")) is True


@pytest.mark.parametrize("error", [error for error, _ in CONFIG.values()], ids=CONFIG)
def test_a_wrong_setting_is_a_value_error_that_names_its_field(error: ConfigError) -> None:
    """Code that validates settings catches ValueError, and shows the field."""
    assert isinstance(error, ValueError)
    assert error.field in str(error)
    assert str(error) == f"{error.field}: {error.problem}"


@pytest.mark.parametrize(
    "again",
    [lambda error: error, copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["raised", "copied", "deeply copied", "sent"],
)
def test_a_traceback_says_once_how_to_route_on_a_denial(again: Any) -> None:
    """It ends a graph whose node is not tracked. Models read the sentence, so what a programmer may do stands below."""
    denial = again(BudgetExceeded("usd", "user", 5, 4, 0, 2))
    assert "".join(traceback.format_exception(denial)).count("wrap the node in budget.track(") == 1
    assert "track" not in str(denial)


def test_a_sentence_cannot_name_a_person() -> None:
    """Logs are read by many: the errors about a user's money have no place for the user's id."""
    assert {field.name for field in fields(IdentityMissing)} == {"scope", "looked_in"}
    assert not {"id", "user", "account", "identity"} & {field.name for field in fields(BudgetExceeded)}


def test_each_denial_is_its_own() -> None:
    """Two equal denials in one group are two; comparing by fields would merge them in sets."""
    one, other = BudgetUnavailable("redis"), BudgetUnavailable("redis")
    assert one != other
    assert len({one, other}) == 2


# Amounts for people


@pytest.mark.parametrize(
    ("unit", "amount", "shown"),
    [
        ("usd", 0, "0.00 USD"),
        ("usd", 1, "0.000001 USD"),
        ("usd", 49_300, "0.0493 USD"),
        ("usd", 500_000, "0.50 USD"),
        ("usd", 847_000_000, "847.00 USD"),
        ("usd", -1_500_000, "-1.50 USD"),
        ("usd", -1, "-0.000001 USD"),
        ("usd", 2**53 - 1, "9007199254.740991 USD"),
        ("seconds", 0, "0 seconds"),
        ("seconds", 1, "0.001 seconds"),
        ("seconds", 1_500, "1.5 seconds"),
        ("seconds", 120_000, "120 seconds"),
        ("tokens", 1_200, "1200 tokens"),
        ("model_calls", 25, "25 model calls"),
        ("model_calls", 1, "1 model call"),
        ("tokens", -1, "-1 token"),
    ],
)
def test_an_amount_is_shown_in_its_unit(unit: str, amount: int, shown: str) -> None:
    """The ledger counts micro-USD and milliseconds; nobody else does."""
    assert show(unit, amount) == shown


@given(st.integers(-(2**53), 2**53))
def test_money_is_shown_without_rounding(amount: int) -> None:
    """A limit of 0.05 that shows as 0.05 with 0.0499996 spent is a support ticket."""
    figure, unit = show("usd", amount).split(" ")
    assert (Decimal(figure) * 1_000_000, unit) == (Decimal(amount), "USD")
