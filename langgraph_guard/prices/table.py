"""The user's own prices, by model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.names import undated
from langgraph_guard.prices.price import Price
from langgraph_guard.prices.rates import Rates


class PriceTable:
    """A model is found under its exact name, then under its name without the date.

    The price holds for every provider and service tier. `version` changes with any price in it.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._rates = {_model(name): _price(name, price).rates() for name, price in prices.items()}
        self.version = f"table/{_digest(self._rates)}"

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        return self._rates.get(model) or self._rates.get(undated(model))


def _digest(table: Mapping[str, Rates]) -> str:
    listed = [[model, rates.base, rates.tiers] for model, rates in sorted(table.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]


def _model(name: object) -> str:
    if isinstance(name, str) and name:
        return name
    got = "an empty one" if name == "" else f"a {type(name).__name__}"
    raise ConfigError("prices", f"a model's name is a non-empty str, got {got}")


def _price(name: str, price: object) -> Price:
    if isinstance(price, Price):
        return price
    raise ConfigError(f"prices[{name!r}]", f"must be a Price, got {type(price).__name__}")
