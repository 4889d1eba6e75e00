"""Every kind of content block has a stated method; none is downloaded, counted as base64 text, or an error."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langgraph_guard.tokens import TokenEstimate, count_tokens
from langgraph_guard.tokens.counter import TokenCounter

WORDS = "one two three four five six seven eight nine ten"
MORE = 100_000


def png(width: int, height: int, padding: int = 0) -> bytes:
    """The beginning of a picture."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(padding)


def wav(seconds: int) -> bytes:
    """Silence, as telephones record it."""
    data = bytes(8_000 * seconds)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 8_000, 8_000, 1, 8)
    return head + struct.pack("<4sI", b"data", len(data)) + data


def b64(data: bytes) -> str:
    """As it travels in JSON."""
    return base64.b64encode(data).decode()


def estimate(*blocks: Any, model: str = "gpt-4o") -> TokenEstimate:
    """Of one message with this content."""
    return TokenCounter(model).estimate([HumanMessage(list(blocks))])


EMPTY = 7
"""Tokens of a message without content, and of the reply."""


def tokens(*blocks: Any, model: str = "gpt-4o") -> int:
    """Of the blocks alone."""
    return estimate(*blocks, model=model).total - EMPTY


@pytest.mark.parametrize(
    "block",
    [
        WORDS,
        {"type": "text", "text": WORDS},
        {"type": "text", "text": WORDS, "annotations": [{"type": "citation", "url": "https://x.org/" + "y" * 999}]},
        {"type": "input_text", "text": WORDS},
        {"type": "output_text", "text": WORDS},
        {"type": "text-plain", "text": WORDS, "mime_type": "text/plain"},
        {"type": "refusal", "refusal": WORDS},
        {"type": "reasoning", "reasoning": WORDS, "id": "rs_1"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": WORDS}]},
        {"type": "thinking", "thinking": WORDS, "signature": "x" * 4_000},
        {"type": "tool_result", "tool_use_id": "x" * 400, "content": WORDS},
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": WORDS}]},
        {"type": "function_call_output", "call_id": "1", "output": WORDS},
        {"type": "non_standard", "value": {"type": "text", "text": WORDS}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": WORDS}},
        {"text": WORDS},
        {"toolResult": {"toolUseId": "1", "content": [{"text": WORDS}]}},
    ],
)
def test_text_is_text_wherever_it_stands(block: Any) -> None:
    """Ten words are ten tokens: not their envelope, their citations or a signature."""
    assert tokens(block) == 10


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(png(1, 1, MORE))}"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{b64(png(1, 1, MORE))}"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{b64(png(1, 1, MORE))}"},
        {"type": "image", "base64": b64(png(1, 1, MORE)), "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": b64(png(1, 1, MORE)), "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(png(1, 1, MORE))}},
        {"type": "media", "mime_type": "image/png", "data": b64(png(1, 1, MORE))},
        {"type": "file", "mime_type": "image/png", "base64": b64(png(1, 1, MORE))},
        {"image": {"format": "png", "source": {"bytes": png(1, 1, MORE)}}},
    ],
)
def test_an_image_costs_by_its_size_in_pixels(block: Any) -> None:
    """One pixel is one tile, however many bytes: 85 and 170, as measured and published."""
    assert tokens(block) == 255


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image", "url": "https://example.com/cat.png"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "image", "file_id": "file-123"},
        {"type": "image", "base64": "%%% no base64 %%%"},
        {"type": "image"},
    ],
)
def test_an_image_that_cannot_be_seen_costs_the_most(block: Any) -> None:
    """Looking at it would be a request to a host that a user chose."""
    assert tokens(block) == 85 + 8 * 170


def test_low_detail_is_the_base_price() -> None:
    """It is what OpenAI promises for any size."""
    assert tokens({"type": "image_url", "image_url": {"url": "https://x.org/cat.png", "detail": "low"}}) == 85


@pytest.mark.parametrize(
    "block",
    [
        {"type": "input_audio", "input_audio": {"data": b64(wav(10)), "format": "wav"}},
        {"type": "audio", "base64": b64(wav(10)), "mime_type": "audio/wav"},
        {"type": "media", "data": b64(wav(10)), "mime_type": "audio/wav"},
    ],
)
def test_sound_costs_by_the_second(block: Any) -> None:
    """Eighty kilobytes are ten seconds here, and not twenty thousand tokens of base64."""
    assert 320 <= tokens(block) <= 325


