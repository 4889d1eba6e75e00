"""From a reply to what a provider sends back: ids, usage, the output cap, metadata, chunks. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, ToolCallChunk, tool_call_chunk

from langgraph_guard.testing.replies import Reply, Usage, tool_call
from langgraph_guard.testing.script import Call

CHARS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3


class Author(NamedTuple):
    """Who answers, as the metadata of an answer tell it."""

    model_name: str
    provider: str
    id_prefix: str


def compose(reply: Reply, call: Call, author: Author) -> AIMessage:
    """The message that the provider returns for `call`, in langchain-openai's shape."""
    message = _draft(reply, f"{author.id_prefix}-{call.number}")
    usage, output = _usage(reply, message, call)
    reason = reply.finish_reason or message.response_metadata.get("finish_reason")
    if call.max_tokens is not None and output > call.max_tokens:
        usage, reason = _cut(message, usage, call.max_tokens), "length"
    message.usage_metadata = usage
    message.response_metadata = {
        "model_name": reply.model_name or call.kwargs.get("model") or author.model_name,
        "model_provider": author.provider,
        **message.response_metadata,
        "finish_reason": reason or ("tool_calls" if message.tool_calls else "stop"),
    }
    return message


def _draft(reply: Reply, id: str) -> AIMessage:
    # Deep: a graph may change what it got, and a repeated reply must not show it.
    written = reply.message and reply.message.model_copy(deep=True)
    message = written or AIMessage(reply.text, tool_calls=[tool_call(given) for given in reply.tool_calls])
    message.id = message.id or id
    for number, call in enumerate(message.tool_calls, 1):
        call["id"] = call["id"] or f"call-{id}-{number}"
    return message


# --- tokens -----------------------------------------------------------------------------------------------------------


def count_input(messages: Iterable[BaseMessage], tools: Sequence[Any] = ()) -> int:
    """Input tokens: a quarter of the characters of messages and tools, rounded up, and three per message."""
    sizes = [_size(message) for message in messages]
    characters = sum(sizes) + (len(json.dumps(tools, default=str)) if tools else 0)
    return math.ceil(characters / CHARS_PER_TOKEN) + TOKENS_PER_MESSAGE * len(sizes)


def count_output(message: AIMessage) -> int:
    """Output tokens: a quarter of the characters, rounded up, so that a text cut at the cap counts as the cap."""
    return math.ceil(_size(message) / CHARS_PER_TOKEN)


def _size(message: BaseMessage) -> int:
    called = sum(len(call["name"]) + len(_json(call["args"])) for call in getattr(message, "tool_calls", ()))
    return len(message.text) + called


def _usage(reply: Reply, message: AIMessage, call: Call) -> tuple[UsageMetadata | None, int]:
    """What is reported, and the output size that the cap is held against, reported or not."""
    told: Usage = message.usage_metadata if message.usage_metadata and reply.usage == "count" else reply.usage
    if told == "count":
        told = (count_input(call.messages, call.kwargs.get("tools") or ()), count_output(message))
    if told is None:
        return None, count_output(message)
    usage = _metadata(told)
    return usage, usage["output_tokens"]


def _metadata(usage: Mapping[str, Any] | tuple[int, int]) -> UsageMetadata:
    given = {"input_tokens": usage[0], "output_tokens": usage[1]} if isinstance(usage, tuple) else dict(usage)
    total = given["input_tokens"] + given["output_tokens"]
    return cast("UsageMetadata", {"total_tokens": total, **given})


def _cut(message: AIMessage, usage: UsageMetadata | None, cap: int) -> UsageMetadata | None:
    """Shorten `message` to `cap` tokens; its tool calls, which would be half written, go."""
    if len(message.text) > cap * CHARS_PER_TOKEN:
        message.content = message.text[: cap * CHARS_PER_TOKEN]
    message.tool_calls, message.invalid_tool_calls = [], []
    if usage is None:
        return None
    told = cast("dict[str, int]", usage.get("output_token_details", {}))
    details = {kind: min(tokens, cap) for kind, tokens in told.items()}
    shorter = {**usage, "output_tokens": cap, "total_tokens": usage["input_tokens"] + cap}
    return cast("UsageMetadata", {**shorter, "output_token_details": details} if details else shorter)


# --- chunks -----------------------------------------------------------------------------------------------------------


def chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """`message` as a stream: a word per chunk, each tool call in pieces, and usage with the last one.

    What a merge would concatenate (the model's name, the finish reason) comes once, with the last chunk.
    """
    provider = {"model_provider": message.response_metadata["model_provider"]}
    for piece in _content(message):
        yield AIMessageChunk(content=piece, id=message.id, response_metadata=provider)
    for part in _tool_call_chunks(message):
        yield AIMessageChunk(content="", id=message.id, response_metadata=provider, tool_call_chunks=[part])
    yield AIMessageChunk(
        content="",
        id=message.id,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )


def _content(message: AIMessage) -> Sequence[Any]:
    if isinstance(message.content, str):
        return words(message.content)
    return [message.content] if message.content else []


def words(text: str) -> list[str]:
    """`text` cut before each word; joined, the pieces are the text."""
    return re.split(r"(?<=\s)(?=\S)", text) if text else []


def _tool_call_chunks(message: AIMessage) -> Iterator[ToolCallChunk]:
    for index, call in enumerate(message.tool_calls):
        yield from _parts(call, index)
    for index, broken in enumerate(message.invalid_tool_calls, len(message.tool_calls)):
        yield tool_call_chunk(name=broken["name"], args=broken["args"], id=broken["id"], index=index)


def _parts(call: ToolCall, index: int) -> Iterator[ToolCallChunk]:
    yield tool_call_chunk(name=call["name"], args="", id=call["id"], index=index)
    for piece in words(_json(call["args"])):
        yield tool_call_chunk(args=piece, index=index)


def _json(args: Any) -> str:
    return json.dumps(args, ensure_ascii=False)
