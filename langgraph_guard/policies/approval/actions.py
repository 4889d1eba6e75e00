"""What exactly is to be done: a tool and its arguments as text that no other action has, and its digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, Self

from langgraph_guard.errors import ActionRefused

DEEPEST: Final = 64
"""Levels of nesting. Nobody reviews more, and none of the ways here needs a stack for it."""

LONGEST: Final = 1_000_000
"""Characters of arguments. More is a document, and belongs behind a reference."""

LONGEST_TOOL: Final = 1_000
"""Characters of a tool's name. A model may name what does not exist, at any length."""

VERSION: Final = "1"


@dataclass(frozen=True)
class Action:
    """A call as it will be executed. Raises `ActionRefused` for arguments that have no one text: NaN, bytes, sets,
    keys that are not str, objects; for what is deeper or longer than anybody reviews; and for a tool without a name
    that a store can keep."""

    tool: str
    args: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check_tool(self.tool)
        _ = self.text

    @classmethod
    def edited(cls, tool: str, args: Mapping[str, Any]) -> Self:
        """What a reviewer wrote. The next one is shown it, so a checkpoint must be able to keep it: raises
        `ActionRefused` also for whole numbers of more than 64 bits."""
        found = cls(tool, args)
        if _has_large(args):
            raise ActionRefused(tool, "args", "have a whole number of more than 64 bits")
        return found

    @cached_property
    def text(self) -> str:
        """The arguments as JSON: sorted keys, ASCII. `1`, `1.0`, `true` and `"1"` differ, and so do NFC and NFD."""
        if not isinstance(self.args, Mapping):
            raise ActionRefused(self.tool, "args", f"must be a mapping, is a {type(self.args).__name__}")
        plain = _plain(self.tool, self.args, "args", 0)
        try:
            text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        except ValueError as error:  # Python writes no whole number of thousands of digits
            raise ActionRefused(self.tool, "args", "have a number with more digits than anybody reviews") from error
        if len(text) > LONGEST:
            raise ActionRefused(self.tool, "args", f"have {len(text)} characters, the limit is {LONGEST}")
        return text

    @cached_property
    def digest(self) -> str:
        """64 hex digits, of the tool's name and the arguments' text. The reviewer sees it; what runs has the same."""
        return digest_of(self.tool, self.text)


def digest_of(tool: str, text: str) -> str:
    """The digest of the action whose arguments are this text."""
    return hashed("action", VERSION, tool, text)


def approval_id(tenant: str, thread: str, parent_ns: str, call_id: str, digest: str) -> str:
    """The id of the request to approve one call: the same when its node runs again, another when anything differs.

    `parent_ns`: the namespace of the graph, not of the node in it, which changes with every task. It is no secret:
    who may decide is a matter of who somebody is, not of knowing the id.
    """
    return hashed("approval", VERSION, tenant, thread, parent_ns, call_id, digest)[:32]


def hashed(*parts: str) -> str:
    """SHA-256 of `parts`, each with its length before it, so that no two lists of parts run together."""
    whole = sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()


def _check_tool(tool: object) -> None:
    if not isinstance(tool, str) or not 0 < len(tool) <= LONGEST_TOOL:
        raise ActionRefused(str(tool)[:80], "name", f"must be a str of 1 to {LONGEST_TOOL} characters")
    if not tool.isascii() and tool.encode(errors="replace").decode() != tool:
        raise ActionRefused(tool, "name", "has half of a surrogate pair in it, which is no character")


def _plain(tool: str, value: Any, where: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise ActionRefused(tool, where[:80], f"is nested deeper than {DEEPEST} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(tool, key, where): _plain(tool, each, f"{where}.{key}", depth + 1) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(tool, each, f"{where}.{at}", depth + 1) for at, each in enumerate(value)]
    kind = "not a finite number" if isinstance(value, float) else f"a {type(value).__name__}"
    raise ActionRefused(tool, where[:80], f"is {kind}, which has no one text")


def _has_large(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_large, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_large, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def _key(tool: str, key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise ActionRefused(tool, where[:80], f"has a key that is a {type(key).__name__}")
    return str.__str__(key)
