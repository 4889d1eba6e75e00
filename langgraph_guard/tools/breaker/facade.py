"""`CircuitBreaker`: one set of settings, and a circuit for each tool, host or model."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast, get_args, overload

from langchain_core.runnables import Runnable

from langgraph_guard.backends.protocols import Backend, BreakerRegistry, Clock
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.breaker.circuit import CANCELLED, FAILURE, Change, Outcome
from langgraph_guard.policies.breaker.commands import (
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Record,
    Reply,
    Reset,
    Status,
)
from langgraph_guard.policies.breaker.settings import BreakerSettings
from langgraph_guard.tools.breaker.calls import PLAIN, Calls
from langgraph_guard.tools.breaker.checks import check, check_note, settings_of
from langgraph_guard.tools.breaker.keys import Per, bounded, check_per, key_of, tool_name
from langgraph_guard.tools.breaker.outcomes import is_cancelled, outcome_of
from langgraph_guard.tools.breaker.permits import Ids, Permit, Refused
from langgraph_guard.tools.breaker.shared import BreakerFlow, SharedCircuits
from langgraph_guard.tools.breaker.wrapping import Fallback, Wrapper, check_node, name_of, wrap

P = ParamSpec("P")
Input = TypeVar("Input")
Output = TypeVar("Output")
Tool = TypeVar("Tool")
Kind = Literal["success", "failure", "slow", "ignored", "rate_limited", "cancelled"]
Classify = Callable[[Any], Outcome | Kind | None]

KEPT_KEYS: Final = 1_024

_KINDS: Final = frozenset(get_args(Kind))

_log = logging.getLogger(__name__)
_ids: Final = Ids()


class CircuitBreaker:
    """Leaves services alone that fail. `failure_rate_threshold=0.5, wait_duration_in_open_state=30, …`: the settings
    are words of `BreakerSettings`, or one of these as `settings=`.

    `backend`: where the circuits are; everyone on it who uses the same `name` shares them. `per`: `"tool"`, `"host"`,
    or a function of a tool's name and arguments. `failure_types`: exceptions that count as failures whatever they look
    like. `classify`: a function of an exception, or of what a call returned, to `"failure"`, `"ignored"`, …; `None`
    leaves it to `outcome_of`. Interrupts and cancellation are never failures.

    While the backend does not answer, a local registry with the same settings decides; no run fails for it.
    Raises `ConfigError` naming the field.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        name: str = "breaker",
        per: Per = "tool",
        failure_types: Iterable[type[BaseException]] = (),
        classify: Classify | None = None,
        settings: BreakerSettings | None = None,
        **words: Any,
    ) -> None:
        self.failure_types = check(backend, name, failure_types, classify)
        self.name = name
        check_per(per)
        self.per = per
        self.settings = settings_of(settings, words)
        self._backend = backend
        self._classify = classify
        self._circuits = SharedCircuits(name, backend)
        self._key = lru_cache(maxsize=KEPT_KEYS)(self._circuit_key)
        self._calls = lru_cache(maxsize=KEPT_KEYS)(self._calls_of)

    @property
    def registry(self) -> BreakerRegistry:
        """What answers the commands of this breaker's flows."""
        return self._circuits.registry

    @property
    def clock(self) -> Clock:
        return self._backend.clock

    # Around a call

    def key_of(self, tool: str, args: Any = None) -> str:
        """The key of a tool call: what its circuit is known by."""
        return key_of(self.per, tool, args)

    def outcome_of(self, ended: object) -> Outcome:
        """What an exception, or what a call returned, says about the service."""
        if isinstance(ended, BaseException) and is_cancelled(ended):
            return CANCELLED
        if (told := self._told(ended)) is not None:
            return told
        if issubclass(type(ended), self.failure_types):
            return FAILURE
        return outcome_of(ended, self._backend.clock.now())

    def admit(self, key: str) -> Permit | Refused:
        """A permit for one call, or why there is none. Record how the call ended."""
        return run(self.admitting(key), self.execute)

    async def aadmit(self, key: str) -> Permit | Refused:
        return await arun(self.admitting(key), self.aexecute)

    def record(self, permit: Permit, outcome: Outcome | Kind, duration: float = 0.0) -> None:
        """How the call of `permit` ended, after `duration` seconds. Does nothing when it came too late to count."""
        run(self.recording(permit, outcome, duration), self.execute)

    async def arecord(self, permit: Permit, outcome: Outcome | Kind, duration: float = 0.0) -> None:
        await arun(self.recording(permit, outcome, duration), self.aexecute)

    # The same as flows, for whoever has one of their own. The registry answers what they yield.

    def admitting(self, key: str) -> BreakerFlow[Permit | Refused]:
        circuit = self._key(key)
        id = _ids.next()
        reply, local = yield from self._circuits.ask(Admit(circuit, self.settings, id))
        key = circuit.key
        if isinstance(reply, Admitted):
            self._say(key, reply.change)
            return Permit(key, id, reply.generation, reply.probe, local)
        refused = Refused(key, reply.state, reply.retry_at_ms, reply.retry_after)
        emit("breaker.refused", breaker=self.name, key=key, state=refused.state, retry_after=refused.retry_after)
        return refused

    def recording(self, permit: Permit, outcome: Outcome | Kind, duration: float = 0.0) -> BreakerFlow[None]:
        command = Record(
            self._key(permit.key),
            self.settings,
            permit.id,
            permit.generation,
            outcome if isinstance(outcome, Outcome) else Outcome(outcome),
            max(0, int(duration * 1_000)),
            random.random(),
        )
        change, _ = yield from self._circuits.ask(command, local=permit.local)
        self._say(permit.key, change)

    def peeking(self, keys: Iterable[str]) -> BreakerFlow[dict[str, Status]]:
        """How the circuits of `keys` stand. Takes no permit."""
        wanted = list(dict.fromkeys(map(bounded, keys)))
        statuses, _ = yield from self._circuits.ask(Peek(tuple(map(self._key, wanted)), self.settings))
        return dict(zip(wanted, statuses, strict=True))

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return self.registry.execute(commands)

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return await self.registry.aexecute(commands)

    # Around a node

    @overload
    def wrap(
        self, node: Runnable[Input, Output], key: str | None = None, fallback: Fallback | None = None
    ) -> Runnable[Input, Output]: ...
    @overload
    def wrap(
        self, node: Callable[P, Output], key: str | None = None, fallback: Fallback | None = None
    ) -> Callable[P, Output]: ...
    def wrap(self, node: Any, key: str | None = None, fallback: Fallback | None = None) -> Any:
        """`node`, called only while its circuit lets it: otherwise `fallback(state)`, or `CircuitOpen`.

        Takes sync and async functions and Runnables, and keeps their signature and annotations. `key` is the node's
        name by default. An error that the node turns into a message of its own is none to the breaker, unless
        `classify` says so.
        """
        check_node(node, key, fallback)
        return wrap(node, Wrapper(self._calls_of(key or name_of(node)), fallback))

    def call(self, key: str, call: Callable[[], Any]) -> Any:
        """What `call()` returned, or the `Refused` that kept it from being made."""
        return self._calls(key).make(call, (), {})

    async def acall(self, key: str, call: Callable[[], Any]) -> Any:
        return await self._calls(key).amake(call, (), {})

    # Before a call

    def available_tools(self, tools: Iterable[Tool]) -> list[Tool]:
        """Those of `tools` (objects, schemas or names) that a call would be let through to, in their order.

        For `bind_tools`: what a model is not offered, it does not call.
        """
        offered = list(tools)
        return _offered(offered, self, run(self.peeking(self._keys_of(offered)), self.execute))

    async def aavailable_tools(self, tools: Iterable[Tool]) -> list[Tool]:
        offered = list(tools)
        return _offered(offered, self, await arun(self.peeking(self._keys_of(offered)), self.aexecute))

    def state(self, key: str) -> Status:
        """How a circuit stands: what a call would meet now, and what was counted."""
        return run(self.peeking([key]), self.execute)[bounded(key)]

    async def astate(self, key: str) -> Status:
        return (await arun(self.peeking([key]), self.aexecute))[bounded(key)]

    # By hand. An error of the registry is raised here: who switches something must know that it is switched.

    def force_open(self, key: str, *, by: str, reason: str = "") -> None:
        """Refuse every call until `reset`."""
        run(self._by_hand(ForceOpen, key, by, reason), self.execute)

    async def aforce_open(self, key: str, *, by: str, reason: str = "") -> None:
        await arun(self._by_hand(ForceOpen, key, by, reason), self.aexecute)

    def reset(self, key: str, *, by: str, reason: str = "") -> None:
        """Close the circuit and forget what was counted."""
        run(self._by_hand(Reset, key, by, reason), self.execute)

    async def areset(self, key: str, *, by: str, reason: str = "") -> None:
        await arun(self._by_hand(Reset, key, by, reason), self.aexecute)

    def audit(self, key: str) -> tuple[AuditRecord, ...]:
        """What people did to a circuit, oldest first."""
        return cast(tuple[AuditRecord, ...], self.execute([Audit(self._key(key))])[0])

    async def aaudit(self, key: str) -> tuple[AuditRecord, ...]:
        return cast(tuple[AuditRecord, ...], (await self.aexecute([Audit(self._key(key))]))[0])

    def _by_hand(self, command: type[ForceOpen | Reset], key: str, by: str, reason: str) -> BreakerFlow[None]:
        key = bounded(key)
        check_note("by", by, least=1)
        check_note("reason", reason)
        said = command(self._key(key), by, reason)
        (change,) = yield [said]
        self._circuits.learn(said, change)
        self._say(key, cast("Change | None", change))

    def _circuit_key(self, key: str) -> CircuitKey:
        return CircuitKey(self._backend.tenant, self.name, bounded(key))

    def _calls_of(self, key: str) -> Calls:
        circuit = self._key(key)
        figures = self.settings.figures
        plain = PLAIN if self._classify is None else frozenset[type]()
        renewed = partial(self._circuits.tally, circuit, figures)
        return Calls(self, circuit.key, plain, figures.slow_ms is not None, renewed)

    def _keys_of(self, tools: Iterable[Any]) -> list[str]:
        return [self.key_of(tool_name(tool)) for tool in tools]

    def _say(self, key: str, change: Change | None) -> None:
        if change is not None:
            emit(
                "breaker.transition",
                breaker=self.name,
                key=key,
                before=change.before,
                after=change.after,
                reason=change.reason,
                retry_at=change.retry_at_ms,
            )

    def _told(self, ended: object) -> Outcome | None:
        """What `classify` says. One that fails, or says what is no outcome, says nothing."""
        if self._classify is None:
            return None
        try:
            told = self._classify(ended)
        except Exception as error:
            _log.warning("classify= failed with %s and is passed over", type(error).__name__)
            return None
        if told is None or isinstance(told, Outcome):
            return told
        if isinstance(told, str) and told in _KINDS:
            return Outcome(told)
        _log.warning("classify= returned a %s that is no outcome and is passed over", type(told).__name__)
        return None


def _offered(tools: list[Tool], breaker: CircuitBreaker, statuses: Mapping[str, Status]) -> list[Tool]:
    return [tool for tool in tools if statuses[breaker.key_of(tool_name(tool))].admits]
