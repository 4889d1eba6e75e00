"""The settings of a `SummarizationNode`, checked when the graph is built."""

from __future__ import annotations

import math
from typing import Any, Final

from langchain_core.runnables import Runnable

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.summarization.asking import Summarizer, chat_models, checked, name_of, profile_of
from langgraph_guard.policies.calls import DEFAULT_MAX_OUTPUT
from langgraph_guard.policies.compaction import Waters
from langgraph_guard.tools.breaker import CircuitBreaker
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT

LEAST_LIMIT: Final = 64
"""Tokens. With fewer there is no room for anything."""

MOST_SUMMARY: Final = 4_000
"""Tokens of a summary, unless its owner wants more."""


def waters(model: Any, max_tokens: Any, reserve: Any, trigger: Any, target: Any) -> Waters:
    limit = limit_of(model, max_tokens)
    if reserve is None:
        reserve = min(DEFAULT_MAX_OUTPUT, limit // 8)
    if type(reserve) is not int or not 0 <= reserve < limit:
        raise ConfigError("reserve", f"must be tokens from 0 up, below max_tokens ({limit})")
    check_share("trigger", trigger, 1.0)
    check_share("target", target, trigger)
    if target == trigger:
        raise ConfigError("target", f"must be below the trigger ({trigger}): else there is work to do at each step")
    return Waters(limit, reserve, trigger, target)


def limit_of(model: Any, max_tokens: Any) -> int:
    """The context of the agent's model: a number, or what a model says of itself."""
    if isinstance(max_tokens, Runnable) or (max_tokens is None and model is not None):
        asked = max_tokens if max_tokens is not None else model
        found = [profile_of(each) for each in chat_models(asked)]
        if not all(found):
            raise ConfigError("max_tokens", "this model has no profile that says what it can read: give a number")
        return min(each for each in found if each)
    if type(max_tokens) is not int:
        raise ConfigError("max_tokens", "must be a number of tokens, or the agent's model if it has a profile")
    if max_tokens < LEAST_LIMIT:
        raise ConfigError("max_tokens", f"must be {LEAST_LIMIT} tokens or more, is {max_tokens}")
    return max_tokens


def model_name(max_tokens: Any) -> str | None:
    """Whose tokens are counted, if the agent's model was given."""
    return (name_of(chat_models(max_tokens)[0]) or None) if isinstance(max_tokens, Runnable) else None


def check_share(field: str, share: Any, most: float) -> None:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= most:
        raise ConfigError(field, f"must be a part of max_tokens, above 0 and up to {most}")


def check_count(field: str, count: Any, least: int, most: float = math.inf) -> None:
    if type(count) is not int or not least <= count <= most:
        bound = "" if math.isinf(most) else f" to {int(most)}"
        raise ConfigError(field, f"must be a whole number from {least}{bound or ' up'}")


def check_others(
    model: object, mode: object, timeout: object, breaker: object, pin: object, every_n_steps: object
) -> None:
    if model is not None:
        checked(model)
    if mode not in ("replace", "view"):
        raise ConfigError("mode", "must be 'replace' or 'view'")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
        raise ConfigError("timeout", "must be seconds above 0, or None")
    if breaker is not None and not isinstance(breaker, CircuitBreaker):
        raise ConfigError("breaker", f"must be a CircuitBreaker, is a {type(breaker).__name__}")
    if pin is not None and not callable(pin):
        raise ConfigError("pin", f"must be a function of a message, is a {type(pin).__name__}")
    if every_n_steps is not None:
        check_count("every_n_steps", every_n_steps, 1)


def cap_of(summary_tokens: Any, waters: Waters) -> int:
    """The summary's cap: a part of what is left below the target, so that it never is what fills the context."""
    if summary_tokens is None:
        return min(waters.limit // 8, MOST_SUMMARY)
    check_count("summary_tokens", summary_tokens, 1)
    if summary_tokens > waters.low:
        raise ConfigError("summary_tokens", f"must be {waters.low} or fewer, which is what is left after the work")
    return int(summary_tokens)


def window_of(summarizer: Summarizer | None, window: Any, waters: Waters) -> int | None:
    """What the summarizer can read: as its owner says, as it says, or as much as the agent's model."""
    if window is not None:
        check_count("window", window, 1)
    if summarizer is None:
        return None
    return window or summarizer.window or waters.limit


def reads_artifacts(tools: Any) -> bool:
    return any(_name(tool) == READ_ARTIFACT for tool in tools)


def _name(tool: Any) -> Any:
    if isinstance(tool, dict):
        return tool.get("name") or (tool.get("function") or {}).get("name")
    return getattr(tool, "name", None)
