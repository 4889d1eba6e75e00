"""`ToolContract`: what may not be built, is not; what is not said, is the careful way."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.contracts.contract import FIELDS, ContractFields, ToolContract, differences
from langgraph_guard.tools.contracts.retries import Retries


class Order(BaseModel):
    """What a tool promises to return."""

    id: int


class Strange:
    """A class of which pydantic knows nothing."""


def reconcile_payment(call: object) -> str:
    """Finds out."""
    return "done"


def made(**fields: Any) -> ToolContract:
    """A contract of `pay`, with a timeout unless one is given."""
    return ToolContract(**{"name": "pay", "timeout": 5, **fields})


def problem(**fields: Any) -> str:
    """What is said against a contract."""
    with pytest.raises(ConfigError) as caught:
        made(**fields)
    return str(caught.value)


def test_what_nobody_said_is_the_careful_way() -> None:
    """A tool of which nothing is known may have paid somebody: it is not repeated, and not answered from a cache."""
    contract = made()
    assert (contract.has_effects, contract.may_retry, contract.may_cache, contract.attempts) == (True, False, False, 1)


@pytest.mark.parametrize(
    ("effects", "idempotent", "has_effects", "may_retry"),
    [
        ("none", False, False, True),
        ("read", False, False, True),
        ("write", False, True, False),
        ("write", True, True, True),
        ("spend", False, True, False),
        ("external", True, True, True),
    ],
)
def test_what_may_be_repeated(effects: str, idempotent: bool, has_effects: bool, may_retry: bool) -> None:
    """Reading twice is reading; paying twice is not paying."""
    contract = made(side_effects=effects, idempotent=idempotent)
    assert (contract.has_effects, contract.may_retry) == (has_effects, may_retry)


# Contradictions


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"side_effects": "destructive"},
            "pay.approval: is required where side_effects is 'destructive': what is gone is gone",
        ),
        (
            {"retry_policy": "exponential_backoff"},
            (
                "pay.retry_policy: repeats a call with side_effects 'external' that is not idempotent:"
                " it would happen twice"
            ),
        ),
        (
            {"retry_policy": {"attempts": 2}, "side_effects": "spend"},
            "pay.retry_policy: repeats a call with side_effects 'spend' that is not idempotent: it would happen twice",
        ),
        (
            {"cache_ttl": 60, "side_effects": "write", "idempotent": True},
            (
                "pay.cache_ttl: needs idempotent: true and side_effects none or read, got side_effects 'write':"
                " a cached call does nothing"
            ),
        ),
        (
            {"cache_ttl": 60, "side_effects": "read"},
            (
                "pay.cache_ttl: needs idempotent: true and side_effects none or read, got side_effects 'read':"
                " a cached call does nothing"
            ),
        ),
        (
            {"polls": True, "side_effects": "spend"},
            (
                "pay.polls: means to be called again and again, which side_effects 'spend' forbids unless idempotent"
                " is true"
            ),
        ),
        (
            {"polls": True, "side_effects": "read", "idempotent": True, "cache_ttl": 60},
            "pay.polls: asks for news, and cache_ttl answers with what is known",
        ),
        (
            {"polls": True, "side_effects": "read", "max_calls_per_session": 1},
            "pay.polls: means to be called again, and max_calls_per_session allows one call",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """At the desk where it was written, not in the tenth superstep."""
    assert problem(**fields) == sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"side_effects": "destructive", "approval": True},
        {"side_effects": "destructive", "approval": "required"},
        {"side_effects": "spend", "idempotent": True, "retry_policy": "exponential_backoff"},
        {"side_effects": "none", "retry_policy": "exponential_backoff"},
        {"side_effects": "read", "idempotent": True, "cache_ttl": 60},
        {"side_effects": "read", "polls": True, "max_calls_per_session": 20},
        {"retry_policy": {"attempts": 1}},
        {"retry_policy": "none"},
    ],
)
def test_what_sounds_alike_and_is_fine_is_taken(fields: dict[str, Any]) -> None:
    """A rule that refuses too much is switched off."""
    assert made(**fields).name == "pay"


# Bad input

OF_FIELD: dict[str, tuple[Any, str]] = {
    "name: a number": ({"name": 3}, "contract.name: must be a text, got int"),
    "name: empty": ({"name": ""}, "?.name: string must have at least 1 character"),
    "name: several lines": ({"name": "a\nb"}, "ab.name: must be one line"),
    "timeout: none": ({"timeout": None}, "pay.timeout: is missing: a call must end"),
    "timeout: a text": ({"timeout": "5"}, "pay.timeout: must be a number, got str"),
    "timeout: a bool": ({"timeout": True}, "pay.timeout: must be a number, got bool"),
    "timeout: zero": ({"timeout": 0}, "pay.timeout: must be greater than 0"),
    "timeout: for ever": ({"timeout": float("inf")}, "pay.timeout: must be a finite number"),
    "timeout: nan": ({"timeout": float("nan")}, "pay.timeout: must be a finite number"),
    "timeout: two days": ({"timeout": 172_800}, "pay.timeout: must be less than or equal to 86400"),
    "timeout: twice": ({"timeout_seconds": 5}, "pay.timeout_seconds: is the same as timeout"),
    "unknown field": ({"side_effect": "none"}, "is no field of a contract; did you mean 'side_effects'?"),
    "very unknown field": ({"x" * 10_000: 1}, "is no field of a contract"),
    "retry_policy: a word": ({"retry_policy": "often"}, "must be 'none' or 'exponential_backoff', or a mapping of"),
    "retry_policy: nothing": ({"retry_policy": None}, "must be 'none' or 'exponential_backoff', or a mapping of"),
    "retry_policy: unknown": ({"retry_policy": {"atempts": 2}}, "retry_policy.atempts: is not known; did you mean"),
    "retry_policy: too many": ({"retry_policy": {"attempts": 11}}, "must be less than or equal to 10"),
    "retry_policy: none at all": ({"retry_policy": {"attempts": 0}}, "must be greater than or equal to 1"),
    "retry_policy: shrinking": (
        {"retry_policy": {"initial_interval": 5, "max_interval": 1}},
        "pay.retry_policy: max_interval must not be less than initial_interval",
    ),
    "idempotent: a word": ({"idempotent": "yes"}, "pay.idempotent: must be true or false, got str"),
    "side_effects: a typing error": ({"side_effects": "writes"}, "did you mean 'write'?"),
    "side_effects: nothing": ({"side_effects": None}, "got NoneType"),
    "auth_scope: numbers": ({"auth_scope": [1]}, "pay.auth_scope: must be a text or a list of texts, got list"),
    "max_calls: zero": ({"max_calls_per_session": 0}, "must be greater than or equal to 1"),
    "max_calls: too many": ({"max_calls_per_session": 1_001}, "must be less than or equal to 1000"),
    "max_calls: a half": ({"max_calls_per_session": 1.5}, "must be a whole number, got float"),
    "trust: a word": ({"trust": "maybe"}, "must be 'trusted' or 'untrusted'"),
    "keep: an empty path": ({"keep": ["id", ""]}, "pay.keep[1]: has an empty part"),
    "keep: an empty part": ({"keep": "a..b"}, "pay.keep[0]: has an empty part"),
    "keep: a number": ({"keep": 3}, "pay.keep: must be a text or a list of texts, got int"),
    "sort_key: an empty path": ({"sort_key": "."}, "pay.sort_key[0]: has an empty part"),
    "max_result_chars: zero": ({"max_result_chars": 0}, "must be greater than or equal to 1"),
    "returns: no type": ({"returns": 3}, "pay.returns: must be a type that pydantic can check, got a int"),
    "returns: a strange class": ({"returns": Strange}, "must be a type that pydantic can check, got the class Strange"),
    "returns: no import": ({"returns": "shop.Order"}, "pay.returns: must be written package.module:name"),
    "reconcile: no import": ({"reconcile": "shop.reconcile"}, "pay.reconcile: must be written package.module:name"),
    "reconcile: a number": ({"reconcile": 3}, "pay.reconcile: must be a function or package.module:name, got int"),
    "approval: a word": ({"approval": "sometimes"}, "pay.approval: must be true or false, got str"),
    "cache_ttl: zero": ({"cache_ttl": 0}, "must be greater than 0"),
    "max_repairs: endless": ({"max_repairs": 1_000}, "must be less than or equal to 10"),
    "logs: a mapping": ({"logs": {}}, "pay.logs: must be a text or a list of texts, got dict"),
    "version: of tomorrow": ({"version": 2}, "pay.version: must be 1"),
    "two problems": ({"timeout": -1, "logs": 3}, "pay.timeout: must be greater than 0 (and 1 more)"),
}


@pytest.mark.parametrize(("fields", "sentence"), OF_FIELD.values(), ids=OF_FIELD)
def test_a_wrong_field_is_named_with_what_it_must_be(fields: dict[str, Any], sentence: str) -> None:
    """Somebody reads this in a deployment log, without the file at hand."""
    said = problem(**fields)
    assert sentence in said
    assert len(said) < 300


def test_a_contract_without_a_timeout_is_refused() -> None:
    """ "No timeout" is how a run hangs for three hours."""
    with pytest.raises(ConfigError, match="timeout: is missing"):
        ToolContract(name="pay")


def test_a_contract_without_a_name_is_refused() -> None:
    """It would be of no tool."""
    with pytest.raises(ConfigError, match=r"contract\.name: is missing"):
        ToolContract(timeout=5)


@pytest.mark.parametrize("field", [*FIELDS, "timeout_seconds"])
def test_no_error_quotes_a_value(field: str) -> None:
    """People paste tokens into the wrong line."""
    if field == "name":
        return
    with pytest.raises(ConfigError) as caught:
        made(**{field: ["hunter2", object()]})
    assert "hunter2" not in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "timeout_seconds"]) | st.text(), anything))
def test_whatever_is_written_is_a_contract_or_a_config_error(fields: dict[str, Any]) -> None:
    """Nothing else is raised, so there is one thing to catch."""
    with suppress(ConfigError):
        ToolContract(**fields)


def test_what_can_be_written_is_what_there_is() -> None:
    """A field that the types do not know of is one that nobody finds."""
    assert set(ContractFields.__annotations__) == {*FIELDS, "timeout_seconds"}


# Fields


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("orders:read", ("orders:read",)),
        ("orders:read orders:write", ("orders:read", "orders:write")),
        (["orders:read", "orders:read"], ("orders:read",)),
        ("", ()),
        ([], ()),
    ],
)
def test_scopes_are_one_or_a_list_or_as_oauth_writes_them(written: Any, read: tuple[str, ...]) -> None:
    """A scope that is not split is one that no caller has."""
    assert made(auth_scope=written).auth_scope == read


def test_one_path_is_a_list_of_one() -> None:
    """YAML invites it."""
    assert (made(keep="id").keep, made(sort_key=["a", "b"]).sort_key) == (("id",), ("a", "b"))


def test_seconds_may_be_called_so() -> None:
    """The article does."""
    assert made(timeout=5) == ToolContract(name="pay", timeout_seconds=5)


def test_approval_may_be_called_required() -> None:
    """It reads better in a file."""
    assert made(approval="required").approval is True


def test_a_contract_is_a_value() -> None:
    """It is compared, copied to workers, and never changes under a run."""
    contract = made(keep=["id"], retry_policy={"attempts": 2}, side_effects="read")
    assert (pickle.loads(pickle.dumps(contract)), copy.deepcopy(contract)) == (contract, contract)
    assert hash(contract) == hash(copy.deepcopy(contract))
    with pytest.raises(ValidationError):
        contract.timeout = 7.0


def test_the_differences_of_two_contracts_are_named() -> None:
    """Whoever merges a file with a decorator wants to know where."""
    assert differences(made(), made(timeout=6, polls=True, side_effects="read")) == ("timeout", "side_effects", "polls")


# Retries


def test_the_two_words_stand_for_figures() -> None:
    """The article's word is enough for a start."""
    contract = made(retry_policy="exponential_backoff", side_effects="read")
    assert (contract.attempts, contract.retry_policy.budget) == (3, 0.2)
    assert made(retry_policy="none").attempts == 1


