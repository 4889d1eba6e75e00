"""What a run did, step by step: LangChain's callbacks say what was called, the guards' events what they made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult

from langgraph_guard.cli.incident.watch import priced
from langgraph_guard.events import subscribe
from langgraph_guard.prices import price_book
from langgraph_guard.tools import ToolResult

NOTE: Final = "[note] "
"""What `ToolGuard` writes before a guard's note."""


@dataclass
class ModelCall:
    """A model that answered. `cost` in micro-USD."""

    model: str
    tokens: int
    cost: int


@dataclass
class ToolCall:
    """A call that a model asked for. `seconds` is `None` when it was never made."""

    name: str
    seconds: float | None = None
    status: str = "not answered"
    opened: bool = False
    """Whether its end opened the circuit."""

    guards: list[str] = field(default_factory=list)
    """What guards found about it."""

    told: list[str] = field(default_factory=list)
    """What the next model read of it, as far as it was not told before."""


class Steps(BaseCallbackHandler):
    """The steps of one run, in order. While it is entered, it hears the guards of the process: let one run at a time
    have guards."""

    raise_error = True

    def __init__(self) -> None:
        self.taken: list[ModelCall | ToolCall] = []
        self._calls: dict[str, ToolCall] = {}
        self._began: dict[str, float] = {}
        self._said: set[str] = set()
        self._prices = price_book(None)
        self._leave: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self._leave = subscribe(self.hear)
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    # LangChain's callbacks

    def on_chat_model_start(self, serialized: Any, messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        for message in messages[0]:
            if isinstance(message, ToolMessage) and message.tool_call_id in self._calls:
                self._tell(self._calls[message.tool_call_id], message)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        message: Any = getattr(response.generations[0][0], "message", None)
        cost, tokens = priced(message, self._prices)
        self.taken.append(ModelCall(message.response_metadata["model_name"], tokens, cost))
        for call in message.tool_calls:
            self._calls[call["id"]] = step = ToolCall(call["name"])
            self.taken.append(step)

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self._began[kwargs["tool_call_id"]] = time.perf_counter()

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self._end(kwargs["tool_call_id"], "success")

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        self._end(kwargs["tool_call_id"], type(error).__name__)

    # The guards' events

    def hear(self, name: str, said: Mapping[str, Any]) -> None:
        step = self._newest(said.get("tool") or said.get("key"))
        if step is None:
            return
        if name == "tool.answered":
            step.status = said["error_type"] or said["status"]
        elif name == "breaker.transition" and said["after"] == "open":
            step.opened = True
        elif name == "breaker.refused":
            step.status = "circuit_open"
        elif name == "loop.found":
            step.guards.append(f"loop check: {said['kind']} call, {said['count']} times → {said['rung']}")

    def _newest(self, tool: str | None) -> ToolCall | None:
        calls = (step for step in reversed(self.taken) if isinstance(step, ToolCall))
        return next((step for step in calls if step.name == tool), None)

    def _end(self, id: str, status: str) -> None:
        self._calls[id].seconds = time.perf_counter() - self._began[id]
        self._calls[id].status = status

    def _tell(self, step: ToolCall, message: ToolMessage) -> None:
        for sentence in sentences(message):
            if sentence not in self._said:
                self._said.add(sentence)
                step.told.append(sentence)


def sentences(message: ToolMessage) -> Sequence[str]:
    """What a model reads of a failed call: what happened, what to do next, and what guards noted below."""
    result = ToolResult.parse(message)
    notes = [line.removeprefix(NOTE) for line in message.text.splitlines() if line.startswith(NOTE)]
    return [each for each in (result.message, result.next, *notes) if each] if result is not None else notes
