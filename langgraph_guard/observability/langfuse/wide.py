"""Who asked, and in which session: what all observations of a trace carry.

The SDK hands it on by context variables, and in async runs each callback has a context of its own: so it is handed on
by the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langgraph_guard.observability.langfuse import private

if TYPE_CHECKING:
    from langfuse.langchain import CallbackHandler


MOST: Final = 10_000
"""Runs under way that are kept: of some, nobody tells the end."""


class Wide:
    """The attributes of the runs under way, by the id of the root."""

    def __init__(self, handler: CallbackHandler, most: int = MOST) -> None:
        self._handler = handler
        self._most = most
        self._of: dict[UUID, dict[str, Any]] = {}

    def began(self, run_id: UUID, observation: Any) -> None:
        if private.root(self._handler, run_id) == run_id:
            self._of[run_id] = private.trace_wide(observation)
        else:
            self.hand_on(run_id, observation)

    @property
    def given_up(self) -> UUID | None:
        """The oldest run, when there are more than can be kept."""
        return next(iter(self._of)) if len(self._of) > self._most else None

    def hand_on(self, run_id: UUID, observation: Any) -> None:
        """To an observation within the run: what it has not got already."""
        root = private.root(self._handler, run_id)
        wide = self._of.get(root) if root is not None else None
        span = private.span(observation)
        missing = {name: value for name, value in (wide or {}).items() if name not in (span.attributes or {})}
        if missing:
            span.set_attributes(missing)

    def over(self, run_id: UUID) -> None:
        self._of.pop(run_id, None)