def test_retries_may_be_written_out_or_passed() -> None:
    """Files have mappings, programs have types."""
    written = {"attempts": 5, "initial_interval": 1, "max_interval": 10, "jitter": 0}
    passed = Retries(attempts=5, initial_interval=1, max_interval=10, jitter=0)
    assert made(retry_policy=written, side_effects="read") == made(retry_policy=passed, side_effects="read")


def test_pauses_grow_to_their_limit() -> None:
    """A service that is down is asked less and less."""
    policy = Retries(attempts=10, initial_interval=0.5, backoff_factor=2, max_interval=3, jitter=0.5)
    contract = made(retry_policy=policy, side_effects="read")
    assert [contract.backoff(attempt, 0.0) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(-5, 10**6), st.floats(0, 1), st.floats(1, 10))
def test_a_pause_is_within_its_bounds(attempt: int, chance: float, factor: float) -> None:
    """Chance takes away at most the share that `jitter` allows, and no attempt number overflows."""
    pause = Retries(backoff_factor=factor).backoff(attempt, chance)
    assert 0.25 <= pause <= 8.0


# Imports


def test_a_result_is_checked_by_what_the_contract_promises() -> None:
    """A backend that changes its answer is noticed at the border, not by the model."""
    promised = made(returns=Order).result_type
    assert promised is not None
    assert promised.validate_python({"id": 3}) == Order(id=3)
    with pytest.raises(ValidationError):
        promised.validate_python({"id": "x"})


