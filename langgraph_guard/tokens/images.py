"""What an image costs, by its size. The size comes from the first bytes of the data; nothing is ever fetched."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeAlias

HEADER: Final = 131_072
"""Base64 characters that are decoded: JPEG's size stands behind its metadata."""


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels."""

    width: int
    height: int

    def within(self, width: float, height: float) -> Size:
        """Scaled down, if need be, into a box."""
        factor = min(1.0, width / self.width, height / self.height)
        return Size(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def cells(self, side: int) -> int:
        return ceil(self.width / side) * ceil(self.height / side)


@dataclass(frozen=True, slots=True)
class Tiles:
    """OpenAI's rule of 512-pixel tiles, after fitting into 2,048 and the shorter side into 768."""

    base: int
    each: int

    @property
    def most(self) -> int:
        return self.base + 8 * self.each  # 768 × 2,048

    def tokens(self, size: Size | None, *, low: bool) -> int:
        if low:
            return self.base
        if size is None:
            return self.most
        fitted = size.within(2_048, 2_048)
        shorter, longer = sorted((fitted.width, fitted.height))
        fitted = Size(shorter, longer).within(768, 2_048)
        return self.base + self.each * fitted.cells(512)


@dataclass(frozen=True, slots=True)
class Patches:
    """So many tokens for each square of `side` pixels, up to `cap` squares."""

    side: int
    cap: int
    each: float = 1.0

    @property
    def most(self) -> int:
        return ceil(self.cap * self.each)

    def tokens(self, size: Size | None, *, low: bool) -> int:
        return self.most if size is None else ceil(min(size.cells(self.side), self.cap) * self.each)


ImageRule: TypeAlias = Tiles | Patches


def size_of(data: str | bytes) -> Size | None:
    """The size that the header of an image tells. `data` is base64 or bytes; `None` for anything that is no image."""
    head = data[:HEADER] if isinstance(data, bytes) else _decoded(data[:HEADER])
    try:
        size = _png(head) or _gif(head) or _webp(head) or _jpeg(head)
    except struct.error:
        return None
    return size if size and size.width > 0 and size.height > 0 else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text[: len(text) // 4 * 4].translate({45: "+", 95: "/"}))
    except (binascii.Error, ValueError):
        return b""


def _png(head: bytes) -> Size | None:
    return Size(*struct.unpack_from(">II", head, 16)) if head.startswith(b"\x89PNG\r\n\x1a\n") else None


def _gif(head: bytes) -> Size | None:
    return Size(*struct.unpack_from("<HH", head, 6)) if head[:6] in (b"GIF87a", b"GIF89a") else None


def _webp(head: bytes) -> Size | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return Size(width & 0x3FFF, height & 0x3FFF)
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if head[12:16] != b"VP8X" or len(head) < 30:
        return None
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    return Size(width, height)


def _jpeg(head: bytes) -> Size | None:
    """Walk over the segments to the frame header."""
    at = 2 if head.startswith(b"\xff\xd8\xff") else len(head)
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return Size(width, height)
        at += 2 + max(2, length)
    return None
