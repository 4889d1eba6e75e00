"""How big it is: counting tokens before the provider does, offline."""

from langgraph_guard.tokens.estimate import TokenCounter, estimate_tokens

__all__ = ["TokenCounter", "estimate_tokens"]