@pytest.mark.parametrize("returns", [list[Order], dict[str, int], int | None, Order])
def test_any_type_that_pydantic_knows_can_be_promised(returns: Any) -> None:
    """Tools return lists of things more often than things."""
    assert made(returns=returns).result_type is not None


def test_without_a_promise_nothing_is_checked() -> None:
    """Most tools return text."""
    assert (made().result_type, made().reconciler) == (None, None)


def test_an_import_is_made_when_it_is_used() -> None:
    """A file of contracts is read by dashboards and linters that cannot import the tools."""
    contract = made(returns="decimal:Decimal", reconcile="no.such.module:find_out")
    assert contract.result_type is not None
    assert str(contract.result_type.validate_python("1.5")) == "1.5"
    with pytest.raises(ConfigError, match=r"pay.reconcile: cannot import no.such.module:find_out: ModuleNotFoundError"):
        _ = contract.reconciler


@pytest.mark.parametrize(
    ("field", "written", "says"),
    [
        ("returns", "decimal:NoSuch", "cannot import decimal:NoSuch: AttributeError"),
        ("returns", "math:pi", "must be a type that pydantic can check, got a float"),
        ("reconcile", "math:pi", "must name a function, names a float"),
    ],
)
def test_an_import_that_is_not_what_it_should_be_is_named(field: str, written: str, says: str) -> None:
    """It shows when the contract is first needed: the sentence must say where to look."""
    contract = made(**{field: written})
    with pytest.raises(ConfigError, match=f"pay.{field}: {says}"):
        getattr(contract, {"returns": "result_type", "reconcile": "reconciler"}[field])


@pytest.mark.parametrize(
    "written", ["os", "os.path", "os:", ":system", "a b:c", "os:system()", "../x:y", "os:a:b", "1a:b", "a" * 300 + ":b"]
)
def test_what_is_no_import_is_refused_at_once(written: str) -> None:
    """The form can be checked without running anything."""
    assert "must be written package.module:name" in problem(reconcile=written)


def test_a_function_is_its_own_reconciler() -> None:
    """In Python one passes it."""
    assert made(reconcile=reconcile_payment).reconciler is reconcile_payment
