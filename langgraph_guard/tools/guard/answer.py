"""What a call came to: what the tool gave back, and what that says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.results.result import ToolResult

LOOKED_AT: Final = 1_000
"""Characters among which a result's status is looked for."""


@dataclass(slots=True)
class Answer:
    """`output` is for LangGraph. `result` is what it says, when the tool or the guard said it as a `ToolResult`.

    `by`: whose words it has, the tool's, the guard's, or the guard's for what the tool raised. `error` is what was
    raised, for whoever counts failures.
    """

    output: Any
    result: ToolResult | None = None
    by: Literal["tool", "guard", "failure"] = "tool"
    error: Exception | None = None
    seconds: float = 0.0
    attempts: int = 1

    @property
    def failed(self) -> bool:
        if self.result is not None:
            return self.result.status == "error"
        return isinstance(self.output, ToolMessage) and self.output.status == "error"


def answer(call: GuardedCall, result: ToolResult, error: Exception | None = None) -> Answer:
    """The guard's own answer to a call, because of `error` if the tool raised one."""
    by: Literal["guard", "failure"] = "failure" if error is not None and call.made else "guard"
    return Answer(result.to_message(call.id, call.name), result, by, error)


def heard(call: GuardedCall, output: Any) -> Answer:
    """What a tool gave back. A `ToolResult` in it, or a dict of that shape, is read and told as one."""
    if not isinstance(output, ToolMessage):
        return Answer(output)
    result = result_in(output.content)
    if result is None:
        return Answer(output)
    told = result.to_message(call.id, call.name, max_chars=None)  # What is too long is put aside later, and not cut.
    own = told.artifact if output.artifact is None else output.artifact
    return Answer(replace_message(output, content=told.content, artifact=own, status=told.status), result)


def result_in(content: Any) -> ToolResult | None:
    """The `ToolResult` that a text is. Most are none, and JSON takes its time to read."""
    if not isinstance(content, str) or content[:1] != "{" or '"status"' not in content[:LOOKED_AT]:
        return None
    return ToolResult.parse(content)


def messages_changed(output: Any, change: Callable[[ToolMessage], ToolMessage], messages_key: str) -> Any:
    """`output` with `change` applied to each `ToolMessage` that it brings."""
    if isinstance(output, ToolMessage):
        return change(output)
    if isinstance(output, list):
        return [messages_changed(each, change, messages_key) for each in output]
    if isinstance(output, Command) and isinstance(output.update, Mapping) and messages_key in output.update:
        said = messages_changed(output.update[messages_key], change, messages_key)
        return replace(output, update={**output.update, messages_key: said})
    return output


def with_news(output: Any, news: Mapping[str, Any], messages_key: str) -> Any:
    """`output`, and beside it what the guard's own keys are told."""
    if not news:
        return output
    if isinstance(output, ToolMessage):
        return Command(update={messages_key: [output], **news})
    if isinstance(output, Command) and output.graph is None and isinstance(output.update, Mapping):
        return replace(output, update={**output.update, **news})
    return [*(output if isinstance(output, list) else [output]), Command(update=dict(news))]


def replace_message(message: ToolMessage, **fields: Any) -> ToolMessage:
    return message.model_copy(update=fields)
