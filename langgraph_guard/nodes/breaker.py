"""The breaker in a graph: calls to a service that is left alone are answered before the tools run."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from langgraph_guard.errors import ConfigError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.guard import Guard, Update
from langgraph_guard.policies.breaker import Command, Reply, Status
from langgraph_guard.state.views import messages_of, open_calls, opener, read
from langgraph_guard.tools.breaker import CircuitBreaker
from langgraph_guard.tools.results.result import ToolResult

CheckFlow = Generator[Sequence[Command], list[Reply], Update]


class Asked(NamedTuple):
    """One open call, and how the circuit stands that it belongs to."""

    id: str
    tool: str
    key: str
    status: Status

    @property
    def retry_after(self) -> float | None:
        return None if self.status.wait_ms is None else self.status.wait_ms / 1_000


class CircuitBreakerNode(Guard):
    """Stands before the tools and looks at what they are asked for. `.route` says `closed` or `open`.

    It takes no permit: `ToolGuard(breaker=…)` or `breaker.wrap(…)` admits calls and records how they end. A call whose
    circuit would not let it through gets a verdict that the guarded tools node answers it with, while the others run;
    `open` means that this is every call, and then the node has answered them all. Lead it to `FinishNode`, which says
    why the run ended (`circuit_open`); or to a model that is offered `breaker.available_tools(TOOLS)` only, because one
    that may ask again for what is left alone can do so for ever.
    """

    passing = ("closed",)
    stopping = ("open",)

    def __init__(
        self, breaker: CircuitBreaker, *, name: str = "circuit_breaker", messages_key: str = "messages"
    ) -> None:
        super().__init__(name, messages_key)
        if not isinstance(breaker, CircuitBreaker):
            raise ConfigError("breaker", f"must be a CircuitBreaker, is a {type(breaker).__name__}")
        self.breaker = breaker

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return run(self._check(input), self.breaker.execute)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return await arun(self._check(input), self.breaker.aexecute)

    def _check(self, state: Any) -> CheckFlow:
        messages = messages_of(state, self.messages_key)
        asked = yield from self._look(open_calls(messages))
        refused = [each for each in asked if not each.status.admits]
        for each in refused:
            emit(
                "breaker.refused",
                breaker=self.breaker.name,
                key=each.key,
                state=each.status.state,
                retry_after=each.retry_after,
            )
        now_ms = int(self.breaker.clock.now() * 1_000)
        turn = _turn(state, messages)
        if refused and len(refused) == len(asked):
            return {self.messages_key: [_answer(each) for each in asked], **self._open(refused, messages, turn, now_ms)}
        return {**self._calls(state, asked, now_ms), **self._closed(state, turn[0], now_ms)}

    def _look(self, calls: Sequence[Mapping[str, Any]]) -> Generator[Sequence[Command], list[Reply], list[Asked]]:
        if not calls:
            return []
        keys = [self.breaker.key_of(call["name"], call["args"]) for call in calls]
        statuses = yield from self.breaker.peeking(keys)
        return [
            Asked(call.get("id") or "", call["name"], key, statuses[key]) for call, key in zip(calls, keys, strict=True)
        ]

    def _calls(self, state: Any, asked: Sequence[Asked], now_ms: int) -> Update:
        """Verdicts by call id. One that stands from before is taken back: some models use an id again and again."""
        before = read(state, "guard_calls") or {}
        said: dict[str, dict[str, Any]] = {}
        for id in dict.fromkeys(each.id for each in asked if each.id):
            same = [each for each in asked if each.id == id]
            if all(not each.status.admits for each in same):
                said[id] = _refusal(same[0], now_ms)
            elif ((before.get(id) or {}).get(self.name) or {}).get("verdict") == "refuse":
                said[id] = {"verdict": "pass", "at": now_ms}
        return {"guard_calls": {id: {self.name: verdict} for id, verdict in said.items()}} if said else {}

    def _closed(self, state: Any, turn: str, now_ms: int) -> Update:
        before = (read(state, "guard_verdicts") or {}).get(self.name) or {}
        if (before.get("route"), before.get("turn")) == ("closed", turn):
            return {}
        return {"guard_verdicts": {self.name: {"route": "closed", "reason": "", "turn": turn, "at": now_ms}}}

    def _open(
        self, refused: Sequence[Asked], messages: Sequence[BaseMessage], turn: tuple[str, int], now_ms: int
    ) -> Update:
        waits = [each.retry_after for each in refused if each.retry_after is not None]
        facts = {
            "detail": f"{_and({each.tool: None for each in refused})} may not be called at present",
            "retry_after": min(waits, default=None),
            "asked_by": next((each.id for each in reversed(messages) if isinstance(each, AIMessage)), None),
        }
        decision = verdicts.decide(self.name, verdicts.Verdict("open", verdicts.CIRCUIT_OPEN, facts), *turn, now_ms)
        said = {"route": "open", "reason": verdicts.CIRCUIT_OPEN, "turn": turn[0], "at": now_ms}
        return {"guard_verdicts": {self.name: said}, "guard_decisions": [decision], "guard_halt": decision}


def why(asked: Asked) -> str:
    """Why a call is not made, and when it may be, for a model."""
    service = "" if asked.key == asked.tool else f" ({asked.key})"
    if asked.status.state == "forced_open" or asked.status.retry_at_ms is None:
        return f"{asked.tool}{service} is switched off: do not call it until somebody switches it on again."
    reason = {"rate_limited": "had too many calls", "slow_call_rate": "is too slow"}.get(
        asked.status.reason or "", "is being tried out" if asked.status.state == "half_open" else "failed too often"
    )
    until = datetime.fromtimestamp(math.ceil(asked.status.retry_at_ms / 1_000), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = math.ceil(asked.retry_after or 0)
    return f"{asked.tool}{service} {reason} and is left alone: do not retry before {until} (in {seconds} s)."


def _refusal(asked: Asked, now_ms: int) -> dict[str, Any]:
    return {
        "verdict": "refuse",
        "error_type": "circuit_open",
        "message": why(asked),
        "retry_at": asked.status.retry_at_ms,
        "at": now_ms,
    }


def _answer(asked: Asked) -> ToolMessage:
    after = None if asked.retry_after is None else math.ceil(asked.retry_after)
    return ToolResult.error("circuit_open", why(asked), retry_after=after).to_message(asked.id, asked.tool)


def _turn(state: Any, messages: Sequence[BaseMessage]) -> tuple[str, int]:
    """The turn's id and number, as a budget keeps them; without one, such that a later turn's halt outranks this."""
    known = read(state, "guard_turn") or {}
    id = known.get("id") or opener(messages) or ""
    halt = read(state, "guard_halt") or {}
    return id, known.get("seq") or (halt.get("turn_seq") or 0) + (halt.get("turn") != id)


def _and(names: Mapping[str, None]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
