"""What files in a message cost: sound, film, documents. Figures of what can be seen in the message; nothing is fetched.

Providers bill these by seconds and pages. Seconds come from a WAV header, or from the number of bytes at a low bit
rate, and pages from the number of bytes, so that a guess is rather high. What is only referred to (a URL, a file id)
counts as a minute, or three pages.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, NamedTuple

from langgraph_guard.tokens.images import ImageRule, size_of


class Size(NamedTuple):
    """Tokens that no tokenizer counts. `exact` is for what a provider's format adds."""

    tokens: int
    most: int
    exact: bool = False


AUDIO_PER_SECOND: Final = 32  # Gemini; OpenAI has 10
VIDEO_PER_SECOND: Final = 300  # Gemini: a frame of 258 each second, and the sound
PER_PAGE: Final = 2_500

AUDIO_BYTES_PER_SECOND: Final = 4_000
VIDEO_BYTES_PER_SECOND: Final = 125_000
BYTES_PER_PAGE: Final = 50_000

UNSEEN_SECONDS: Final = 60
UNSEEN_PAGES: Final = 3


class Payload(NamedTuple):
    """The data of a block, if it carries any: base64 or bytes. `detail` is OpenAI's wish for an image."""

    data: str | bytes | None
    mime: str
    detail: str = ""

    @property
    def bytes(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else len(self.data or "") * 3 // 4


def payload(block: dict[str, Any]) -> Payload:
    """Data, mime type and detail, wherever a provider's or LangChain's kind of block has them."""
    inner = [block, *(value for name in _HOLDERS if isinstance(value := block.get(name), dict))]
    inner += [value for holder in inner[1:] if isinstance(value := holder.get("source"), dict)]
    mime = _first(inner, ("mime_type", "media_type", "format"))
    data = next((found for holder in inner for name in _DATA if (found := _data(holder.get(name)))), None)
    if isinstance(data, str) and data.startswith("data:"):
        head, _, data = data.partition(",")
        mime = head[5:].partition(";")[0] or mime
    return Payload(data, mime, _first(inner, ("detail",)))


_HOLDERS: Final = ("source", "image_url", "input_audio", "file", "image", "document", "video", "audio", "inline_data")
_DATA: Final = ("base64", "data", "bytes", "file_data", "url", "image_url", "file_url")


def _data(value: Any) -> str | bytes | None:
    """Data, and not where data is."""
    if isinstance(value, bytes):
        return value
    remote = isinstance(value, str) and "://" in value[:16]
    return value if isinstance(value, str) and not remote else None


def _first(holders: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    found = (holder.get(name) for holder in holders for name in names)
    return next((value for value in found if isinstance(value, str)), "").lower()


def image(block: dict[str, Any], rule: ImageRule) -> Size:
    found = payload(block)
    tokens = rule.tokens(size_of(found.data) if found.data else None, low=found.detail == "low")
    return Size(tokens, max(tokens, rule.most))


def audio(block: dict[str, Any]) -> Size:
    found = payload(block)
    seconds = _seconds(found) if found.data else UNSEEN_SECONDS
    return _at_most_double(round(seconds * AUDIO_PER_SECOND) + 1)


def video(block: dict[str, Any]) -> Size:
    found = payload(block)
    seconds = found.bytes / VIDEO_BYTES_PER_SECOND if found.data else UNSEEN_SECONDS
    return _at_most_double(round(seconds * VIDEO_PER_SECOND) + 1)


def document(block: dict[str, Any]) -> Size:
    found = payload(block)
    if found.mime.startswith("text/"):
        return Size(found.bytes // 3 + 1, found.bytes + 1)
    pages = -(-found.bytes // BYTES_PER_PAGE) if found.data else UNSEEN_PAGES
    return _at_most_double(max(pages, 1) * PER_PAGE)


def encrypted(text: str) -> Size:
    """Reasoning that only the provider can read: about as long as its cipher text."""
    return Size(len(text) * 3 // 16, len(text) * 3 // 4)


def _at_most_double(tokens: int) -> Size:
    return Size(tokens, 2 * tokens)


def _seconds(found: Payload) -> float:
    data = found.data or b""
    head = data[:32] if isinstance(data, bytes) else _decoded(data[:64])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and (rate := int.from_bytes(head[28:32], "little")) >= 1_000:
        return found.bytes / rate
    return found.bytes / AUDIO_BYTES_PER_SECOND


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""
