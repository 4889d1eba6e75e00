"""How big it is: counting tokens before the provider does, offline."""

from langgraph_guard.tokens.counter import PromptCounter, TokenCounter, TokenEstimate, count_tokens
from langgraph_guard.tokens.loading import look_again

__all__ = ["PromptCounter", "TokenCounter", "TokenEstimate", "count_tokens", "look_again"]
