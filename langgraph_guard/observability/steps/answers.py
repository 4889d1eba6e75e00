"""What a model's answer says of itself."""

from __future__ import annotations

from typing import Any

from langchain_core.outputs import LLMResult

from langgraph_guard.errors import GuardError
from langgraph_guard.prices import Usage


def message_of(response: LLMResult) -> Any:
    generation = response.generations[0][0] if response.generations and response.generations[0] else None
    return getattr(generation, "message", None) or getattr(generation, "text", None)


def usage_of(usage_metadata: Any) -> Usage | None:
    try:
        return Usage.from_metadata(usage_metadata)
    except GuardError:
        return None


def model_of(message: Any) -> str | None:
    name = (getattr(message, "response_metadata", None) or {}).get("model_name")
    return name if isinstance(name, str) else None
