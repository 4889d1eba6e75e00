"""The script: replies in order, and a record of what was asked. Every copy of a model shares one."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.messages import BaseMessage

from langgraph_guard.errors import ConfigError
from langgraph_guard.testing.replies import AnyReply, Reply, as_reply

Writer: TypeAlias = Callable[[list[BaseMessage]], AnyReply]
AtTheEnd: TypeAlias = Literal["fail", "cycle", "repeat_last"]


class ScriptExhausted(AssertionError, RuntimeError):
    """The model was called more often than its script has replies.

    A failed assertion of the test; a `RuntimeError` too, so that LangGraph's retry policy does not ask again.
    """


@dataclass(frozen=True)
class Call:
    """What one call sent: the messages, and the settings as the provider would get them."""

    number: int
    messages: list[BaseMessage]
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def tools(self) -> list[str]:
        """The names of the tools on offer, in order."""
        return [tool["function"]["name"] for tool in self.kwargs.get("tools") or () if "function" in tool]

    @property
    def max_tokens(self) -> int | None:
        """The output cap, from the call or from the model."""
        cap: int | None = self.kwargs.get("max_tokens")
        return cap


class Script:
    """Hands out replies, each to one caller, in the order of the calls.

    `prefix` begins every id of messages and tool calls. The default is random: two models in one graph, or the same
    model in the process that resumes the run, must not repeat an id, because `add_messages` would overwrite.
    """

    def __init__(self, source: Sequence[AnyReply] | Writer, at_the_end: AtTheEnd, prefix: str | None) -> None:
        self.prefix = prefix or f"scripted-{secrets.token_hex(4)}"
        self._write = source if callable(source) else None
        self._replies = [] if callable(source) else _replies(source)
        self._at_the_end = at_the_end
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._check()

    def _check(self) -> None:
        if self._at_the_end != "fail" and not self._replies:
            raise ConfigError(self._at_the_end, "there is no reply to repeat")

    @property
    def calls(self) -> list[Call]:
        """Every call so far, also those that failed."""
        with self._lock:
            return list(self._calls)

    def draw(self, messages: Sequence[BaseMessage], kwargs: dict[str, Any]) -> tuple[Call, Reply]:
        """Record the call and take its reply."""
        with self._lock:
            call = Call(len(self._calls) + 1, list(messages), kwargs)
            self._calls.append(call)
        return call, self._reply_to(call)

    def _reply_to(self, call: Call) -> Reply:
        if self._write:
            return as_reply(self._write(list(call.messages)))
        return self._replies[self._position(call.number - 1)]

    def _position(self, index: int) -> int:
        total = len(self._replies)
        if index < total:
            return index
        if self._at_the_end == "fail":
            raise ScriptExhausted(f"call {index + 1} came, and the script has {total} replies")
        return index % total if self._at_the_end == "cycle" else total - 1

    def __deepcopy__(self, memo: dict[int, Any]) -> Script:
        # A copied model must go on in the same script: two positions would give one reply twice.
        return self


def _replies(source: Sequence[AnyReply]) -> list[Reply]:
    if isinstance(source, (str, bytes)) or not isinstance(source, Sequence):
        raise ConfigError("script", f"a list of replies or a callable is needed, not {type(source).__name__}")
    return [as_reply(given, f"script[{index}]") for index, given in enumerate(source)]
