"""WHAT IT COSTS: usage → micro-USD, rounded up, over genai-prices, a file in LiteLLM's format or the user's own table.

`Usage` is what a call consumed, `Rates` is what a model charges, and a `PriceBook` finds the rates of a model. A model
that no book knows has no rates: `None`, never zero, unless `price_book(unknown=…)` says what to assume.
"""

from langgraph_guard.prices.book import PriceBook
from langgraph_guard.prices.choose import price_book
from langgraph_guard.prices.genai import GenaiPrices
from langgraph_guard.prices.litellm import LiteLLMPrices
from langgraph_guard.prices.price import Price
from langgraph_guard.prices.rates import Rates
from langgraph_guard.prices.tools import ToolPrice
from langgraph_guard.prices.usage import Usage

__all__ = ["GenaiPrices", "LiteLLMPrices", "Price", "PriceBook", "Rates", "ToolPrice", "Usage", "price_book"]
