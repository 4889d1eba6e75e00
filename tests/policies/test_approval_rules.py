"""Whether a call may run, may not, or needs people."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.rules import ApprovalPolicy, ApprovalRule, Proposal, Requirement


def proposal(tool: str = "send_email", **known: Any) -> Proposal:
    """A call of `tool`."""
    return Proposal(tool, known.pop("args", {}), **known)


def effect(rules: Any, call: Proposal) -> str:
    """What the rules say of it."""
    return ApprovalPolicy(rules).rule(call).effect


def test_patterns_are_of_tool_names() -> None:
    """The first that applies decides, in the order in which they are written."""
    rules = {"send_draft": "allow", "send_*": ApprovalRule(), "delete_*": "deny"}
    tools = ["send_draft", "send_email", "delete_all", "search"]
    assert [effect(rules, proposal(tool)) for tool in tools] == ["allow", "require", "deny", "allow"]


def test_patterns_mind_the_case() -> None:
    """Tool names do, too."""
    assert effect({"send_*": "deny"}, proposal("Send_email")) == "allow"


def test_a_rule_whose_conditions_are_not_met_leaves_it_to_the_next() -> None:
    """Small payments pass, the next rule takes the rest."""
    rules = [("pay", ApprovalRule(above={"amount": 100}, quorum=2)), ("pay", ApprovalRule(above={"amount": 10}))]
    ruled = [ApprovalPolicy(rules).rule(proposal("pay", args={"amount": amount})) for amount in (5, 50, 500)]
    assert [(each.effect, each.requirement and each.requirement.quorum) for each in ruled] == [
        ("allow", None),
        ("require", 1),
        ("require", 2),
    ]


@pytest.mark.parametrize("args", [{}, {"amount": None}, {"amount": "1"}, {"amount": True}, {"amount": float("nan")}])
def test_an_amount_that_is_none_is_for_people_to_judge(args: dict[str, Any]) -> None:
    """A model that writes "1,000" must not slip through as less than 100."""
    assert effect({"pay": ApprovalRule(above={"amount": 100})}, proposal("pay", args=args)) == "require"


def test_amounts_are_found_by_their_path() -> None:
    """Arguments are nested."""
    rules = {"pay": ApprovalRule(above={"order.total": 100})}
    assert effect(rules, proposal("pay", args={"order": {"total": 99}})) == "allow"
    assert effect(rules, proposal("pay", args={"order": {"total": 101}})) == "require"


@pytest.mark.parametrize(
    ("rule", "met", "not_met"),
    [
        ({"side_effects": ("spend", "destructive")}, {"side_effects": "spend"}, {"side_effects": "read"}),
        ({"tainted": True}, {"tainted": True}, {"tainted": False}),
        ({"budget_below": 0.25}, {"budget_left": 0.2}, {"budget_left": 0.25}),
        ({"caller_roles": ["guest"]}, {"roles": ("guest", "x")}, {"roles": ("admin",)}),
        ({"when": lambda call: call.caller == "bob"}, {"caller": "bob"}, {"caller": "eve"}),
    ],
    ids=["side_effects", "tainted", "budget", "roles", "when"],
)
def test_every_condition_counts(rule: dict[str, Any], met: dict[str, Any], not_met: dict[str, Any]) -> None:
    """Each of them by itself."""
    rules = {"send_*": ApprovalRule("deny", **rule)}
    assert [effect(rules, proposal(**{"side_effects": "none", **known})) for known in (met, not_met)] == [
        "deny",
        "allow",
    ]


def test_a_condition_that_fails_is_met_unless_the_rule_allows() -> None:
    """What cannot be decided is decided on the safe side."""

    def broken(call: Proposal) -> bool:
        raise KeyError("amount")

    assert effect({"send_*": ApprovalRule(when=broken)}, proposal()) == "require"
    assert effect({"send_*": ApprovalRule("allow", when=broken), "*": "deny"}, proposal()) == "deny"


def test_without_a_rule_the_contract_decides() -> None:
    """And untrusted content in the context asks for people before side effects."""
    assert effect({}, proposal(needs_approval=True)) == "require"
    assert effect({}, proposal(tainted=True, side_effects="external")) == "require"
    assert effect({}, proposal(tainted=True, side_effects="read")) == "allow"
    assert effect({}, proposal()) == "allow"


def test_what_a_contract_demands_no_rule_waives() -> None:
    """A graph may ask for more than the tool's owner, and for no less."""
    assert effect({"*": "allow"}, proposal(needs_approval=True)) == "require"
    assert effect({"*": "deny"}, proposal(needs_approval=True)) == "deny"


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(90, 90.0), ("90s", 90.0), ("1.5m", 90.0), ("1h", 3_600.0), ("2d", 172_800.0)]
)
def test_a_time_to_live_is_written_in_seconds_or_in_words(ttl: Any, seconds: float) -> None:
    """As people write it."""
    assert ApprovalRule(ttl=ttl).requirement == Requirement(ttl=seconds)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("effect", "maybe"),
        ("ttl", "soon"),
        ("ttl", 0),
        ("ttl", True),
        ("ttl", float("nan")),
        ("quorum", 0),
        ("quorum", 1.5),
        ("reviewers", ["a", ""]),
        ("reviewers", 5),
        ("allowed_decisions", []),
        ("allowed_decisions", ["approve", "shrug"]),
        ("above", {"amount": "much"}),
        ("above", {"a..b": 1}),
        ("budget_below", 0),
        ("tainted", "yes"),
        ("when", "always"),
    ],
    ids=str,
)
def test_a_rule_that_is_none_is_refused_when_it_is_written(field: str, value: Any) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError, match=field):
        ApprovalRule(**{field: value})


def test_a_quorum_that_cannot_be_reached_is_refused() -> None:
    """Three of two people, or of people who may not approve."""
    with pytest.raises(ConfigError, match="quorum"):
        ApprovalRule(quorum=3, reviewers=["a", "b"])
    with pytest.raises(ConfigError, match="quorum"):
        ApprovalRule(quorum=2, allowed_decisions=["reject"])


@pytest.mark.parametrize("rules", ["send_*", 5, {"": "deny"}, {"a": 5}, [("a",)], {"a": "maybe"}], ids=str)
def test_rules_that_are_none_are_refused(rules: Any) -> None:
    """With the field that is wrong."""
    with pytest.raises(ConfigError, match=r"rules|effect"):
        ApprovalPolicy(rules)
