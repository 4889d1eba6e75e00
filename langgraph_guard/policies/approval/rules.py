"""Whether a call may run, may not, or needs people: rules over what is known of it, decided once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from langgraph_guard.errors import ConfigError

DecisionType = Literal["approve", "edit", "reject", "respond"]
DECISIONS: Final = get_args(DecisionType)

Effect = Literal["allow", "deny", "require"]
EFFECTS: Final = get_args(Effect)

LONGEST_TTL: Final = 365 * 86_400.0

_TTL: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is known of a call when it is looked at.

    `side_effects` and `needs_approval` are its contract's; without a contract nobody said, which is `external`.
    `tainted`: untrusted content is in the context. `budget_left`: the smallest share, from 0 to 1, of any limit.
    `caller`: who asked for it, and `roles` theirs.
    """

    tool: str
    args: Mapping[str, Any]
    side_effects: str = "external"
    needs_approval: bool = False
    tainted: bool = False
    budget_left: float | None = None
    caller: str = ""
    roles: tuple[str, ...] = ()

    @property
    def has_effects(self) -> bool:
        return self.side_effects not in ("none", "read")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Whose word a call needs. `ttl` in seconds; `None`: for as long as it takes."""

    allowed_decisions: tuple[DecisionType, ...] = ("approve", "edit", "reject")
    quorum: int = 1
    reviewers: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    ttl: float | None = None
    separation_of_duties: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say of a call. `rule`: the pattern that decided; empty where none did."""

    effect: Effect
    reason: str = ""
    requirement: Requirement | None = None
    rule: str = ""


When: TypeAlias = Callable[[Proposal], bool]


@dataclass(frozen=True)
class ApprovalRule:
    """What holds for calls that match, if every condition given is met.

    Conditions. `side_effects`: one of these. `above`: dotted paths of arguments and amounts, met when one is more than
    its amount, or is no number. `tainted`: untrusted content is in the context, or is not. `budget_below`: less than
    this share of a limit is left. `caller_roles`: the caller has one of them. `when`: a function of the `Proposal`.

    Then `effect` is `allow`, `deny`, or `require`: `quorum` distinct people out of `reviewers` or with one of `roles`
    (anybody, where none is named) within `ttl`, seconds or `"90s"`, `"15m"`, `"1h"`, `"2d"`. With
    `separation_of_duties` whoever asked for the call does not count. `description` is shown to them.
    Raises `ConfigError` naming the field.
    """

    effect: Effect = "require"
    side_effects: Sequence[str] | str = ()
    above: Mapping[str, float] = field(default_factory=dict)
    tainted: bool | None = None
    budget_below: float | None = None
    caller_roles: Sequence[str] | str = ()
    when: When | None = None
    allowed_decisions: Sequence[DecisionType] = ("approve", "edit", "reject")
    quorum: int = 1
    reviewers: Sequence[str] | str = ()
    roles: Sequence[str] | str = ()
    ttl: float | str | None = None
    separation_of_duties: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise ConfigError("effect", f"must be one of {', '.join(EFFECTS)}")
        for name in ("side_effects", "caller_roles", "reviewers", "roles"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        object.__setattr__(self, "allowed_decisions", _decisions(self.allowed_decisions))
        object.__setattr__(self, "above", _amounts(self.above))
        object.__setattr__(self, "ttl", _ttl(self.ttl))
        _check(self)

    @property
    def requirement(self) -> Requirement:
        names = ("allowed_decisions", "quorum", "reviewers", "roles", "ttl", "separation_of_duties", "description")
        return Requirement(**{name: getattr(self, name) for name in names})

    def applies(self, proposal: Proposal) -> bool:
        """Whether every condition is met. A condition that cannot be decided is met, unless the rule allows."""
        return all(condition(proposal) for condition in self._conditions())

    def _conditions(self) -> Iterable[Callable[[Proposal], bool]]:
        if self.side_effects:
            yield lambda proposal: proposal.side_effects in self.side_effects
        if self.above:
            yield lambda proposal: any(_exceeds(proposal.args, path, most) for path, most in self.above.items())
        if self.tainted is not None:
            yield lambda proposal: proposal.tainted is self.tainted
        if self.budget_below is not None:
            yield lambda proposal: self._is_short(proposal.budget_left)
        if self.caller_roles:
            yield lambda proposal: bool(set(self.caller_roles) & set(proposal.roles))
        if self.when is not None:
            yield self._asks

    def _is_short(self, left: float | None) -> bool:
        assert self.budget_below is not None
        return self.effect != "allow" if left is None else left < self.budget_below

    def _asks(self, proposal: Proposal) -> bool:
        assert self.when is not None
        try:
            return bool(self.when(proposal))
        except Exception:
            return self.effect != "allow"


Rules: TypeAlias = Mapping[str, "ApprovalRule | Effect"] | Sequence[tuple[str, "ApprovalRule | Effect"]]


class ApprovalPolicy:
    """Rules by patterns of tool names (`send_*`), the first that applies deciding; frozen once it is made.

    Where none applies: a call whose contract says `approval` needs it, and so does one with side effects while
    untrusted content is in the context. All else is allowed. What a contract demands, no rule waives: an `allow` for a
    tool whose contract says `approval` is passed over.
    """

    def __init__(self, rules: Rules = ()) -> None:
        self.rules = tuple(_pairs(rules))

    def concerns(self, tool: str) -> bool:
        """Whether there is a rule for the tool, whatever its conditions."""
        return any(fnmatchcase(tool, pattern) for pattern, _ in self.rules)

    def unmatched(self, tools: Iterable[str]) -> list[str]:
        """Patterns that are for none of these tools."""
        names = list(tools)
        return [pattern for pattern, _ in self.rules if not any(fnmatchcase(name, pattern) for name in names)]

    def rule(self, proposal: Proposal) -> Ruling:
        """What holds for `proposal`."""
        for pattern, rule in self.rules:
            waives = rule.effect == "allow" and proposal.needs_approval
            if fnmatchcase(proposal.tool, pattern) and not waives and rule.applies(proposal):
                return Ruling(rule.effect, rule.description, _needed(rule), pattern)
        if proposal.needs_approval:
            return Ruling("require", "its contract asks for a person's approval", Requirement())
        if proposal.tainted and proposal.has_effects:
            return Ruling(
                "require", "untrusted content is in the context, and the call has side effects", Requirement()
            )
        return Ruling("allow")


def _needed(rule: ApprovalRule) -> Requirement | None:
    return rule.requirement if rule.effect == "require" else None


def _pairs(rules: Any) -> Iterable[tuple[str, ApprovalRule]]:
    if isinstance(rules, str) or not isinstance(rules, (Mapping, Sequence)):
        raise ConfigError("rules", f"must be a mapping of patterns to rules, is a {type(rules).__name__}")
    for pair in rules.items() if isinstance(rules, Mapping) else rules:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str) and pair[0]):
            raise ConfigError("rules", "must be pairs of a pattern and a rule")
        pattern, rule = pair
        if isinstance(rule, str):
            rule = ApprovalRule(effect=cast(Effect, rule))
        if not isinstance(rule, ApprovalRule):
            raise ConfigError(f"rules[{pattern}]", f"must be an ApprovalRule, is a {type(rule).__name__}")
        yield pattern, rule


