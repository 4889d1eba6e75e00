"""Model calls under way: the observation of a metered call waits for what the call cost.

A meter says what a call cost after LangChain said that the call ended, and an ended observation cannot be changed. So
the observation of a metered call stays open until its reservation is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langgraph_guard.events import RESERVATIONS
from langgraph_guard.observability.charges import EVENTS, Charges
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.langfuse.costs import Late

if TYPE_CHECKING:
    from langfuse.langchain import CallbackHandler


class Calls:
    """Those of one handler, and the charges that they wait for."""

    def __init__(self, handler: CallbackHandler) -> None:
        self._handler = handler
        self._charges = Charges()

    def began(self, run_id: UUID, metadata: Mapping[str, Any] | None) -> None:
        """A wrapped model tells with the call what was reserved for it."""
        root = private.root(self._handler, run_id) or run_id
        self._charges.began(run_id, run_id, (metadata or {}).get(RESERVATIONS), root)

    def said(self, event: str, data: Mapping[str, Any]) -> None:
        """An event of the budget's may be about a bill."""
        if event in EVENTS:
            self._charges.say(event, data)

    @contextmanager
    def ending(self, run_id: UUID) -> Iterator[None]:
        """Within, the stock handler ends a call, and of a metered one something that ends later."""
        observation = private.observation(self._handler, run_id)
        if observation is None or not self._charges.is_metered(run_id):
            self._charges.ended(run_id, lambda _: None)
            yield
            return
        late = Late(observation)
        private.put(self._handler, run_id, late)
        yield
        if not self._charges.ended(run_id, late.close):
            late.close(None)  # forgotten meanwhile: nobody else would

    def left(self, run_id: UUID, observation: Any) -> None:
        """The run around a call has ended, and nobody told the call's own end."""
        late = Late(observation).end()
        if not self._charges.ended(run_id, late.close):
            late.close(None)

    def forget(self, root: UUID) -> None:
        self._charges.forget(root)
