"""Anthropic's protocol: messages, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.servers.provider import Provider, Request
from tests.servers.script import Reply


class AnthropicServer(Provider):
    """Stands behind `ChatAnthropic(base_url=server.url)`."""

    def cap_of(self, body: Mapping[str, Any]) -> int | None:
        return body.get("max_tokens")

    def error(self, reply: Reply) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "api_error", "message": "scripted"}}

    def whole(self, request: Request, reply: Reply) -> dict[str, Any]:
        cap = self.cap_of(request.body)
        return {
            **_head(request, reply),
            "content": _blocks(request, reply),
            "stop_reason": _stop_reason(reply, cap),
            "usage": _usage(reply, cap),
        }

    def events(self, request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
        cap = self.cap_of(request.body)
        usage = _usage(reply, cap)
        start = {**_head(request, reply), "content": [], "usage": {**usage, "output_tokens": 1} if usage else None}
        yield {"type": "message_start", "message": start}
        for index, block in enumerate(_blocks(request, reply)):
            yield {"type": "content_block_start", "index": index, "content_block": _empty(block)}
            for delta in _deltas(block, reply):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        delta = {"stop_reason": _stop_reason(reply, cap), "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": usage}
        yield {"type": "message_stop"}


def _head(request: Request, reply: Reply) -> dict[str, Any]:
    model = reply.model or request.body["model"]
    return {"id": f"msg_{request.id}", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _blocks(request: Request, reply: Reply) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": reply.text}] if reply.text else []
    tools = [
        {"type": "tool_use", "id": f"toolu_{number}_{request.id}", "name": name, "input": dict(args)}
        for number, (name, args) in enumerate(reply.tool_calls)
    ]
    return [*_searches(request, reply), *text, *tools]


def _searches(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    for number in range(reply.searches):
        id = f"srvtoolu_{number}_{request.id}"
        yield {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": "kites"}}
        yield {"type": "web_search_tool_result", "tool_use_id": id, "content": []}


def _empty(block: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}} if "input" in block else {}
    return {**block, **empty}


def _deltas(block: Mapping[str, Any], reply: Reply) -> list[dict[str, Any]]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": piece} for piece in reply.pieces]
    return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}] if "input" in block else []


def _stop_reason(reply: Reply, cap: int | None) -> str:
    return "max_tokens" if reply.ends_at(cap) else "tool_use" if reply.tool_calls else "end_turn"


def _usage(reply: Reply, cap: int | None) -> dict[str, Any] | None:
    """Anthropic's `input_tokens` are those that no cache had a part in."""
    if (tokens := reply.reported(cap)) is None:
        return None
    written = tokens.write_5m + tokens.write_1h
    return {
        "input_tokens": tokens.input - tokens.cache_read - written,
        "output_tokens": tokens.output,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.write_5m,
            "ephemeral_1h_input_tokens": tokens.write_1h,
        },
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
    }
