"""Every attribute and metric name that the package writes.

The `gen_ai.*` names follow OpenTelemetry's GenAI conventions, which are still in development, so they are written out
here and not imported. They know no guards yet: those have a namespace of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Attributes
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
CONVERSATION: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name
ERROR_TYPE: Final = "error.type"
USER: Final = "user.id"
COST: Final = "langgraph_guard.cost.usd"
EVENT: Final = "langgraph_guard.event"
DECISION: Final = "langgraph_guard.decision"
GUARD: Final = "langgraph_guard.guard"

OPERATIONS: Final[Mapping[str, str]] = {
    "generation": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "agent": "invoke_agent",
    "guardrail": "apply_guardrail",
}
"""From Langfuse's types of observation; a node of a graph has no word in the conventions."""

# Metrics: name → unit, and what it says. Never the unit "1": Prometheus would call such a gauge a `_ratio`.
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "langgraph_guard.decisions": ("{decision}", "What guards decided, by guard and decision"),
    "langgraph_guard.cost": ("USD", "What model calls cost, by model"),
    "langgraph_guard.session.cost": ("USD", "What a session has cost, at the end of each of its runs"),
    "langgraph_guard.budget.remaining": ("{unit}", "What is left of a shared limit, by scope and unit"),
    "langgraph_guard.budget.limit": ("{unit}", "A shared limit, by scope and unit"),
    "langgraph_guard.breaker.state": ("{state}", "0 closed, 1 half open, 2 open"),
    "langgraph_guard.approval.wait": ("s", "How long a run waited for a person's answer"),
    "langgraph_guard.runs.active": ("{run}", "Runs under way"),
    "langgraph_guard.runs.oldest_age": ("s", "Age of the oldest run under way: one that is stuck never ends"),
    "gen_ai.client.token.usage": ("{token}", "Tokens of a model call"),
    "gen_ai.client.operation.duration": ("s", "How long a model call took"),
    "gen_ai.execute_tool.duration": ("s", "How long a tool call took"),
    "gen_ai.invoke_agent.duration": ("s", "How long a run took"),
}
COSTS: Final = (1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0)
TOKENS: Final = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
WAITS: Final = (1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0)
BUCKETS: Final[Mapping[str, tuple[float, ...]]] = {
    "langgraph_guard.session.cost": COSTS,
    "langgraph_guard.approval.wait": WAITS,
    "gen_ai.client.token.usage": TOKENS,
    "gen_ai.client.operation.duration": SECONDS,
    "gen_ai.execute_tool.duration": SECONDS,
    "gen_ai.invoke_agent.duration": SECONDS,
}
