"""What users pass as `prices=`, as a price book."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.book import PriceBook
from langgraph_guard.prices.genai import GenaiPrices
from langgraph_guard.prices.price import Price
from langgraph_guard.prices.table import PriceTable


def price_book(prices: Mapping[str, Price] | PriceBook | None = None) -> PriceBook:
    """genai-prices for `None`; a table of `Price` by model before genai-prices; a `PriceBook` as it is."""
    if prices is None:
        return GenaiPrices()
    if isinstance(prices, Mapping):
        return PriceTable(prices, GenaiPrices())
    if isinstance(prices, PriceBook) and not isinstance(prices, type):
        return prices
    raise ConfigError("prices", f"must be a mapping of model to Price, or a PriceBook, got {type(prices).__name__}")
