"""What users pass as `prices=`, as a price book."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.book import FirstOf, PriceBook
from langgraph_guard.prices.genai import GenaiPrices
from langgraph_guard.prices.price import Price
from langgraph_guard.prices.table import PriceTable
from langgraph_guard.prices.unknown import Unknown, with_unknown


def price_book(*prices: Mapping[str, Price] | PriceBook | None, unknown: Unknown = "fail") -> PriceBook:
    """Tables of `Price` by model and price books as one, asked in this order; genai-prices last if no book is given.

    `unknown` says what a model costs that none of them knows. `"fail"`: it has no price, and a usd limit refuses its
    calls. `"assume"`: of every kind of token, the dearest price known of its provider, else of all. `"zero"`: nothing,
    so usd limits do not bound it.
    """
    books = [_book(each) for each in prices if each is not None]
    if all(isinstance(book, PriceTable) for book in books):
        books.append(GenaiPrices())
    return with_unknown(books[0] if len(books) == 1 else FirstOf(*books), unknown)


def _book(prices: object) -> PriceBook:
    if isinstance(prices, Mapping):
        return PriceTable(prices)
    if isinstance(prices, PriceBook) and not isinstance(prices, type):
        return prices
    raise ConfigError("prices", f"must be a mapping of model to Price, or a PriceBook, got {type(prices).__name__}")
