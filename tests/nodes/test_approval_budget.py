"""Rules that depend on what is left of a budget: the node reads it where the gate does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend
from langgraph_guard.errors import BudgetUnavailable, ConfigError
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.rules import ApprovalRule
from langgraph_guard.policies.ledger import Account, Charge, Freeze, Reserve, Settle, owner_of
from langgraph_guard.testing import FakeClock
from tests.nodes.approving import PAY, Agent

SHORT = {"pay": ApprovalRule(budget_below=0.25)}
GENEROUS = [("pay", ApprovalRule("allow", budget_below=0.25)), ("pay", ApprovalRule())]

SESSION = Account("acme", "session", "t", "usd")


class Ledger:
    """A budget of a dollar a session and ten a day for a user, of which some is spent."""

    def __init__(self, spent: float, held: float = 0.0, per: str = "session") -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(tenant="acme", clock=self.clock)
        self.node = BudgetCheckNode(Budget([Limit("usd", 1, per=per)]), self.backend)  # type: ignore[arg-type]
        for id, amount in {"spent": spent, "held": held}.items():
            if amount:
                self.backend.ledger.execute([Reserve(id, (Charge(SESSION, int(amount * 1_000_000)),))])
        if spent:
            self.backend.ledger.execute([Settle("spent", {"usd": int(spent * 1_000_000)})])


def is_asked(ledger: Ledger, rules: Any = SHORT) -> bool:
    """Whether somebody is asked about a payment."""
    return Agent(rules, PAY, budget=ledger.node).begin() is not None


@pytest.mark.parametrize(
    ("spent", "held", "asked"),
    [(0.0, 0.0, False), (0.74, 0.0, False), (0.76, 0.0, True), (0.5, 0.3, True), (1.0, 0.0, True)],
)
def test_a_rule_knows_how_much_is_left(spent: float, held: float, asked: bool) -> None:
    """What is held for others is not left, either."""
    assert is_asked(Ledger(spent, held)) is asked


async def test_the_same_on_an_event_loop() -> None:
    """Through the same flow."""
    agent = Agent(SHORT, PAY, budget=Ledger(0.9).node)
    assert agent.question(await agent.app.ainvoke({"messages": [("user", "go")]}, {"configurable": {"thread_id": "t"}}))


def test_what_was_laid_down_stands_when_the_budget_is_spent_meanwhile() -> None:
    """A resume never asks the rule again."""
    ledger = Ledger(0.9)
    agent = Agent(SHORT, PAY, budget=ledger.node)
    agent.begin()
    ledger.backend.ledger.execute([Reserve("more", (Charge(SESSION, 50_000),))])
    agent.answer(False)
    assert agent.bank.paid == []


def test_a_frozen_account_has_nothing_left() -> None:
    """Somebody stopped it; then somebody is asked."""
    ledger = Ledger(0.0)
    ledger.backend.ledger.execute([Freeze(owner_of(SESSION), "ann", "stop")])
    assert is_asked(ledger)


class Gone:
    """A ledger that does not answer."""

    instant = True

    def execute(self, commands: Sequence[Any]) -> list[Any]:
        raise BudgetUnavailable("memory", reason="gone")


def test_what_cannot_be_known_is_asked_about_and_allows_nothing() -> None:
    """The ledger is away, nobody says whose budget it is, or there is none."""
    away, nobody = Ledger(0.0), Ledger(0.0, per="user")
    away.backend.ledger = Gone()  # type: ignore[misc, assignment]
    assert is_asked(away)
    assert is_asked(nobody)
    for rules in (SHORT, GENEROUS):
        assert Agent(rules, PAY).begin() is not None


def test_rules_that_ask_for_nothing_read_nothing() -> None:
    """A round trip is for those who need it."""
    ledger = Ledger(0.0)
    ledger.backend.ledger = Gone()  # type: ignore[misc, assignment]
    assert Agent({"pay": "allow"}, PAY, budget=ledger.node).begin() is None


def test_a_budget_is_a_budget_node() -> None:
    """Said when the node is made."""
    with pytest.raises(ConfigError, match="budget"):
        HumanApprovalNode(SHORT, MemoryBackend(), budget=Budget([Limit("usd", 1, per="session")]))  # type: ignore[arg-type]
