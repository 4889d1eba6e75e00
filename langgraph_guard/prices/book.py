"""Where rates are found."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langgraph_guard.prices.rates import Rates


@runtime_checkable
class PriceBook(Protocol):
    """Knows what models charge. `version` names its state, so that a charge can be recomputed later."""

    @property
    def version(self) -> str: ...

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        """The rates of `model`, or `None` when they are not known.

        `provider` is LangChain's name of it, `tier` the service tier, `at` the time of the call in epoch seconds
        (now, if `None`).
        """
        ...
