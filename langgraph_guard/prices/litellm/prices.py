"""The price book over the file."""

from __future__ import annotations

from functools import lru_cache
from os import PathLike
from typing import Final

from langgraph_guard.prices.litellm.file import read_entries
from langgraph_guard.prices.litellm.names import is_of, lookups
from langgraph_guard.prices.rates import Rates

REMEMBERED: Final = 1024


class LiteLLMPrices:
    """What the file at `path` says when this is made, checked as a whole; nothing is downloaded.

    It prices tokens by kind (text, cache reads and writes, audio, reasoning), context tier and service tier, and
    requests; what else it lists is left alone. A tier that lacks a price has the price of what it is a tier of.
    Raises `ConfigError` that names what is wrong: the file, its line, or the model and the key.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        digest, self._entries = read_entries(path)
        self.version = f"litellm/{digest}"
        self._found = lru_cache(REMEMBERED)(self._rates)

    def rates(
        self, model: str, provider: str | None, *, tier: str | None = None, at: float | None = None
    ) -> Rates | None:
        """The file has no dates: one price holds for any `at`."""
        return self._found(model, provider, tier)

    def listed(self, provider: str | None, *, tier: str | None = None, at: float | None = None) -> list[Rates]:
        chats = (entry for entry in self._entries.values() if entry.is_chat and is_of(entry.provider, provider))
        return [entry.rates(tier) for entry in chats]

    def _rates(self, model: str, provider: str | None, tier: str | None) -> Rates | None:
        for who, name in lookups(model, provider):
            entry = self._entries.get(name)
            if entry is not None and is_of(entry.provider, who):
                return entry.rates(tier)
        return None
