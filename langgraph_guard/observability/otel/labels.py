"""Names as the labels of metrics: without secrets, and not more of them than a time series database can bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST: Final = 1_000
"""Different names that are told apart: of models, tools, breakers and graphs together."""
OTHER: Final = "other"
"""All that come after those. Whoever names a run after its user has one series for them, and not one for each."""


class Labels:
    """A function of a name that gives its label. `shown`: what may be shown of it, asked each time: the program's own
    redactor may have failed for once, or know today what it did not know yesterday."""

    def __init__(self, shown: Callable[[str], str], most: int = MOST) -> None:
        self._shown = shown
        self._most = most
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return self._shown(name)
