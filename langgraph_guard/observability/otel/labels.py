"""Names as the labels of metrics: without secrets, and not more of them than a time series database can bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST: Final = 1_000
"""Different names that are told apart: of models, tools, breakers and graphs together."""
OTHER: Final = "other"
"""All that come after those. Whoever names a run after its user has one series for them, and not one for each."""


class Labels:
    """A function of a name that gives its label. `shown`: what may be shown of it."""

    def __init__(self, shown: Callable[[str], str], most: int = MOST) -> None:
        self._shown = shown
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        label = self._known.get(name)
        if label is None:
            label = self._shown(name) if len(self._known) < self._most else OTHER
            if label != OTHER:
                self._known[name] = label
        return label
