"""What `setup` hands back: the handlers for a run, and how to send what is waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_guard.observability.flushing import Flusher, flush_all
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.runs import Traces

if TYPE_CHECKING:
    from langfuse import Langfuse

    from langgraph_guard.observability.steps import StepRecorder


class Observability:
    """What `setup` switched on. `handlers` go into a run's callbacks; `run_config` puts them there."""

    def __init__(self, redactor: Redactor) -> None:
        self.handlers: list[BaseCallbackHandler] = []
        self.redactor = redactor
        self.traces = Traces()
        self.client: Langfuse | None = None
        self.recorder: StepRecorder | None = None
        self.flushers: list[Flusher] = []
        self.ends: list[Callable[[], object]] = []
        self.stops: list[Callable[[], object]] = []
        self.closed = False

    def flush(self, timeout: float = 2.0) -> bool:
        """Send what is waiting; whether all of it left, or was given up, within `timeout` seconds."""
        return flush_all(self.flushers, timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Stop listening and flush. Runs under way end as they would; their handlers send nothing more."""
        if self.closed:
            return True
        self.closed = True
        for stop in self.stops:
            stop()
        flushed = self.flush(timeout)
        for end in self.ends:
            end()
        return flushed
