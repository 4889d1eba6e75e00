"""`on_unavailable`: what a limit says about the time when the ledger is away, and who hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import Budget, BudgetCheckNode, ConfigError, Limit, MemoryBackend, allow_local
from langgraph_guard.backends.local import FallbackLedger
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.policies.budget import Identity
from langgraph_guard.policies.calls import Call, plan, plan_tool_calls
from langgraph_guard.policies.ledger import MAX_AMOUNT, Command, Reply
from langgraph_guard.testing import FakeClock, ScriptedChatModel

WHO: Final = Identity("acme", "run-1", {"session": "s1", "user": "42"})
ALLOWED: Final = Limit("usd", 1, per="session", on_unavailable=allow_local(0.05))


def local(budget: Budget) -> dict[tuple[str, str], int | None]:
    """What a model call and a tool call may charge alone, by scope and unit."""
    calls = plan(budget, WHO, Call(10, 10, 10), lambda input, output: 1, aside=False)
    return {
        (each.account.scope, each.account.unit): each.local
        for each in (*calls.charges, *plan_tool_calls(budget, WHO, 1).charges)
        if each.account.window is None
    }


def test_the_cap_is_counted_in_the_units_of_the_limit() -> None:
    """Micro-USD, exactly as written."""
    assert ALLOWED.local == 50_000
    assert Limit("tokens", 9_000, per="user", on_unavailable=allow_local(500)).local == 500
    assert Limit("usd", 1, per="session").local is None


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("allow", "unknown; one of deny, or allow_local"),
        (None, "unknown; one of deny, or allow_local"),
        (0.05, "must be a str"),
        (allow_local(0), "must be above 0"),
        (allow_local(-1), "is negative"),
        (allow_local(float("nan")), "must be finite"),
        (allow_local("5"), "must be a number"),  # type: ignore[arg-type]
        (allow_local(1.01), "is more than the limit"),
    ],
    ids=["a wrong word", "nothing", "a number", "zero", "negative", "nan", "text", "too much"],
)
def test_a_wrong_choice_fails_where_it_is_written(said: Any, problem: str) -> None:
    """Nobody should learn in an outage that a limit was not what it looked like."""
    with pytest.raises(ConfigError, match=rf"^on_unavailable: .*{problem}"):
        Limit("usd", 1, per="session", on_unavailable=said)


@pytest.mark.parametrize(("unit", "per"), [("steps", "turn"), ("seconds", "turn"), ("tokens", "call")])
def test_a_limit_without_a_ledger_has_no_outage(unit: Any, per: str) -> None:
    """They are kept in state, and hold whatever happens."""
    with pytest.raises(ConfigError, match="need no ledger"):
        Limit(unit, 10, per=per, on_unavailable=allow_local(1))


def test_charges_say_what_their_limits_allow() -> None:
    """Each limit for itself; what is only counted is in nobody's way."""
    budget = Budget([ALLOWED, Limit("model_calls", 9, per="user"), Limit("tool_calls", 9, per="tenant")])
    assert local(budget) == {
        ("session", "usd"): 50_000,
        ("session", "tokens"): MAX_AMOUNT,
        ("session", "model_calls"): MAX_AMOUNT,
        ("session", "tool_calls"): MAX_AMOUNT,
        ("user", "model_calls"): None,
        ("tenant", "tool_calls"): None,
    }


def test_a_budget_that_denies_counts_nothing_alone() -> None:
    """Fail closed means closed for its tool calls, too."""
    assert set(local(Budget([Limit("usd", 1, per="session")])).values()) == {None}


# In a graph


class Gone:
    """A ledger that nobody reaches."""

    instant = False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        raise BudgetUnavailable("test", 2.0)

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return self.execute(commands)


def agent(limit: Limit) -> Any:
    """A gate and a tracked model, on a ledger that is away."""
    backend = MemoryBackend(clock=FakeClock())
    backend.ledger = FallbackLedger(Gone(), backend.clock)  # type: ignore[assignment]
    budget = BudgetCheckNode(Budget([limit]), backend)
    model = budget.model(ScriptedChatModel(["fine"] * 9))

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(call_model))
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded=END))
    return graph.compile()


def asked(limit: Limit) -> list[str]:
    """What one run of the agent says."""
    config = {"configurable": {"thread_id": "t"}}
    found = agent(limit).invoke({"messages": [HumanMessage("?")]}, config)
    return [message.text for message in found["messages"]]


def test_an_agent_goes_on_where_its_limit_allows_it() -> None:
    """Gate, meter and tracked node: each of them asks the ledger, and each must know."""
    assert asked(Limit("model_calls", 9, per="session", on_unavailable=allow_local(2))) == ["?", "fine"]


def test_an_agent_stops_where_its_limit_denies() -> None:
    """The default, and the only choice for money that must not be passed by a cent."""
    with pytest.raises(BudgetUnavailable):
        asked(Limit("model_calls", 9, per="session"))
