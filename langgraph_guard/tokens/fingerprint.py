"""What a message says, as sixteen bytes: the key under which its count is remembered.

Ids are left out: nodes rewrite messages under the same id, and a message gets its id only when it joins a state.
"""

from __future__ import annotations

import json
import marshal
import secrets
from hashlib import blake2b
from typing import Any

from langchain_core.messages import BaseMessage

OPENING = 1_024
"""Characters."""

_SAYS = ("type", "role", "name", "content", "tool_calls", "invalid_tool_calls")


def fingerprint(message: BaseMessage) -> bytes:
    said = message.__dict__
    return digest([*map(said.get, _SAYS), message.additional_kwargs.get("function_call")])


def opening(message: BaseMessage) -> bytes:
    """The same, of a long text its beginning and its length: to look a conversation up by, before it is compared."""
    said = message.content
    if not isinstance(said, str) or len(said) <= OPENING:
        return fingerprint(message)
    fields = (message.__dict__.get(name) for name in _SAYS if name != "content")
    return digest([said[:OPENING], len(said), *fields, message.additional_kwargs.get("function_call")])


def digest(value: Any) -> bytes:
    try:
        data = marshal.dumps(value, 2)  # Version 2: the bytes depend on the value alone, not on who else refers to it.
    except ValueError:
        data = _as_json(value)
    return blake2b(data, digest_size=16).digest()


def _as_json(value: Any) -> bytes:
    """What has no end is like nothing else, and so is not remembered."""
    try:
        return json.dumps(value, default=str).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError):
        return secrets.token_bytes(16)


def joined(one: bytes, other: bytes) -> bytes:
    return blake2b(one + other, digest_size=16).digest()
