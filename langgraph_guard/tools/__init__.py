"""What happens around a tool call.

results      what came of it: `ToolResult`, and what an exception says
contracts    what a tool may do: `ToolContract`, from a decorator, a mapping or YAML
breaker      services that fail are left alone: `CircuitBreaker`
content      what the model reads of a result: fields, order, artifacts, cleaning
guard        all of it around a `ToolNode`: `ToolGuard`
"""

from langgraph_guard.tools.breaker import CircuitBreaker
from langgraph_guard.tools.contracts import Contracts, ToolContract, contract
from langgraph_guard.tools.guard import ToolGuard
from langgraph_guard.tools.results import ToolResult

__all__ = ["CircuitBreaker", "Contracts", "ToolContract", "ToolGuard", "ToolResult", "contract"]
