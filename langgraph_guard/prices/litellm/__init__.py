"""Prices from a file in LiteLLM's format, `model_prices_and_context_window.json`; the file alone, not the package."""

from langgraph_guard.prices.litellm.prices import LiteLLMPrices

__all__ = ["LiteLLMPrices"]
