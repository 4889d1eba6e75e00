"""Guards for LangGraph agents: budgets that hold, runs that end well, state that survives.

policies    what should happen: pure decisions
prices      what it costs
tokens      how big it is
state       what travels in the graph
events      what it says
backends    what processes share
tools       what happens around a tool call
nodes       policies as graph nodes
checkpoint  where runs survive
observability  who listens
testing     for your tests and ours
cli         `langgraph-guard demo`, and what people do from a terminal

Every name below is imported when it is first used, so `import langgraph_guard` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_guard.backends import MemoryBackend as MemoryBackend
    from langgraph_guard.backends.redis import RedisBackend as RedisBackend
    from langgraph_guard.backends.sqlite import SqliteBackend as SqliteBackend
    from langgraph_guard.errors import BudgetExceeded as BudgetExceeded
    from langgraph_guard.errors import BudgetUnavailable as BudgetUnavailable
    from langgraph_guard.errors import CircuitOpen as CircuitOpen
    from langgraph_guard.errors import ConfigError as ConfigError
    from langgraph_guard.errors import GuardError as GuardError
    from langgraph_guard.errors import IdentityMissing as IdentityMissing
    from langgraph_guard.errors import PriceUnknown as PriceUnknown
    from langgraph_guard.nodes import BudgetCheckNode as BudgetCheckNode
    from langgraph_guard.nodes import CircuitBreakerNode as CircuitBreakerNode
    from langgraph_guard.nodes import FinishNode as FinishNode
    from langgraph_guard.nodes import GuardReport as GuardReport
    from langgraph_guard.nodes import LoopCheckNode as LoopCheckNode
    from langgraph_guard.nodes import SummarizationNode as SummarizationNode
    from langgraph_guard.nodes import aguard_report as aguard_report
    from langgraph_guard.nodes import fuse as fuse
    from langgraph_guard.nodes import guard_report as guard_report
    from langgraph_guard.nodes import report_of as report_of
    from langgraph_guard.nodes.approval import HumanApprovalNode as HumanApprovalNode
    from langgraph_guard.policies.approval.rules import ApprovalRule as ApprovalRule
    from langgraph_guard.policies.budget import Budget as Budget
    from langgraph_guard.policies.budget import Limit as Limit
    from langgraph_guard.policies.budget import allow_local as allow_local
    from langgraph_guard.prices import LiteLLMPrices as LiteLLMPrices
    from langgraph_guard.prices import Price as Price
    from langgraph_guard.prices import ToolPrice as ToolPrice
    from langgraph_guard.prices import price_book as price_book
    from langgraph_guard.state import BudgetState as BudgetState
    from langgraph_guard.state import GuardState as GuardState
    from langgraph_guard.tokens import TokenCounter as TokenCounter
    from langgraph_guard.tokens import count_tokens as count_tokens
    from langgraph_guard.tools import ToolContract as ToolContract
    from langgraph_guard.tools import ToolGuard as ToolGuard
    from langgraph_guard.tools import ToolResult as ToolResult
    from langgraph_guard.tools import contract as contract
    from langgraph_guard.tools.breaker import CircuitBreaker as CircuitBreaker
    from langgraph_guard.tools.guard.idempotency import idempotency_key as idempotency_key

_WHERE = {
    "ApprovalRule": "policies.approval.rules",
    "Budget": "policies.budget",
    "BudgetCheckNode": "nodes",
    "BudgetExceeded": "errors",
    "BudgetState": "state",
    "BudgetUnavailable": "errors",
    "CircuitBreaker": "tools.breaker",
    "CircuitBreakerNode": "nodes",
    "CircuitOpen": "errors",
    "ConfigError": "errors",
    "FinishNode": "nodes",
    "GuardError": "errors",
    "GuardReport": "nodes",
    "GuardState": "state",
    "HumanApprovalNode": "nodes.approval",
    "IdentityMissing": "errors",
    "Limit": "policies.budget",
    "LiteLLMPrices": "prices",
    "LoopCheckNode": "nodes",
    "MemoryBackend": "backends",
    "Price": "prices",
    "PriceUnknown": "errors",
    "RedisBackend": "backends.redis",
    "SqliteBackend": "backends.sqlite",
    "SummarizationNode": "nodes",
    "TokenCounter": "tokens",
    "ToolContract": "tools",
    "ToolGuard": "tools",
    "ToolPrice": "prices",
    "ToolResult": "tools",
    "aguard_report": "nodes",
    "allow_local": "policies.budget",
    "contract": "tools",
    "count_tokens": "tokens",
    "fuse": "nodes",
    "guard_report": "nodes",
    "idempotency_key": "tools.guard.idempotency",
    "price_book": "prices",
    "report_of": "nodes",
}

__all__ = [  # noqa: PLE0604 - the keys of one table, so that names and places cannot drift apart
    *_WHERE,
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
