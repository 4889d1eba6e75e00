"""The calls of one circuit: a short way for what succeeds while it is closed, and a flow for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from langgraph_guard.backends.memory.tally import SHUT, Tally
from langgraph_guard.backends.protocols import Clock
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.breaker.circuit import Outcome
from langgraph_guard.policies.breaker.commands import Command, Reply
from langgraph_guard.tools.breaker.permits import Permit, Refused
from langgraph_guard.tools.breaker.shared import BreakerFlow

PLAIN: Final[frozenset[type]] = frozenset(
    {type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset},
)
"""Types of results that can only be a success: they have no `error_type`. A subclass may have one."""

CALL: Final = object()
"""The command of a flow that makes the call."""


class Breaker(Protocol):
    """What calls are made under."""

    @property
    def clock(self) -> Clock: ...
    def outcome_of(self, ended: object) -> Outcome: ...
    def admitting(self, key: str) -> BreakerFlow[Permit | Refused]: ...
    def recording(self, permit: Permit, outcome: Outcome, duration: float = 0.0) -> BreakerFlow[None]: ...
    def execute(self, commands: Sequence[Command]) -> list[Reply]: ...
    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]: ...


class Calls:
    """Makes the calls of the circuit of `key`, as long as it lets them through.

    `plain`: exact types of results that are a success whoever is asked. `timed`: whether a call can be too slow.
    `renewed`: where successes are counted now.
    """

    def __init__(
        self, breaker: Breaker, key: str, plain: frozenset[type], timed: bool, renewed: Callable[[], Tally]
    ) -> None:
        self._breaker = breaker
        self._key = key
        self._plain = plain
        self._timed = timed
        self._renewed = renewed
        self._tally = SHUT
        self._now = breaker.clock.now

    def make(self, call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What `call` returned, or the `Refused` that kept it from being made."""
        tally = self._tally
        if not tally.open:
            return self._asked(lambda: call(*args, **kwargs))
        began = self._now() if self._timed else 0.0
        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            self._ended(tally, error, began)
            raise
        now = self._now()
        if type(result) not in self._plain or not tally.count(now * 1_000, (now - began) * 1_000):
            self._ended(tally, result, began)
        return result

    async def amake(self, call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        tally = self._tally
        if not tally.open:
            return await self._aasked(lambda: call(*args, **kwargs))
        began = self._now() if self._timed else 0.0
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            self._ended(tally, error, began)
            raise
        now = self._now()
        if type(result) not in self._plain or not tally.count(now * 1_000, (now - began) * 1_000):
            self._ended(tally, result, began)
        return result

    def _ended(self, tally: Tally, ended: object, began: float) -> None:
        """Record a call that the short way let through, and that may be no success, or not of this tally."""
        now = self._now()
        seconds = now - began if self._timed else 0.0
        outcome = self._breaker.outcome_of(ended)
        if outcome.kind == "success" and tally.count(now * 1_000, seconds * 1_000):
            return
        # Without an id: only the results of probes need one, and no other generation takes this one's.
        permit = Permit(self._key, "", tally.generation)
        run(self._breaker.recording(permit, outcome, seconds), self._breaker.execute)
        self._tally = self._renewed()

    # The long way

    def _asked(self, call: Callable[[], Any]) -> Any:
        try:
            return run(
                self._calling(),
                lambda batch: [call()] if batch[0] is CALL else self._breaker.execute(batch),
            )
        finally:
            self._tally = self._renewed()

    async def _aasked(self, call: Callable[[], Any]) -> Any:
        async def execute(batch: Sequence[Any]) -> list[Any]:
            return [await call()] if batch[0] is CALL else await self._breaker.aexecute(batch)

        try:
            return await arun(self._calling(), execute)
        finally:
            self._tally = self._renewed()

    def _calling(self) -> BreakerFlow[Any]:
        permit = yield from self._breaker.admitting(self._key)
        if isinstance(permit, Refused):
            return permit
        began = self._now()
        try:
            (result,) = yield cast(Sequence[Command], [CALL])
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from self._breaker.recording(permit, self._breaker.outcome_of(error), self._now() - began)
            raise
        yield from self._breaker.recording(permit, self._breaker.outcome_of(result), self._now() - began)
        return result
