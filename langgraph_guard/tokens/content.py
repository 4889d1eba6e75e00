"""What a message's content is made of: texts to count, and sizes of what is no text.

Blocks come in LangChain's own kinds, in OpenAI's, Anthropic's, Google's and Bedrock's. A kind that nobody here knows
counts as its JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

from langgraph_guard.tokens import media
from langgraph_guard.tokens.images import ImageRule
from langgraph_guard.tokens.media import Size

Part: TypeAlias = str | Size

DEPTH: Final = 8
"""How far results inside results are followed; deeper ones count as JSON."""

CALLS: Final = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta", "toolUse"}
)
"""Blocks that say again what `AIMessage.tool_calls` says."""


def parts_of(content: Any, images: ImageRule, *, calls: bool = True, depth: int = 0) -> Iterator[Part]:
    """The parts of a message's content. `calls=False` leaves out blocks that are tool calls."""
    if isinstance(content, str):
        return iter((content,))
    if not isinstance(content, list):
        return iter(() if content is None else (as_json(content),))
    return chain.from_iterable(_of_block(block, images, calls, depth) for block in content)


def as_json(value: Any) -> str:
    """`value` as it would be sent; the name of its type when there is no such form."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _of_block(block: Any, images: ImageRule, calls: bool, depth: int) -> Iterator[Part]:
    if not isinstance(block, dict):
        return iter((block if isinstance(block, str) else as_json(block),))
    kind = _kind(block)
    if kind in CALLS:
        return _call(block) if calls else iter(())
    if kind in _IMAGES:
        return iter((media.image(block, images),))
    if kind in _MEDIA:
        return iter((_MEDIA[kind](block),))
    if kind in _NESTED and depth < DEPTH:
        return _nested(block, images, calls, depth)
    return _TEXTS.get(kind, _unknown)(block)


def _kind(block: dict[str, Any]) -> str:
    """Bedrock names a block by its only key; Google's `media` and LangChain's `file` by their mime type."""
    kind = block.get("type")
    if not isinstance(kind, str):
        return next((name for name in block if name in _BY_KEY), "")
    if kind in ("media", "file", "document", "input_file"):
        main = media.payload(block).mime.partition("/")[0]
        return main if main in ("image", "audio", "video") else kind
    return kind


def _call(block: dict[str, Any]) -> Iterator[Part]:
    inner = block.get("toolUse", block)
    args = next((inner[name] for name in ("args", "input", "arguments", "partial_json") if name in inner), "")
    yield str(inner.get("name") or "")
    yield args if isinstance(args, str) else as_json(args)


def _nested(block: dict[str, Any], images: ImageRule, calls: bool, depth: int) -> Iterator[Part]:
    """A result, or a foreign block in LangChain's envelope."""
    inner = block.get("toolResult", block)
    found = next((inner[name] for name in ("content", "value", "output") if name in inner), None)
    return parts_of([found] if isinstance(found, dict) else found, images, calls=calls, depth=depth + 1)


def _text(block: dict[str, Any]) -> Iterator[Part]:
    yield _string(block.get("text"))


def _refusal(block: dict[str, Any]) -> Iterator[Part]:
    yield _string(block.get("refusal"))


def _reasoning(block: dict[str, Any]) -> Iterator[Part]:
    """Counted although some providers drop it from later turns: too much is the safe side."""
    cipher = block.get("encrypted_content") or block.get("data")
    summary = block.get("summary")
    said = [block.get(name) for name in ("reasoning", "thinking", "text")]
    said += (
        [item.get("text") if isinstance(item, dict) else item for item in summary] if isinstance(summary, list) else []
    )
    found: list[Part] = [text for text in said if isinstance(text, str)]
    found += [media.encrypted(cipher)] if isinstance(cipher, str) else []
    return iter(found or [as_json(block)])


def _document(block: dict[str, Any]) -> Iterator[Part]:
    """A document may be plain text in any of three places."""
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        said = source.get("data") or source.get("content")
        yield said if isinstance(said, str) else as_json(said)
    elif isinstance(said := block.get("text"), str):
        yield said
    else:
        yield media.document(block)
    for name in ("title", "context"):
        if isinstance(said := block.get(name), str):
            yield said


def _unknown(block: dict[str, Any]) -> Iterator[Part]:
    yield as_json(block)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else as_json(value)


_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_MEDIA: Final[dict[str, Callable[[dict[str, Any]], Size]]] = {
    "audio": media.audio,
    "input_audio": media.audio,
    "video": media.video,
}
_NESTED: Final = frozenset(
    {
        "tool_result",
        "function_call_output",
        "non_standard",
        "toolResult",
        "server_tool_result",
        "custom_tool_call_output",
    }
)
_TEXTS: Final[dict[str, Callable[[dict[str, Any]], Iterator[Part]]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "text-plain": _document,
    "refusal": _refusal,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "redacted_thinking": _reasoning,
    "reasoning_content": _reasoning,
    "file": _document,
    "input_file": _document,
    "document": _document,
    "media": _document,
}
_BY_KEY: Final = frozenset({"text", "image", "document", "video", "audio", "toolUse", "toolResult"})
