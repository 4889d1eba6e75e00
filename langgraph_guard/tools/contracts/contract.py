"""`ToolContract`: what a tool may cost, take, change and be called for. The guard enforces it; the model cannot.

A contract that contradicts itself is refused when it is made, so a graph with one is never built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, TypeAdapter, ValidationError
from typing_extensions import Unpack

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.content.paths import check_paths
from langgraph_guard.tools.contracts.imports import check_import, resolve
from langgraph_guard.tools.contracts.retries import Retries, in_full
from langgraph_guard.tools.contracts.wording import first_problem, meant, named

DAY: Final = 86_400
MOST_CALLS: Final = 1_000
"""Per session. State remembers no more of a tool."""

SideEffects = Literal["none", "read", "write", "destructive", "spend", "external"]
"""`external` is anything that somebody else sees, and what counts when nobody says."""


class ContractFields(TypedDict, total=False):
    """What a contract may say: in `ToolContract(…)`, in `@contract(…)` and in YAML. Only `timeout` is required."""

    name: str
    owner: str
    timeout: float
    timeout_seconds: float
    retry_policy: Literal["none", "exponential_backoff"] | Mapping[str, float] | Retries
    idempotent: bool
    side_effects: SideEffects
    auth_scope: str | Sequence[str]
    max_calls_per_session: int | None
    trust: Literal["trusted", "untrusted"]
    keep: str | Sequence[str]
    max_result_chars: int | None
    sort_key: str | Sequence[str]
    returns: Any
    reconcile: str | Callable[..., Any] | None
    approval: bool | Literal["required"]
    cache_ttl: float | None
    polls: bool
    max_repairs: int
    logs: str | Sequence[str]
    version: Literal[1]


def _several(written: Any) -> Any:
    """One text, or a list of them, as a tuple without repetitions."""
    if isinstance(written, str):
        return (written,)
    if isinstance(written, (list, tuple)) and all(isinstance(each, str) for each in written):
        return tuple(dict.fromkeys(written))
    return written


def _scopes(written: Any) -> Any:
    """OAuth writes several scopes with spaces in between."""
    return _several(written.split() if isinstance(written, str) else written)


def _required(written: Any) -> Any:
    return True if isinstance(written, str) and written == "required" else written


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_several), Field(max_length=100)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_several)]
Seconds = Annotated[float, Field(gt=0, le=DAY)]


class ToolContract(BaseModel):
    """What a tool promises and what it may do. `name` and `timeout` must be said; what is not said is the careful way.

    `timeout` in seconds (or `timeout_seconds`), to 24 h · `retry_policy`: `"none"`, `"exponential_backoff"`, a mapping
    of `Retries`, or one · `side_effects`: unless it is `none` or `read`, a call that failed may have changed something
    · `auth_scope`: what the caller must hold · `keep`: dotted paths of the result's fields that the model sees, and
    `sort_key` of what its lists are sorted by · `trust="untrusted"`: what it returns was written by strangers ·
    `returns`: the type of the result, or `"package.module:Name"` · `reconcile`: how to find out whether a call whose
    outcome is in doubt took effect, a function or `"package.module:name"`; it is given the call's idempotency key and
    says the result, `False` if it did not take effect, `None` if it cannot tell · `approval`: a person must agree ·
    `cache_ttl`: seconds for which the same arguments have the same answer · `polls`: to be called again and again is
    what it is for · `max_repairs`: how often a turn may correct wrong arguments · `logs`: fields to be logged.

    Every problem is a `ConfigError` that names the tool and the field, and never the value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False)

    name: Text
    owner: str = Field(default="", max_length=200)
    timeout: Seconds
    retry_policy: Annotated[Retries, BeforeValidator(in_full)] = Retries(attempts=1)
    idempotent: bool = False
    side_effects: SideEffects = "external"
    auth_scope: Annotated[tuple[Text, ...], BeforeValidator(_scopes), Field(max_length=100)] = ()
    max_calls_per_session: int | None = Field(default=None, ge=1, le=MOST_CALLS)
    trust: Literal["trusted", "untrusted"] = "trusted"
    keep: Paths = ()
    max_result_chars: int | None = Field(default=None, ge=1)
    sort_key: Paths = ()
    returns: Any = None
    reconcile: Annotated[str | Callable[..., Any] | None, SkipValidation] = None
    approval: Annotated[bool, BeforeValidator(_required)] = False
    cache_ttl: float | None = Field(default=None, gt=0, le=30 * DAY)
    polls: bool = False
    max_repairs: int = Field(default=2, ge=0, le=10)
    logs: Texts = ()
    version: Literal[1] = 1

    def __init__(self, **written: Unpack[ContractFields]) -> None:
        fields = _prepared(written)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _located(fields, *first_problem(error, Retries.model_fields)) from None
        _checked(self)

    @property
    def has_effects(self) -> bool:
        """Whether a call may change something, as far as anybody said."""
        return self.side_effects not in ("none", "read")

    @property
    def may_retry(self) -> bool:
        """Whether the same call may be made again at all, by whomever."""
        return self.idempotent or not self.has_effects

    @property
    def may_cache(self) -> bool:
        return self.cache_ttl is not None

    @property
    def attempts(self) -> int:
        """How often the guard makes a call by itself, the first time included."""
        return self.retry_policy.attempts

    def backoff(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number `attempt`, from 1, has failed. `chance` from 0 to 1."""
        return self.retry_policy.backoff(attempt, chance)

    @cached_property
    def result_type(self) -> TypeAdapter[Any] | None:
        """What validates a result; None when the contract promises no type. An import string is imported here."""
        if self.returns is None:
            return None
        return _adapter(self, resolve(f"{self.name}.returns", self.returns))

    @cached_property
    def reconciler(self) -> Callable[..., Any] | None:
        """What finds out whether a call took effect. An import string is imported here."""
        found = resolve(f"{self.name}.reconcile", self.reconcile)
        if found is None or callable(found):
            return found  # type: ignore[no-any-return]  # callable(…) narrows Any to a function of anything
        raise ConfigError(f"{self.name}.reconcile", f"must name a function, names a {type(found).__name__}")


FIELDS: Final = tuple(ToolContract.model_fields)
SPELLINGS: Final = frozenset({*FIELDS, "timeout_seconds"})


def differences(a: ToolContract, b: ToolContract) -> tuple[str, ...]:
    """The fields in which two contracts differ."""
    return tuple(field for field in FIELDS if getattr(a, field) != getattr(b, field))


def _prepared(written: Mapping[str, Any]) -> dict[str, Any]:
    """Known fields only, `timeout` under one name, and there."""
    fields = dict(written)
    for name in fields:
        if name not in SPELLINGS:
            raise _located(fields, named(name), f"is no field of a contract{meant(str(name), SPELLINGS)}")
    if "timeout_seconds" in fields:
        if "timeout" in fields:
            raise _located(fields, "timeout_seconds", "is the same as timeout: say one of them")
        fields["timeout"] = fields.pop("timeout_seconds")
    if fields.get("timeout") is None:
        raise _located(fields, "timeout", f"is missing: a call must end, so say after how many seconds, up to {DAY}")
    return fields


def _located(fields: Mapping[str, Any], field: str, problem: str) -> ConfigError:
    name = fields.get("name")
    return ConfigError(f"{named(name) if isinstance(name, str) else 'contract'}.{field}", problem)


def _checked(contract: ToolContract) -> None:
    """What no single field can tell."""
    where = contract.name
    check_paths(f"{where}.keep", contract.keep)
    check_paths(f"{where}.sort_key", contract.sort_key)
    check_import(f"{where}.reconcile", contract.reconcile)
    if not (contract.reconcile is None or isinstance(contract.reconcile, str) or callable(contract.reconcile)):
        raise ConfigError(
            f"{where}.reconcile", f"must be a function or package.module:name, got {type(contract.reconcile).__name__}"
        )
    if isinstance(contract.returns, str):
        check_import(f"{where}.returns", contract.returns)
    elif contract.returns is not None:
        _adapter(contract, contract.returns)
    for wrong, field, problem in _contradictions(contract):
        if wrong:
            raise ConfigError(f"{where}.{field}", problem)


def _contradictions(tool: ToolContract) -> tuple[tuple[bool, str, str], ...]:
    effects = f"side_effects {tool.side_effects!r}"
    return (
        (
            tool.side_effects == "destructive" and not tool.approval,
            "approval",
            "is required where side_effects is 'destructive': what is gone is gone",
        ),
        (
            tool.attempts > 1 and not tool.may_retry,
            "retry_policy",
            f"repeats a call with {effects} that is not idempotent: it would happen twice",
        ),
        (
            tool.may_cache and (tool.has_effects or not tool.idempotent),
            "cache_ttl",
            f"needs idempotent: true and side_effects none or read, got {effects}: a cached call does nothing",
        ),
        (
            tool.polls and not tool.may_retry,
            "polls",
            f"means to be called again and again, which {effects} forbids unless idempotent is true",
        ),
        (tool.polls and tool.may_cache, "polls", "asks for news, and cache_ttl answers with what is known"),
        (
            tool.polls and tool.max_calls_per_session == 1,
            "polls",
            "means to be called again, and max_calls_per_session allows one call",
        ),
    )


def _adapter(contract: ToolContract, type_: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(type_)
    except Exception as error:  # whatever a class does when somebody asks for its schema
        kind = f"the class {named(type_.__name__)}" if isinstance(type_, type) else f"a {type(type_).__name__}"
        raise ConfigError(f"{contract.name}.returns", f"must be a type that pydantic can check, got {kind}") from error
