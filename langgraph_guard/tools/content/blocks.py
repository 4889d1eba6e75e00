"""Content blocks: what a tool returns that has texts and images side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeGuard

from langchain_core.tools.base import TOOL_MESSAGE_BLOCK_TYPES

Block: TypeAlias = dict[str, Any]

_SEEN: Final = ("text", "image", "image_url")
"""One of these must be there: a list of files may have elements of the type `file`, and is data."""


def is_blocks(value: object) -> TypeGuard[list[Block]]:
    """Whether `value` is message content rather than data. Data that looks the same is content to LangChain, too."""
    if not isinstance(value, list) or not all(map(_is_block, value)):
        return False
    return any(block["type"] in _SEEN for block in value)


def on_texts(blocks: list[Block], change: Callable[[str], str]) -> list[Block]:
    """The same blocks, each text of theirs changed. None of them is the object that it was, if it changed."""
    return [{**block, "text": change(block["text"])} if block["type"] == "text" else block for block in blocks]


def _is_block(value: object) -> bool:
    if not isinstance(value, dict) or value.get("type") not in TOOL_MESSAGE_BLOCK_TYPES:
        return False
    return value["type"] != "text" or isinstance(value.get("text"), str)
