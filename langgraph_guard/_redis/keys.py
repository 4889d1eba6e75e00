"""Key parts from any text: two texts never give the same part, and no part means anything to Redis.

    part("order-7")        'aorder-7'          plain
    part("user:7 {x}")     'bdXNlcjo3IHt4fQ'   base64url
    part("…" * 1_000)      'h9f86d081…'        SHA-256, for what is long

The first letter says which, so a plain text cannot be mistaken for an encoded one. `h` cannot be turned back: what must
be listed again stores its text as a value too.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from langgraph_guard.errors import ConfigError

LONGEST = 96
"""Bytes of UTF-8; a longer text is hashed."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_prefix(prefix: object) -> str:
    """What all keys of ours begin with."""
    if not isinstance(prefix, str) or not _PLAIN.fullmatch(prefix):
        raise ConfigError("prefix", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return prefix


def part(text: str, field: str = "key") -> str:
    """`text` as 1 to 129 characters of `[A-Za-z0-9_-]`. `field` is what an error calls it."""
    if _PLAIN.fullmatch(text):
        return f"a{text}"
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(field, "has half of a surrogate pair, which no store can hold") from error
    if len(data) > LONGEST:
        return f"h{sha256(data).hexdigest()}"
    return f"b{urlsafe_b64encode(data).decode().rstrip('=')}"
