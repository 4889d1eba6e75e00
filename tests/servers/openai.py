"""OpenAI's protocol: chat completions and responses, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.servers.provider import Provider, Request
from tests.servers.script import Reply, Tokens


class OpenAIServer(Provider):
    """Stands behind `ChatOpenAI(base_url=server.url)`."""

    base = "/v1"
    last_event = "data: [DONE]\n\n"

    def cap_of(self, body: Mapping[str, Any]) -> int | None:
        caps = (body.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
        return next((cap for cap in caps if cap is not None), None)

    def event(self, data: Mapping[str, Any]) -> str:
        return super().event(data) if "type" in data else f"data: {json.dumps(data)}\n\n"

    def error(self, reply: Reply) -> dict[str, Any]:
        return {"error": {"message": "scripted", "type": "scripted", "code": None, "param": None}}

    def whole(self, request: Request, reply: Reply) -> dict[str, Any]:
        cap = self.cap_of(request.body)
        return _response(request, reply, cap) if _is_responses(request) else _completion(request, reply, cap)

    def events(self, request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
        cap = self.cap_of(request.body)
        return _response_events(request, reply, cap) if _is_responses(request) else _chunks(request, reply, cap)


def _is_responses(request: Request) -> bool:
    return request.path.endswith("/responses")


def _head(request: Request, reply: Reply, **more: Any) -> dict[str, Any]:
    tier = {"service_tier": reply.tier} if reply.tier else {}
    # A deployment of Azure is in the path, not in the body.
    model = reply.model or request.body.get("model") or "gpt-4o-mini-2024-07-18"
    return {"model": model, "created": 1_790_000_000, **tier, **more}


# Chat completions


def _completion(request: Request, reply: Reply, cap: int | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(request, reply)
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(reply, cap)}
    return _head(
        request,
        reply,
        id=f"chatcmpl-{request.id}",
        object="chat.completion",
        choices=[choice],
        usage=_usage(reply, cap),
    )


def _chunks(request: Request, reply: Reply, cap: int | None) -> Iterator[dict[str, Any]]:
    head = _head(request, reply, id=f"chatcmpl-{request.id}", object="chat.completion.chunk")
    asked_for_usage = (request.body.get("stream_options") or {}).get("include_usage")

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in reply.pieces:
        yield chunk({"content": piece})
    for index, call in enumerate(_tool_calls(request, reply)):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    yield chunk({}, _finish_reason(reply, cap))
    if asked_for_usage and (usage := _usage(reply, cap)):
        yield {**head, "choices": [], "usage": usage}


def _tool_calls(request: Request, reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{number}_{request.id}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(args)},
        }
        for number, (name, args) in enumerate(reply.tool_calls)
    ]


def _finish_reason(reply: Reply, cap: int | None) -> str:
    return "length" if reply.ends_at(cap) else "tool_calls" if reply.tool_calls else "stop"


def _usage(reply: Reply, cap: int | None) -> dict[str, Any] | None:
    if (tokens := reply.reported(cap)) is None:
        return None
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.write_5m,
            "audio_tokens": tokens.audio_in,
        },
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": tokens.audio_out},
    }


# Responses

_EMPTY: dict[str, Any] = {"message": {"content": []}, "function_call": {"arguments": ""}}


def _response(request: Request, reply: Reply, cap: int | None) -> dict[str, Any]:
    cut = reply.ends_at(cap)
    return _head(
        request,
        reply,
        id=f"resp_{request.id}",
        object="response",
        created_at=1_790_000_000,
        status="incomplete" if cut else "completed",
        incomplete_details={"reason": "max_output_tokens"} if cut else None,
        error=None,
        output=[*_searches(request, reply), *_texts(request, reply), *_functions(request, reply)],
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=_responses_usage(reply.reported(cap)),
    )


def _response_events(request: Request, reply: Reply, cap: int | None) -> Iterator[dict[str, Any]]:
    whole = _response(request, reply, cap)
    yield {"type": "response.created", "response": {**whole, "output": [], "usage": None}}
    for index, item in enumerate(whole["output"]):
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, **_EMPTY.get(item["type"], {})},
        }
        if item["type"] == "message":
            for piece in reply.pieces:
                at = {"item_id": item["id"], "output_index": index, "content_index": 0}
                yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
        elif item["type"] == "function_call":
            at = {"item_id": item["id"], "output_index": index}
            yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _texts(request: Request, reply: Reply) -> list[dict[str, Any]]:
    content = [{"type": "output_text", "text": reply.text, "annotations": []}]
    message = {"type": "message", "id": f"msg_{request.id}", "role": "assistant", "content": content}
    return [{**message, "status": "completed"}] if reply.text else []


def _searches(request: Request, reply: Reply) -> list[dict[str, Any]]:
    searched = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "kites"}}
    return [{**searched, "id": f"ws_{number}_{request.id}"} for number in range(reply.searches)]


def _functions(request: Request, reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "type": "function_call",
            "id": f"fc_{number}_{request.id}",
            "call_id": f"call_{number}_{request.id}",
            "name": name,
            "arguments": json.dumps(args),
            "status": "completed",
        }
        for number, (name, args) in enumerate(reply.tool_calls)
    ]


def _responses_usage(tokens: Tokens | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "input_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.write_5m},
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }
