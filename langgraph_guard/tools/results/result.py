"""`ToolResult`: what came of a tool call, so that a model and a program both know what to do next.

{"status":"success","data":{"state":"shipped"}}
{"status":"error","error_type":"rate_limit","retry_safe":true,"retry_after":60,
 "message":"The service had too many requests (HTTP 429, HTTPStatusError).",
 "next":"Do not call it before 60 s have passed; go on with something else, or tell the user that the service is …"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from langchain_core.messages import ToolMessage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from langgraph_guard.tools.results.advice import REPEATABLE, WAITS, ErrorType, next_step
from langgraph_guard.tools.results.failures import failure_of
from langgraph_guard.tools.results.plain import dumps, plain

SHAPE: Final = 1
"""The version of an artifact's shape."""

MOST_CHARS: Final = 1_000_000
"""Of data that a message shows, as JSON. `ToolGuard` offloads what is longer than the contract says, long before."""

MOST_MESSAGE: Final = 2_000

_RENDERED: Final = frozenset({"status", "error_type", "retry_safe", "retry_after", "message", "data", "next"})
_FIELDS: Final = _RENDERED - {"next"}


class ToolResult(BaseModel):
    """What a tool call came to: `success` with its data, or `error` with its kind.

    `retry_safe`: the same call may be made again, as far as the error tells. Whether the tool may be called twice at
    all is the contract's say: `narrowed`. `retry_after` is in seconds, from when the error was seen. A tool may return
    one from under any `@tool`: what the model reads is `render()`.

    Refused: a success with an error's fields, an error without `error_type`, `retry_safe` for what a repetition cannot
    change (permanent, validation, denied), `retry_after` for what waiting cannot (permanent, validation), and
    `retry_safe` on an open circuit that does not say when it closes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    status: Literal["success", "error"]
    data: Any = Field(default=None, repr=False)
    error_type: ErrorType | None = None
    retry_safe: bool = False
    retry_after: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    message: Annotated[str, BeforeValidator(lambda text: plain(text) if isinstance(text, str) else text)] = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problem := _contradiction(self):
            raise ValueError(problem)
        return self

    @classmethod
    def success(cls, data: Any = None, message: str = "") -> ToolResult:
        return cls(status="success", data=data, message=message)

    @classmethod
    def error(
        cls,
        error_type: ErrorType,
        message: str,
        *,
        retry_safe: bool | None = None,
        retry_after: float | None = None,
        data: Any = None,
    ) -> ToolResult:
        """A failure. `retry_safe` is by its kind when nobody says: true for transient, rate_limit and timeout."""
        safe = error_type in REPEATABLE if retry_safe is None else retry_safe
        return cls(
            status="error", error_type=error_type, message=message, retry_safe=safe, retry_after=retry_after, data=data
        )

    @classmethod
    def from_exception(cls, error: BaseException, *, now: float | None = None, may_retry: bool = True) -> ToolResult:
        """What a tool's exception says to a model: its kind, never its traceback. Never raises.

        `now` in epoch seconds, for servers that name a date to come back at. Interrupts (`GraphBubbleUp`) and
        cancellation are no failures of a tool: re-raise them before.
        """
        failure = failure_of(error, now)
        return cls.error(
            failure.error_type,
            failure.message,
            retry_safe=failure.retry_safe and may_retry,
            retry_after=failure.retry_after,
        )

    @classmethod
    def parse(cls, value: object) -> ToolResult | None:
        """The result that is in a `ToolMessage`, its artifact, its content, or what a tool returned; None if none is.

        Cut data of a message without an artifact comes back as the text that was shown.
        """
        if isinstance(value, ToolResult):
            return value
        if isinstance(value, ToolMessage):
            ours = isinstance(value.artifact, Mapping) and "tool_result" in value.artifact
            return (cls.parse(value.artifact) if ours else None) or cls.parse(value.content)
        try:
            return cls._read(json.loads(value) if isinstance(value, str) and value[:1] == "{" else value)
        except (ValueError, RecursionError):  # not JSON, or JSON of something else
            return None

    @classmethod
    def _read(cls, told: object) -> ToolResult | None:
        if not isinstance(told, Mapping) or told.get("tool_result", SHAPE) != SHAPE:
            return None
        if "tool_result" not in told and not told.keys() <= _RENDERED | {"cut"}:
            return None
        try:
            return cls(**{name: told[name] for name in _FIELDS if name in told})
        except ValidationError:
            return None

    @property
    def ok(self) -> bool:
        return self.status == "success"

    @property
    def next(self) -> str:
        """What a model should do now; empty after a success."""
        return next_step(self.error_type, self.retry_safe, self.retry_after) if self.error_type else ""

    def narrowed(self, may_retry: bool) -> ToolResult:
        """As the contract sees it: `retry_safe` stands if the tool may be called again at all."""
        return self if may_retry or not self.retry_safe else self.model_copy(update={"retry_safe": False})

    def render(self, max_chars: int | None = MOST_CHARS) -> str:
        """The JSON that the model reads: what says something, in this order, and what to do next. Never raises.

        Data of more than `max_chars` characters is cut, and `cut` says by how much. `None`: nothing is.
        """
        return self._rendered(plain(self.data), max_chars)

    def _rendered(self, data: Any, max_chars: int | None) -> str:
        said: dict[str, Any] = {"status": self.status}
        if self.error_type:
            said |= {"error_type": self.error_type, "retry_safe": self.retry_safe}
        if self.retry_after is not None:
            said["retry_after"] = _whole(self.retry_after)
        if self.message:
            said["message"] = _clipped(self.message)
        if data is not None:
            said |= _fitting(data, max_chars)
        if self.error_type:
            said["next"] = self.next
        return "{" + ",".join(f'"{name}":{dumps(value)}' for name, value in said.items()) + "}"

    def artifact(self) -> dict[str, Any]:
        """Everything, as builtins that any checkpointer keeps: what a program reads, `parse` among them.

        Data that is an object with whole `units` says what a priced call used up: they stand where `ToolPrice` looks.
        """
        return self._kept(plain(self.data))

    def _kept(self, data: Any) -> dict[str, Any]:
        kept = {
            "tool_result": SHAPE,
            "status": self.status,
            "error_type": self.error_type,
            "retry_safe": self.retry_safe,
            "retry_after": self.retry_after,
            "message": self.message,
            "data": data,
        }
        units = data.get("units") if isinstance(data, dict) else None
        return kept | {"units": units} if type(units) is int and self.ok else kept

    def to_message(
        self, tool_call_id: str, name: str | None = None, *, max_chars: int | None = MOST_CHARS
    ) -> ToolMessage:
        """The answer to a tool call: rendered for the model, whole in the artifact."""
        data = plain(self.data)
        return ToolMessage(
            content=self._rendered(data, max_chars),
            tool_call_id=tool_call_id,
            name=name,
            status=self.status,
            artifact=self._kept(data),
        )

    def __str__(self) -> str:
        """What LangChain makes of one that a tool returns. Whole: a guard that comes after may want the rest."""
        return self.render(max_chars=None)


def _contradiction(result: ToolResult) -> str | None:
    error, after = result.error_type, result.retry_after
    if result.status == "success":
        if error or result.retry_safe or after is not None:
            return "a success has no error_type, retry_safe or retry_after"
        return None
    if error is None:
        return "an error needs an error_type"
    if after is not None and error not in WAITS:
        return f"retry_after says that waiting helps, and error_type {error!r} says that it does not"
    if result.retry_safe and error == "circuit_open" and after is None:
        return "retry_safe on an open circuit needs a retry_after: until then no call is made"
    if result.retry_safe and error not in REPEATABLE | {"circuit_open"}:
        return f"retry_safe means the same call once more, and error_type {error!r} says that it would fail again"
    return None


def _fitting(data: Any, most: int | None) -> dict[str, Any]:
    """`data` if its JSON has at most `most` characters, else the head of its text that has."""
    if most is None or len(shown := dumps(data)) <= most:
        return {"data": data}
    text = data if isinstance(data, str) else shown
    head = text[: max(0, most)]
    while head and (size := len(dumps(head))) > most:
        head = head[: len(head) * max(0, most) // size]  # shorter each time: a character can take six to escape
    return {"data": head, "cut": f"the first {len(head)} of {len(text)} characters"}


def _clipped(message: str) -> str:
    return message if len(message) <= MOST_MESSAGE else f"{message[: MOST_MESSAGE - 1]}…"


def _whole(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
