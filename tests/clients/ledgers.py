"""What the tests of the clients ask of a budget."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend
from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import Account, Balance, Read
from langgraph_guard.testing import FakeClock

HOWS = ("invoke", "ainvoke", "stream", "astream")

THREAD: Any = {"configurable": {"thread_id": "t"}}


def budget_of(*limits: Limit, **settings: Any) -> BudgetCheckNode:
    """A budget of `limits`, ten dollars per session unless told otherwise, on a clock that nobody waits for."""
    backend = MemoryBackend(clock=FakeClock(1_795_000_000.0))
    return BudgetCheckNode(Budget(limits or [Limit("usd", 10, per="session")]), backend, **settings)


def balances(budget: BudgetCheckNode) -> dict[str, Balance]:
    """What the ledger says of the thread, by unit."""
    accounts = tuple(Account("", "session", "t", unit) for unit in LEDGER_UNITS)
    (found,) = budget._ledger.execute([Read(accounts)])
    return dict(zip(LEDGER_UNITS, found, strict=True))  # type: ignore[arg-type]


def spent(budget: BudgetCheckNode, unit: str = "usd") -> int:
    """What the thread has spent."""
    return balances(budget)[unit].spent


def held(budget: BudgetCheckNode) -> int:
    """What is reserved in the thread's name."""
    return sum(balance.reserved for balance in balances(budget).values())


async def ask(model: Any, how: str, question: Any = "hi", **kwargs: Any) -> AIMessage:
    """Call `model` in one of `HOWS`; streams are read to their end and put together."""
    if how == "invoke":
        return model.invoke(question, THREAD, **kwargs)
    if how == "ainvoke":
        return await model.ainvoke(question, THREAD, **kwargs)
    if how == "stream":
        chunks = list(model.stream(question, THREAD, **kwargs))
    else:
        chunks = [chunk async for chunk in model.astream(question, THREAD, **kwargs)]
    return sum(chunks[1:], start=chunks[0])
