"""Policies as graph nodes: Runnables that write a verdict, with `.route` and `.paths` for conditional edges."""

from langgraph_guard.nodes.breaker import CircuitBreakerNode
from langgraph_guard.nodes.budget import BudgetCheckNode
from langgraph_guard.nodes.callback import BudgetCallback
from langgraph_guard.nodes.finish import FinishNode
from langgraph_guard.nodes.fuse import fuse
from langgraph_guard.nodes.guard import Guard
from langgraph_guard.nodes.loops import LoopCheckNode
from langgraph_guard.nodes.model import MeteredModel
from langgraph_guard.nodes.report import GuardReport, aguard_report, guard_report, report_of
from langgraph_guard.nodes.summarization import SummarizationNode

__all__ = [
    "BudgetCallback",
    "BudgetCheckNode",
    "CircuitBreakerNode",
    "FinishNode",
    "Guard",
    "GuardReport",
    "LoopCheckNode",
    "MeteredModel",
    "SummarizationNode",
    "aguard_report",
    "fuse",
    "guard_report",
    "report_of",
]
