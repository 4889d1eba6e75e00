"""What makes two calls, or two results, the same: short hashes that are stable from process to process.

Of calls there are three, from narrow to wide. `exact`: the same arguments, whatever the order of keys, `1` or `1.0`,
white space at the ends. `near`: the same but for case, punctuation, white space, `4711` or `"4711"`. `shape`: the same
but for numbers. Of a result, what changes with every call is left out: instants, uuids, addresses, ids of requests.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

DEEP: Final = 40
"""Levels of nesting that are looked at."""

MANY: Final = 100_000
"""Values that are looked at: one that holds itself twice would have no end."""

LONG: Final = 50_000
"""Characters of a result from which on it is compared as it is."""

TYPED: Final = 2_000
"""Characters of an argument from which on nobody types it twice in two ways."""

_VOLATILE: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
    r"|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b0x[0-9a-f]{6,16}\b"
    r"|\b(?:request|trace|span|correlation|session)[ _-]?id\W{1,4}[\w-]+"
    r"|\breq[_-]\w{6,}"
    r"|<<(?:end of )?data \w+|\bartifact [0-9a-f]{12}\b|\bread_artifact\(id=\"[\w-]*\"",  # what ToolGuard marks with
    re.IGNORECASE,
)
_VOLATILE_KEY: Final = re.compile(
    r"(?:request|trace|span|correlation)_?id|(?:.*_)?(?:timestamp|ts)|(?:checked|fetched|retrieved|generated|served)_?at"
    r"|(?:elapsed|latency|duration|took)(?:_?m?s(?:ec|econds)?)?",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_BETWEEN_DIGITS: Final = re.compile(r"(?<=\d)[\W_]+(?=\d)")
_NO_WORD: Final = re.compile(r"[^\w.]|_|(?<!\d)\.|\.(?!\d)")
_DIGITS: Final = re.compile(r"\d+")


def digest(*parts: str) -> str:
    """Twelve characters that stand for `parts`."""
    text = json.dumps(parts).encode()  # ASCII, so that half a surrogate pair has bytes as well
    return blake2b(text, digest_size=6).hexdigest()


def exact(tool: str, args: Any) -> str:
    return digest("exact", tool, _text(args, str.strip))


def near(tool: str, args: Any) -> str:
    return digest("near", tool, _text(args, _plain, numbers=str))


def shape(tool: str, args: Any) -> str:
    return digest("shape", tool, _text(args, lambda text: _DIGITS.sub("0", _plain(text)), numbers=lambda number: "0"))


def success(content: Any) -> str:
    """Of what a tool returned."""
    return digest("success", _said(content))


def failure(error_type: str | None, content: Any = "") -> str:
    """Of an error: its type, and only where it has none what it said, numbers aside."""
    return f"!{error_type[:40]}" if error_type else f"!{digest(_DIGITS.sub('0', _said(content)))}"


def _said(content: Any) -> str:
    """A result without what changes with every call."""
    if isinstance(content, str):
        if len(content) > LONG:
            return content
        content = _parsed(content)
    return _text(content, _masked, leaves_out=lambda key: _VOLATILE_KEY.fullmatch(key) is not None)


def _parsed(content: str) -> Any:
    """The value, if it is the JSON of an object or a list; else the text."""
    if content.lstrip()[:1] not in ("{", "["):
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _masked(text: str) -> str:
    return " ".join(_VOLATILE.sub("~", text).split()) if len(text) <= LONG else text


def _plain(text: str) -> str:
    """`text` as it sounds: without case, spaces and punctuation, but for what stands between two digits."""
    if len(text) > TYPED:
        return text.strip()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NO_WORD.sub("", _BETWEEN_DIGITS.sub(".", folded)) or folded.strip()


def _text(
    value: Any,
    words: Callable[[str], str],
    numbers: Callable[[float], Any] = lambda number: number,
    leaves_out: Callable[[str], bool] = lambda key: False,
) -> str:
    """`value` as JSON text, the same for all that counts as the same."""
    return json.dumps(_Canon(words, numbers, leaves_out).of(value, DEEP), sort_keys=True)


@dataclass(slots=True)
class _Canon:
    """Writes a value in the one way that stands for all that are the same."""

    words: Callable[[str], str]
    numbers: Callable[[float], Any]
    leaves_out: Callable[[str], bool]
    left: int = MANY

    def of(self, value: Any, deep: int) -> Any:
        if isinstance(value, str):
            return self.words(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if deep == 0 or self.left <= 0:
            return "…"
        self.left -= 1
        if isinstance(value, dict):
            named = ((_odd(key), each) for key, each in value.items())
            return {key: self.of(each, deep - 1) for key, each in named if not self.leaves_out(key)}
        if isinstance(value, list | tuple):
            return [self.of(each, deep - 1) for each in value]
        if isinstance(value, set | frozenset):
            return sorted(json.dumps(self.of(each, deep - 1), sort_keys=True) for each in value)
        return _odd(value)

    def _number(self, value: float) -> Any:
        if isinstance(value, int):
            return self.numbers(value) if value.bit_length() < 10_000 else hex(value)  # Python writes no longer ones.
        return self.numbers(int(value) if math.isfinite(value) and value == int(value) else value)


def _odd(value: Any) -> str:
    """A text, or something that JSON does not know. Its `repr` is its author's code."""
    if isinstance(value, str):
        return value
    try:
        return f"{type(value).__name__} {_ADDRESS.sub('~', repr(value))}"
    except Exception:
        return type(value).__name__
