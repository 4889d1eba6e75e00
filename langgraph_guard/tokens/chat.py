"""How a chat model's prompt is written around the contents of its messages.

OpenAI's chat format adds three tokens and the role to each message, one to a name, and three for the reply that
follows; that gives the published, API-measured counts. A tool call is a message of its own: in the open format of
gpt-oss it costs eleven tokens beside name and arguments, and a result ten. The ids of calls are not written. Other
providers have formats of their own and do not publish them; theirs are of the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, FunctionMessage, RemoveMessage, ToolMessage

from langgraph_guard.tokens.content import Part, as_json, parts_of
from langgraph_guard.tokens.images import ImageRule
from langgraph_guard.tokens.media import Size


def _always(tokens: int) -> Size:
    return Size(tokens, tokens, exact=True)


REPLY: Final = 3
MESSAGE: Final = _always(4)
ROLE: Final = _always(3)  # the role itself is counted as text
NAME: Final = _always(1)
CALL: Final = _always(11)
RESULT: Final = _always(10)
LEGACY: Final = _always(3)  # a function's result, and what a call of one adds to its message


def message_parts(message: BaseMessage, images: ImageRule) -> Iterator[Part]:
    match message:
        case RemoveMessage():
            return
        case AIMessage():
            yield from _of_ai(message, images)
        case ToolMessage():
            yield RESULT
            yield message.name or ""
            yield from parts_of(message.content, images)
        case FunctionMessage():
            yield LEGACY
            yield message.name
            yield from parts_of(message.content, images)
        case _:
            yield from _plain(message, images)


def _plain(message: BaseMessage, images: ImageRule, *, calls: bool = True) -> Iterator[Part]:
    if isinstance(message, ChatMessage):
        yield ROLE
        yield message.role
    else:
        yield MESSAGE
    if message.name:
        yield NAME
        yield message.name
    yield from parts_of(message.content, images, calls=calls)


def _of_ai(message: AIMessage, images: ImageRule) -> Iterator[Part]:
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    if message.content or not calls:
        yield from _plain(message, images, calls=not calls)
    for call in calls:
        yield CALL
        yield from _spoken(call.get("name"), call.get("args"))
    if isinstance(legacy := message.additional_kwargs.get("function_call"), dict):
        yield LEGACY
        yield from _spoken(legacy.get("name"), legacy.get("arguments"))


def _spoken(name: Any, args: Any) -> Iterator[Part]:
    yield str(name or "")
    yield args if isinstance(args, str) else as_json(args)
