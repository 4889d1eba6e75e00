"""How a tool is used: admitted by the breaker, charged to the budget, in time, and again where that is safe."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from langgraph.errors import GraphBubbleUp, is_invalid_resume
from langgraph.prebuilt.tool_node import ToolInvocationError

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.errors import BudgetExceeded, BudgetUnavailable
from langgraph_guard.events import emit
from langgraph_guard.tools.breaker import CircuitBreaker, Refused
from langgraph_guard.tools.guard import checks
from langgraph_guard.tools.guard.answer import Answer, answer, heard
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.guard.idempotency import offered
from langgraph_guard.tools.guard.protocols import ToolCharges
from langgraph_guard.tools.guard.running import Pause, ToolFlow, Use, asking
from langgraph_guard.tools.results.advice import REPEATABLE
from langgraph_guard.tools.results.result import ToolResult

_log = logging.getLogger(__name__)

NOBODY_KNOWS: Final = None
"""What a call used, when its end was not told."""

IN_DOUBT: Final = (
    "No answer came in time, and {name} has side effects: they may have happened, or may yet. Do not call it again."
)

MAX_PAUSE: Final = 30.0
"""Seconds that a retry may be waited for."""

MOST_RETRIES: Final = 10.0
"""Retries that a tool may have at once: a short run has them before it made the calls that pay for them."""


class RetryBudget:
    """How many retries a tool may have: a share of its calls, so that retries never become most of the load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, float] = {}

    def called(self, tool: str, share: float) -> None:
        with self._lock:
            self._left[tool] = min(self._left.get(tool, MOST_RETRIES) + share, MOST_RETRIES)

    def spend(self, tool: str) -> bool:
        """Take one retry, if there is one."""
        with self._lock:
            left = self._left.get(tool, MOST_RETRIES)
            if left < 1:
                return False
            self._left[tool] = left - 1
            return True


