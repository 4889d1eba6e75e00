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


@runtime_checkable
class Listing(PriceBook, Protocol):
    """A price book that knows all its models: needed to assume a price for one that it lacks."""

    def listed(self, provider: str | None, *, tier: str | None = None, at: float | None = None) -> list[Rates]:
        """Rates of every chat model, of one provider or of all (`None`)."""
        ...


class FirstOf:
    """Several books, asked in order."""

    def __init__(self, *books: PriceBook) -> None:
        self.books = books

    @property
    def version(self) -> str:
        return " ".join(book.version for book in self.books)

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        found = (book.rates(model, provider, tier=tier, at=at) for book in self.books)
        return next((rates for rates in found if rates is not None), None)

    def listed(self, provider: str | None, *, tier: str | None = None, at: float | None = None) -> list[Rates]:
        listings = (book for book in self.books if isinstance(book, Listing))
        return [rates for book in listings for rates in book.listed(provider, tier=tier, at=at)]
