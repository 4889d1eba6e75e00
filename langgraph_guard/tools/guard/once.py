"""Side effects that were made, so that a step which runs again does not make them again.

LangGraph runs a whole tools node again when one of its calls fails under a retry policy, or waits for a person. What a
call with side effects came to is remembered for that; in this process, so it holds within a turn, not across a crash.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from langgraph_guard.tools.guard.answer import Answer

KEPT: Final = 4_096


class Effects:
    """What calls with side effects came to, by the call's key; `None` while one is under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Answer | None] = OrderedDict()

    def claim(self, key: Hashable) -> bool:
        """Whether this is the first to make the call; else `outcome` has what is known of it."""
        with self._lock:
            if key in self._known:
                return False
            self._known[key] = None
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return True

    def outcome(self, key: Hashable) -> Answer | None:
        with self._lock:
            return self._known.get(key)

    def done(self, key: Hashable, answer: Answer) -> None:
        with self._lock:
            self._known[key] = answer

    def undone(self, key: Hashable) -> None:
        """It did not happen: the next one may make it."""
        with self._lock:
            self._known.pop(key, None)