class Attempts:
    """Uses tools for one guard."""

    def __init__(
        self,
        charges: ToolCharges | None,
        breaker: CircuitBreaker | None,
        clock: Clock,
        timeout: float | None,
        max_pause: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._charges = charges
        self._breaker = breaker
        self._clock = clock
        self._timeout = timeout
        self._max_pause = max_pause
        self._chance = chance
        self._retries = RetryBudget()

    def make(self, call: GuardedCall) -> ToolFlow:
        """The last attempt's answer. Raises what is no failure of the tool: interrupts, cancellation, exits."""
        if call.contract is not None and call.contract.may_retry:
            self._retries.called(call.name, call.contract.retry_policy.budget)
        attempt = 0
        while True:
            attempt += 1
            found = yield from self._admitted(call, attempt)
            pause = self._pause(call, found, attempt)
            if pause is None:
                found = yield from self._told_when(call, found)
                found.error, found.attempts = None, attempt  # whose traceback would keep the frames of the call
                return found
            emit("tool.retried", tool=call.name, attempt=attempt, pause=pause, error_type=_kind(found))
            yield [Pause(pause)]

    # One attempt

    def _admitted(self, call: GuardedCall, attempt: int) -> ToolFlow:
        """An attempt that the breaker knows of."""
        breaker = self._breaker
        if breaker is None:
            return (yield from self._charged(call, attempt))
        admitted = yield from asking(breaker.registry, breaker.admitting(breaker.key_of(call.name, call.args)))
        if isinstance(admitted, Refused):
            return answer(call, ToolResult.from_exception(admitted.error()))
        try:
            found = yield from self._charged(call, attempt)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from asking(breaker.registry, breaker.recording(admitted, breaker.outcome_of(error)))
            raise
        outcome = breaker.outcome_of(found.error or found.result or found.output)
        yield from asking(breaker.registry, breaker.recording(admitted, outcome, found.seconds))
        return found

    def _told_when(self, call: GuardedCall, found: Answer) -> ToolFlow:
        """A failure that left its circuit open says when to come back: "call it once more" would be wrong by now."""
        breaker, result = self._breaker, found.result
        if breaker is None or result is None or not result.retry_safe or result.error_type not in REPEATABLE:
            return found
        key = breaker.key_of(call.name, call.args)
        (status,) = (yield from asking(breaker.registry, breaker.peeking([key]))).values()
        if status.admits or status.wait_ms is None:
            return found
        later = max(status.wait_ms / 1_000, result.retry_after or 0.0)
        told = answer(call, result.model_copy(update={"retry_after": later}))
        found.output, found.result = told.output, told.result
        return found

    def _charged(self, call: GuardedCall, attempt: int) -> ToolFlow:
        """An attempt that the budget pays for."""
        charges = self._charges
        if charges is None:
            return (yield from self._used(call))
        try:
            made = yield from asking(charges.ledger, charges.begin(call.id, call.name, attempt, call.config))
        except (BudgetExceeded, BudgetUnavailable) as error:
            return answer(call, ToolResult.from_exception(error), error)
        try:
            found = yield from self._used(call)
        except GeneratorExit:
            raise
        except GraphBubbleUp:
            yield from asking(charges.ledger, charges.interrupted(made))
            raise
        except BaseException:
            yield from asking(charges.ledger, charges.end(made, NOBODY_KNOWS))
            raise
        yield from asking(charges.ledger, charges.end(made, found.output))
        return found

    def _used(self, call: GuardedCall) -> ToolFlow:
        """The tool's own answer, or what its failure says."""
        checks.count(call)
        watching = self._charges.watching(call.id) if self._charges else nullcontext()
        began = self._clock.now()
        try:
            with watching, offered(call.idempotency_key):
                use = Use(call.request, self._seconds(call))
                call.made = True
                (output,) = yield [use]
        except GraphBubbleUp:
            raise
        except Exception as error:
            if is_invalid_resume(error):
                raise
            found = answer(call, self._failure(call, error), error)
            if call.made and not (call.contract and call.contract.logs):  # whose own line says it
                _log.info("%s failed: %s at %s", call.name, type(error).__name__, _place(error))
        else:
            found = heard(call, output)
        found.seconds = self._clock.now() - began
        return found

    def _failure(self, call: GuardedCall, error: Exception) -> ToolResult:
        if isinstance(error, ToolInvocationError):
            call.made = False
            found = error.filtered_errors if error.filtered_errors is not None else error.source.errors()
            return checks.wrong_arguments(call, found)
        result = ToolResult.from_exception(error, now=self._clock.now())
        if result.error_type == "timeout" and call.has_effects:
            return ToolResult.error("timeout", IN_DOUBT.format(name=call.name), retry_safe=False)
        return result.narrowed(call.contract is None or not call.has_effects or call.contract.idempotent)

    def _seconds(self, call: GuardedCall) -> float | None:
        """How long an attempt may take: what the contract says, within what is left of the turn."""
        own = call.contract.timeout if call.contract else self._timeout
        left = self._charges.seconds_left(call.config) if self._charges else None
        return own if left is None else left if own is None else min(own, left)

    # Again

    def _pause(self, call: GuardedCall, found: Answer, attempt: int) -> float | None:
        """Seconds until the next attempt; `None` when there is none."""
        contract, result = call.contract, found.result
        if contract is None or result is None or not contract.may_retry or attempt >= contract.attempts:
            return None
        if not result.retry_safe or result.error_type not in REPEATABLE:
            return None
        pause = max(contract.backoff(attempt, self._chance()), result.retry_after or 0.0)
        return pause if self._fits(call, pause) and self._retries.spend(call.name) else None

    def _fits(self, call: GuardedCall, pause: float) -> bool:
        """Whether the turn, and the patience of the guard, last longer than the pause."""
        try:
            left = self._charges.seconds_left(call.config) if self._charges else None
        except BudgetExceeded:
            return False
        return pause <= self._max_pause and (left is None or pause < left)


def _place(error: BaseException) -> str:
    """Where it was raised, as file and line: what its text says may be anybody's secret."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "an unknown place"


def _kind(found: Answer) -> str | None:
    return found.result.error_type if found.result else None
