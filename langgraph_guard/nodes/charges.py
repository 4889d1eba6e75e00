"""What a budget does for a `ToolGuard`: each attempt is counted and paid for, and models within it are metered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import BudgetLedger, Clock
from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.nodes.callback import BudgetCallback, Made, tracking
from langgraph_guard.nodes.held import charging
from langgraph_guard.nodes.metering import LedgerFlow, Meter
from langgraph_guard.nodes.tools import ToolCall, ToolCalls
from langgraph_guard.state.views import peek


class ToolCharges:
    """The charges of one budget. `begin` comes before each attempt, and one of the others after it."""

    def __init__(self, meter: Meter, tools: ToolCalls, callback: BudgetCallback) -> None:
        self._meter = meter
        self._tools = tools
        self._callback = callback

    @property
    def ledger(self) -> BudgetLedger:
        return self._meter.backend.ledger

    @property
    def clock(self) -> Clock:
        return self._meter.backend.clock

    def begin(self, id: str, tool: str, attempt: int, config: RunnableConfig) -> LedgerFlow:
        """Count an attempt: what to `end` it with. Raises `BudgetExceeded`; then nothing is held.

        The first attempt of a call that a tracked model asked for was charged there.
        """
        run = self._meter.run_of(config)
        self.seconds_left(config)
        if run is not None:
            self._tools.recall(run, peek(config, "guard_asked").get("guard_asked"))
            if attempt == 1 and id in run.asked_for:
                batch = run.unsettled.get(id)
                return Made(batch, id) if batch else None
        own = uuid.uuid4().hex
        batch = yield from self._tools.make(ToolCall(own, tool), config)
        return Made(batch, own)

    def end(self, made: Made | None, result: Any) -> LedgerFlow:
        """The attempt has ended; `result` tells what it used, `None` that nobody knows."""
        if made is not None:
            yield from self._tools.end(made.batch, made.id, result)

    def interrupted(self, made: Made | None) -> LedgerFlow:
        """The attempt waits for somebody, and will be made again."""
        if made is not None:
            yield from self._tools.interrupted(made.batch)

    def seconds_left(self, config: RunnableConfig) -> float | None:
        """Seconds that a call may take; `None` without a limit. Raises `BudgetExceeded` when there are none left."""
        run = self._meter.run_of(config)
        try:
            return self._meter.time_left(run, landing=False)
        except BudgetExceeded as error:
            raise self._meter.deny(error, run) from None

    @contextmanager
    def watching(self, id: str) -> Iterator[None]:
        """Meter the models that the call `id` asks. The call itself is charged already."""
        token = charging.set(charging.get() | {(self._meter, id)})
        try:
            with tracking(self._callback):
                yield
        finally:
            charging.reset(token)
