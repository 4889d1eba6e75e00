"""What calls cost: models by the book, as it was when they were asked, and tools by prices of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_guard.errors import PriceUnknown
from langgraph_guard.policies.calls import Cost
from langgraph_guard.prices import PriceBook, Rates, ToolPrice, Usage
from langgraph_guard.prices.rates import BASES
from langgraph_guard.prices.tools import run_by_provider, worst_of_tools
from langgraph_guard.prices.unknown import FREE


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model, as the price book asks for it."""

    name: str
    provider: str | None = None
    tier: str | None = None


NO_MODEL: Final = ModelRef("")
"""What tools are charged to."""


class Pricing:
    """The prices of one budget. `required`: whether a model without one must not be called."""

    def __init__(self, book: PriceBook, tools: Mapping[str, ToolPrice], *, required: bool) -> None:
        self.tools = tools
        self._book = book
        self._required = required

    @property
    def version(self) -> str:
        return self._book.version

    def rates(self, model: ModelRef, at: float) -> Rates | None:
        """Prices of `model`. Raises `PriceUnknown` when there are none and a usd limit needs them."""
        rates = self._book.rates(model.name, model.provider, tier=model.tier, at=at)
        if rates is None and self._required:
            raise PriceUnknown(model.name or "", model.provider)
        return rates

    def worst(self, rates: Rates | None) -> Cost | None:
        """The most that a call at `rates` can cost; `None` when nothing in it has a price. The tools that a provider
        runs for a model without one are charged all the same."""
        if rates is None:
            return FREE.worst if self.tools else None
        return rates.worst

    def of_answer(self, models: Iterable[ModelRef], usage: Usage, at: float) -> Rates | None:
        """Prices of the model that answered, or of the one that was asked, as they were at `at`.

        The user's own price of either comes before a list's, and what is assumed for an unknown model comes last.
        """
        asked = (self._book.rates(m.name, m.provider, tier=usage.tier or m.tier, at=at) for m in models)
        return min(filter(None, asked), key=lambda rates: BASES.index(rates.basis), default=None)

    def ran(self, answer: Any) -> list[str]:
        """The tools that the provider ran for an answer, or for a part of it, one by one."""
        return list(run_by_provider(answer).elements()) if self.tools else []

    def of_tools(self, names: Iterable[str]) -> int:
        """The most that one call of each of these tools can cost, in micro-USD."""
        return worst_of_tools(self.tools, names) if self.tools else 0
