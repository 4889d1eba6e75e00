"""The size of an image is read from its first bytes, and its price follows from the model's rule."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.tokens.images import Patches, Size, Tiles, size_of
from langgraph_guard.tokens.models import family_of

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480)
NOTES = b"\xff\xe1" + struct.pack(">H", 40_002) + bytes(40_000)
TABLE = b"\xff\xc4" + struct.pack(">H", 4) + bytes(2)
JPEG = b"\xff\xd8" + NOTES + TABLE + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 480, 640)
WEBP_LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
WEBP_LOSSLESS = b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + struct.pack("<I", 639 | 479 << 14)
WEBP_EXTENDED = b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
HEADERS = {
    "png": PNG,
    "gif": GIF,
    "jpeg": JPEG,
    "webp": WEBP_LOSSY,
    "webp, lossless": WEBP_LOSSLESS,
    "webp, extended": WEBP_EXTENDED,
}


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_the_size_is_in_the_header(data: bytes) -> None:
    """Behind forty kilobytes of a camera's notes, too."""
    assert size_of(data) == size_of(base64.b64encode(data + bytes(9)).decode()) == Size(640, 480)


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_a_header_that_was_cut_has_no_size(data: bytes) -> None:
    """At any place; never an error."""
    assert {size_of(data[:at]) for at in range(len(data) - 2)} <= {None}


@given(st.binary(max_size=64), st.sampled_from([b"", PNG[:16], GIF[:6], JPEG[:4], WEBP_LOSSY[:16], b"\xff\xd8\xff"]))
def test_anything_may_call_itself_an_image(rest: bytes, start: bytes) -> None:
    """The data is a user's."""
    found = size_of(start + rest)
    assert found is None or (found.width > 0 and found.height > 0)


@given(st.text(max_size=40))
def test_anything_may_call_itself_base64(text: str) -> None:
    """And so is the text."""
    assert size_of(text) is None


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        (Size(1, 1), 255),
        (Size(512, 512), 255),
        (Size(1_024, 1_024), 765),
        (Size(2_048, 4_096), 1_105),
        (Size(4_096, 2_048), 1_105),
        (None, 1_445),
    ],
)
def test_tiles(size: Size | None, tokens: int) -> None:
    """OpenAI's own examples."""
    assert Tiles(85, 170).tokens(size, low=False) == tokens


@pytest.mark.parametrize(
    ("size", "tokens"), [(Size(32, 32), 1), (Size(33, 32), 2), (Size(9_000, 9_000), 1_536), (None, 1_536)]
)
def test_patches(size: Size | None, tokens: int) -> None:
    """One token per square, up to a cap."""
    assert Patches(32, 1_536).tokens(size, low=False) == tokens


def test_a_small_model_may_charge_more() -> None:
    """The same pixel costs 255 tokens of gpt-4o and 8,500 of gpt-4o-mini: as published."""
    costs = [family_of(name).images.tokens(Size(1, 1), low=False) for name in ("gpt-4o", "gpt-4o-mini")]
    assert costs == [255, 8_500]