def test_sound_of_an_unknown_kind_is_taken_for_speech_at_a_low_rate() -> None:
    """Few bytes per second are many seconds: too much is the safe side."""
    block = {"type": "audio", "base64": b64(bytes(40_000)), "mime_type": "audio/mp3"}
    assert 320 <= tokens(block) <= 325


@pytest.mark.parametrize(
    ("block", "least", "most"),
    [
        ({"type": "audio", "url": "https://x.org/a.mp3"}, 1_000, 5_000),
        ({"type": "video", "base64": b64(bytes(500_000)), "mime_type": "video/mp4"}, 1_000, 2_000),
        ({"type": "video", "url": "https://x.org/a.mp4"}, 10_000, 40_000),
        ({"type": "file", "base64": b64(bytes(100_000)), "mime_type": "application/pdf"}, 2_000, 10_000),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64," + b64(bytes(100_000))}}, 2_000, 10_000),
        ({"type": "file", "file": {"file_id": "file-1"}}, 5_000, 10_000),
        ({"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}}, 5_000, 10_000),
        ({"type": "file", "base64": b64(b"word " * 3_000), "mime_type": "text/plain"}, 3_000, 6_000),
        ({"type": "reasoning", "encrypted_content": "x" * 4_000, "summary": []}, 400, 1_500),
        ({"type": "redacted_thinking", "data": "x" * 4_000}, 400, 1_500),
        ({"type": "tool_use", "id": "1", "name": "search", "input": {"q": WORDS}}, 10, 25),
        ({"type": "server_tool_call", "id": "1", "name": "web_search", "args": {"q": WORDS}}, 10, 60),
        ({"type": "reasoning_content", "reasoning_content": {"text": WORDS}}, 10, 40),
        ({"type": "something new", "value": WORDS}, 10, 40),
        ({}, 1, 2),
        (17, 1, 2),
        (None, 1, 2),
    ],
)
def test_other_kinds_are_estimated_with_what_can_be_seen(block: Any, least: int, most: int) -> None:
    """The method is stated in `media.py`; what is not counted is not called exact."""
    found = TokenCounter("gpt-4o").estimate([HumanMessage.model_construct(content=[block])])
    assert least <= found.total - EMPTY <= most
    assert found.total <= found.upper_bound


def test_what_is_no_text_is_not_exact() -> None:
    """Sizes of pictures are a provider's to change."""
    assert (estimate(WORDS).exact, estimate({"type": "image"}).exact) == (True, False)


@pytest.mark.parametrize(
    "content", [None, 17, {"text": "x"}, ["a", None, 3, ["nested"]], [{"type": None}], [{1: 2}], ""]
)
def test_content_of_no_known_shape_is_counted_somehow(content: Any) -> None:
    """A guard that fails on a message nobody expected has stopped a healthy run."""
    message = HumanMessage.model_construct(content=content)
    assert TokenCounter().estimate([message]).total >= EMPTY - 1


def test_content_that_contains_itself_or_has_no_end_is_counted_somehow() -> None:
    """The same, for structures that recursion would not survive."""
    circle: dict[str, Any] = {"type": "odd"}
    circle["value"] = circle
    deep: Any = "end"
    for _ in range(5_000):
        deep = {"type": "tool_result", "content": [deep]}
    for block in (circle, deep):
        counter = TokenCounter()
        message = HumanMessage.model_construct(content=[block])
        assert counter([message]) == counter([message]) > 0


def test_the_artifact_of_a_tool_is_not_sent() -> None:
    """It is what the tool keeps for the program."""
    plain = ToolMessage(WORDS, tool_call_id="1")
    assert count_tokens([ToolMessage(WORDS, tool_call_id="1", artifact=WORDS * 99)]) == count_tokens([plain])


def test_arguments_that_json_does_not_know_are_counted_somehow() -> None:
    """Fakes and tests build calls by hand."""
    call = {"name": "f", "args": {"at": object(), "data": b"\xff", "text": json}, "id": "1"}
    assert count_tokens([AIMessage("", tool_calls=[call])]) > 10
