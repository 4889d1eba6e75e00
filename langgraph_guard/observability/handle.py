"""What `setup` hands back: the handlers for a run, how to send what is waiting, and what of it was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_guard.forks import Lock
from langgraph_guard.observability.delivery import Delivery
from langgraph_guard.observability.flushing import Flusher, flush_all, seconds
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.runs import Traces

if TYPE_CHECKING:
    from langfuse import Langfuse

    from langgraph_guard.observability.steps import StepRecorder

HAND_OVER: Final = 30.0
"""Seconds in which the listeners before these may send what they still have. Nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was lost on its way: refused, not sent in time, or let go by a queue that was full. Of spans, scores and
    media since the program began to send there; a span that two places did not take counts twice."""

    steps: int = 0
    spans: int = 0
    scores: int = 0
    media: int = 0

    def __bool__(self) -> bool:
        return bool(self.steps or self.spans or self.scores or self.media)


class Observability:
    """What `setup` switched on. `handlers` go into a run's callbacks; `run_config` puts them there."""

    def __init__(self, redactor: Redactor) -> None:
        self.handlers: list[BaseCallbackHandler] = []
        self.redactor = redactor
        self.traces = Traces()
        self.client: Langfuse | None = None
        self.recorder: StepRecorder | None = None
        self.owns_recorder = False
        self.deliveries: list[Delivery] = []
        self.flushers: list[Flusher] = []
        self.outlets: list[Any] = []
        self.stops: list[Callable[[], object]] = []
        self.ends: list[Callable[[], object]] = []
        self.closed = False
        self._changing = Lock()
        self._has_ended = False

    @property
    def dropped(self) -> Dropped:
        """What was lost so far, steps, spans, scores and media: a figure to show beside the program's others."""
        steps = self.recorder.dropped if self.recorder is not None else 0
        spans, scores, media = (
            sum(each.dropped(what) for each in self.deliveries) for what in ("spans", "scores", "media")
        )
        return Dropped(steps, spans, scores, media)

    def flush(self, timeout: float = 2.0) -> bool:
        """Send what is waiting; whether all of it left, or was given up, within `timeout` seconds."""
        flushed = flush_all(self.flushers, timeout)
        if self._has_ended:
            self._end()  # it woke threads that nobody else stops any more
        return flushed

    def close(self, timeout: float = 2.0) -> bool:
        """Stop listening and flush: what `flush` returns, and `True` where somebody has closed it before.

        Runs under way end as they would; what they say from now on is not shown.
        """
        timeout = seconds(timeout)
        if not self._stop():
            return True
        for outlet in self.outlets:
            outlet.close()
        flushed = self.flush(timeout)
        if self.owns_recorder and self.recorder is not None:
            self.recorder.close(timeout=0.0)  # it had its time
        self._end()
        return flushed

    def hand_over(self) -> None:
        """Make room for others, at once: what is waiting is sent meanwhile, and so is what runs under way still say.

        Where others go on with the same client, its outlets close now: each span would leave by theirs as well.
        """
        if not self._stop():
            return
        for outlet in self.outlets if self.client is not None else ():
            outlet.close()
        threading.Thread(target=self._send_what_is_left, name="langgraph_guard hand over", daemon=True).start()

    def _send_what_is_left(self) -> None:
        if self.flush(HAND_OVER):
            self._end()  # else the end of the program tries once more

    def _stop(self) -> bool:
        """Whether nobody did before: two may close at once."""
        with self._changing:
            was_closed, self.closed = self.closed, True
        for stop in self.stops if not was_closed else ():
            stop()
        return not was_closed

    def _end(self) -> None:
        self._has_ended = True
        for end in self.ends:
            end()
        for flusher in self.flushers:
            flusher.stop()