def _exceeds(args: Mapping[str, Any], path: str, most: float) -> bool:
    """Whether the argument is more than `most`. What is missing or no number is for people to judge."""
    value: Any = args
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return True
        value = value[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return True
    return value > most


def _names(field: str, names: Any) -> tuple[str, ...]:
    several = (names,) if isinstance(names, str) else names
    if not isinstance(several, (list, tuple, set, frozenset)) or not all(isinstance(each, str) for each in several):
        raise ConfigError(field, "must be a str, or a list of them")
    if not all(several):
        raise ConfigError(field, "has an empty name")
    return tuple(dict.fromkeys(sorted(several) if isinstance(several, (set, frozenset)) else several))


def _decisions(allowed: Sequence[DecisionType]) -> tuple[DecisionType, ...]:
    found = tuple(allowed) if isinstance(allowed, (list, tuple)) else ()
    if not found or not all(each in DECISIONS for each in found):
        raise ConfigError("allowed_decisions", f"must be a list of {', '.join(DECISIONS)}")
    return tuple(dict.fromkeys(found))


def _amounts(above: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(above, Mapping):
        raise ConfigError("above", f"must be a mapping of paths to amounts, is a {type(above).__name__}")
    for path, most in above.items():
        if not isinstance(path, str) or not all(path.split(".")):
            raise ConfigError("above", "has a path that names no argument")
        if isinstance(most, bool) or not isinstance(most, int | float) or not math.isfinite(most):
            raise ConfigError(f"above[{path}]", "must be a finite number")
    return dict(above)


def _ttl(ttl: float | str | None) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, str):
        told = _TTL.fullmatch(ttl.strip())
        if told is None:
            raise ConfigError("ttl", 'must be seconds, or like "90s", "15m", "1h", "2d"')
        ttl = float(told[1]) * _UNITS[told[2]]
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= LONGEST_TTL:
        raise ConfigError("ttl", f"must be longer than 0 seconds and at most {LONGEST_TTL:.0f}")
    return float(ttl)


def _check(rule: ApprovalRule) -> None:
    if type(rule.quorum) is not int or not 1 <= rule.quorum <= 100:
        raise ConfigError("quorum", "must be an int from 1 to 100")
    if rule.reviewers and rule.quorum > len(rule.reviewers):
        raise ConfigError("quorum", f"asks for {rule.quorum} of {len(rule.reviewers)} reviewers")
    if rule.quorum > 1 and "approve" not in rule.allowed_decisions:
        raise ConfigError("quorum", "needs approve among the allowed_decisions")
    if rule.budget_below is not None and not (_is_number(rule.budget_below) and 0 < rule.budget_below <= 1):
        raise ConfigError("budget_below", "must be a share above 0 and at most 1")
    if rule.tainted is not None and not isinstance(rule.tainted, bool):
        raise ConfigError("tainted", "must be True, False or None")
    if not isinstance(rule.separation_of_duties, bool):
        raise ConfigError("separation_of_duties", "must be True or False")
    if rule.when is not None and not callable(rule.when):
        raise ConfigError("when", f"must be callable, is a {type(rule.when).__name__}")
    if not isinstance(rule.description, str):
        raise ConfigError("description", f"must be a str, is a {type(rule.description).__name__}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
