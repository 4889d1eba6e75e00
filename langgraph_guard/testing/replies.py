"""What a scripted model is told to answer: data, checked when the test is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall

from langgraph_guard.errors import ConfigError

Usage: TypeAlias = Mapping[str, Any] | tuple[int, int] | Literal["count"] | None
"""`usage_metadata`, or `(input, output)` tokens; `None`: the provider reports nothing; `"count"`: count the texts."""

AnyToolCall: TypeAlias = ToolCall | tuple[str, Mapping[str, Any]]
Failure: TypeAlias = BaseException | type[BaseException]


@dataclass(frozen=True)
class Reply:
    """One answer of a scripted model.

    `delay`: seconds until the answer (or the error) arrives. `error`: raised instead of answering; with `error_after`
    a stream first delivers that many chunks, and a plain call raises all the same. Tool calls without an id get a
    fresh one each time the reply is given. `message` is sent as written, in the place of `text` and `tool_calls`.
    Usage figures are not checked, so that a provider that reports nonsense can be scripted too.
    """

    text: str = ""
    tool_calls: Sequence[AnyToolCall] = ()
    usage: Usage = "count"
    delay: float = 0.0
    error: Failure | None = None
    error_after: int | None = None
    finish_reason: str | None = None
    model_name: str | None = None
    message: AIMessage | None = None

    def __post_init__(self) -> None:
        _check_delay(self.delay)
        if self.error_after is not None:
            _check_cut(self.error_after, self.error)
        if self.message is not None and (self.text or self.tool_calls):
            raise ConfigError("message", "it is sent as written; leave text and tool_calls out")
        _check_usage(self.usage)
        for call in self.tool_calls:
            tool_call(call)


AnyReply: TypeAlias = str | AIMessage | Reply | Failure
"""What a script may hold: a text, a message, a reply, or an error to raise."""


def says(text: str, *, usage: Usage = "count", delay: float = 0.0, finish_reason: str | None = None) -> Reply:
    """The model answers with `text`."""
    return Reply(text, usage=usage, delay=delay, finish_reason=finish_reason)


def calls(
    name: str,
    args: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    text: str = "",
    usage: Usage = "count",
    delay: float = 0.0,
) -> Reply:
    """The model calls one tool. For several at once: `Reply(tool_calls=[("a", {…}), ("b", {…})])`."""
    return Reply(text, [ToolCall(name=name, args=dict(args or {}), id=id)], usage=usage, delay=delay)


def fails(error: Failure, *, delay: float = 0.0, after: int | None = None, text: str = "") -> Reply:
    """The call raises `error`; with `after`, a stream of `text` is cut behind that many chunks."""
    return Reply(text, error=error, delay=delay, error_after=after)


def as_reply(given: AnyReply, field: str = "reply") -> Reply:
    """The `Reply` that `given` is short for."""
    match given:
        case Reply():
            return given
        case str():
            return Reply(given)
        case AIMessage():
            return Reply(message=given)
        case BaseException():
            return Reply(error=given)
        case type() if issubclass(given, BaseException):
            return Reply(error=given)
    raise ConfigError(field, f"a str, AIMessage, Reply or exception is needed, not {type(given).__name__}")


def tool_call(given: AnyToolCall) -> ToolCall:
    """A tool call from either spelling; its id may still be missing."""
    match given:
        case (str(name), Mapping() as args):
            return ToolCall(name=name, args=dict(args), id=None, type="tool_call")
        case {"name": str(name), "args": Mapping() as args}:
            return ToolCall(name=name, args=dict(args), id=given.get("id"), type="tool_call")
    raise ConfigError("tool_calls", "each is (name, args) or a dict with name, args and perhaps id")


def _check_delay(delay: object) -> None:
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < math.inf:
        raise ConfigError("delay", f"a finite number of seconds from 0 up is needed, not {delay!r}")


def _check_cut(after: object, error: Failure | None) -> None:
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise ConfigError("error_after", f"a number of chunks from 0 up is needed, not {after!r}")
    if error is None:
        raise ConfigError("error_after", "say which error ends the stream: error=ConnectionError(…)")


def _check_usage(usage: Usage) -> None:
    match usage:
        case None | "count" | (int(), int()):
            return
        case {"input_tokens": int(), "output_tokens": int()}:
            return
    raise ConfigError("usage", "a dict with input_tokens and output_tokens, (input, output), None or 'count' is needed")
