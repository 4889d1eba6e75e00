"""Results that are bytes: a model cannot read them, and is told what they are."""

from __future__ import annotations

import ast
import hashlib
from typing import Final

KINDS: Final[dict[bytes, str]] = {
    b"\x89PNG\r\n\x1a\n": "PNG image",
    b"\xff\xd8\xff": "JPEG image",
    b"GIF8": "GIF image",
    b"%PDF-": "PDF document",
    b"PK\x03\x04": "ZIP archive or Office document",
    b"\x1f\x8b": "gzip data",
    b"SQLite format 3\x00": "SQLite database",
    b"\x7fELF": "ELF program",
    b"ID3": "MP3 audio",
    b"OggS": "Ogg audio",
}
"""By what they begin with."""

LONGEST_LITERAL: Final = 40 * 1024 * 1024
"""Characters: four for each byte of 10 MB."""


def described(data: bytes) -> str:
    """The text in place of `data`: `[PNG image, 48,213 bytes, sha256 1a2b3c4d5e6f7a8b; not text]`."""
    return f"[{_kind(data)}, {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}; not text]"


def bytes_in(text: str) -> bytes | None:
    """The bytes of a text that is what `str()` makes of bytes, which is how LangChain hands them over."""
    quote = text[1:2]
    written = text[:1] == "b" and quote in ("'", '"') and text[-1:] == quote and len(text) >= 3
    if not written or len(text) > LONGEST_LITERAL or "\\x" not in text:
        return None
    try:
        found = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, bytes) else None


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF":
        return {b"WEBP": "WebP image", b"WAVE": "WAV audio"}.get(data[8:12], "RIFF media")
    return next((kind for start, kind in KINDS.items() if data.startswith(start)), "binary data")
