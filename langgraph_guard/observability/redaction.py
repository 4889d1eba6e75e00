"""What may be shown to whoever watches: secrets are taken out before any sink sees a value.

`default_redact` knows the shapes of credentials: private keys, bearer tokens, the keys of well-known services, JSON web
tokens, passwords in addresses and in `name=value` pairs, and card numbers. It leaves names and e-mail addresses alone:
who asked is what a trace is searched by. Pass your own function (text in, text out) to take out more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

FAILED: Final = "[redaction failed]"
HIDDEN: Final = "[redacted]"
TOO_LARGE: Final = "[too large]"
DEEPEST: Final = 40
MOST: Final = 100_000
"""Values that one walk looks at: shared parts and cycles would make it endless."""
SHORT: Final = 100
KNOWN: Final = 4096
"""Texts up to `SHORT`, names and ids above all, come again and again: so many are remembered."""
MARGIN: Final = 4096
"""A secret that is cut in two is not recognised: so much more is read than shown."""


class _Shape:
    """What a credential looks like, and quick looks: where the pattern finds something, one of them does as well.

    A search for a pattern that begins with plain letters skips to them; one that begins with a choice, a boundary or
    letters of either case is tried at each character, which takes 20 times as long. Texts without secrets are most.
    """

    def __init__(self, pattern: str, *looks: str, shown: str | Callable[[re.Match[str]], str] = HIDDEN) -> None:
        self._pattern = re.compile(pattern)
        self._looks = [re.compile(look).search for look in looks]
        self._shown = shown

    def hide(self, text: str, looked_at: str) -> str:
        """`looked_at` is the text, or the text in small letters where the pattern takes letters of either case."""
        if any(look(looked_at) for look in self._looks):
            return self._pattern.sub(self._shown, text)
        return text


# Bounded repeats, and none of them beside another that takes the same characters: linear time, whatever the text.
# Where letters of either case are meant, they are ASCII letters: what has others in their place is another word.
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_TOKEN = _Shape(
    r"\b(?:sk|pk|rk)[-_][\w-]{16,400}"  # OpenAI, Anthropic, Langfuse, Stripe
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\bgh[pousr]_\w{20,400}|\bgithub_pat_\w{20,400}"  # GitHub
    r"|\bxox[a-z]-[\w-]{10,400}"  # Slack
    r"|\bAIza[\w-]{30,60}"  # Google
    r"|(?<![\w-])eyJ[\w-]{8,8000}\.[\w-]{8,8000}(?:\.[\w-]{0,8000})?",  # JSON web tokens
    *(rf"{two}[-_][\w-]{{16}}" for two in ("sk", "pk", "rk")),
    "AKIA[0-9A-Z]{16}",
    "ASIA[0-9A-Z]{16}",
    r"gh[pousr]_\w{20}",
    r"github_pat_",
    r"xox[a-z]-",
    r"AIza[\w-]{30}",
    r"eyJ[\w-]{8}",
)
_URL = re.compile(r"(://[^\s/:@]{0,200}:)[^\s/@]{1,400}@")
_SCHEME = _Shape(r"\b((?ai:bearer|basic) {1,4})[\w.~+/=-]{8,8000}", "bearer ", "basic ", shown=rf"\1{HIDDEN}")
_NAMES: Final = ("password", "passwd", "pwd", "secret", "api[_-]?key", "access[_-]?key", "token", "authorization")
_NAMED = _Shape(
    rf"((?ai:{'|'.join(_NAMES)})[\"']?\s{{0,8}}[:=]\s{{0,8}}[\"']?)[^\s\"',;&]{{1,4000}}",
    *(rf"{name}[\"']?\s{{0,8}}[:=]" for name in _NAMES),
    shown=rf"\1{HIDDEN}",
)
_CARD = re.compile(r"\d(?<![\w.-]\d)\d{3}[ -]?(?:\d{4}[ -]?){2}\d{1,7}(?![\w-])")  # not the digits in an id
_SECRET_NAME = re.compile(
    r"(?i)(?:password|passwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|token|authorization|credentials?)$"
)


def default_redact(text: str) -> str:
    """The text with `[redacted]` where a credential or a card number was. Linear time."""
    small = text.lower()
    text = _KEY_BLOCK.sub(HIDDEN, text)
    text = _SCHEME.hide(text, small)
    text = _TOKEN.hide(text, text)
    text = _URL.sub(rf"\1{HIDDEN}@", text)
    text = _NAMED.hide(text, small)
    return _CARD.sub(_card, text)


def is_secret(name: object) -> bool:
    """Whether what stands under `name` is hidden whole: a password, a key, a token."""
    return isinstance(name, str) and _ends_as_a_secret(name[-SHORT:])


@lru_cache(KNOWN)
def _ends_as_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _card(found: re.Match[str]) -> str:
    digits = [int(digit) for digit in found[0] if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    valid = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
    return HIDDEN if valid else found[0]


class Redactor:
    """Takes secrets out of texts and of whatever holds texts. Never raises; `redact=None` shows everything.

    A function that fails, or answers with something that is no text, hides the whole text: `[redaction failed]`.
    """

    def __init__(self, redact: Callable[[str], str] | None = default_redact) -> None:
        self._redact = redact
        self._short = lru_cache(KNOWN)(self._taken_out)

    def text(self, text: str) -> str:
        return self._short(text) if type(text) is str and len(text) <= SHORT else self._taken_out(text)

    def _taken_out(self, text: str) -> str:
        if self._redact is None:
            return text
        try:
            shown = self._redact(str(text))
        except Exception:
            return FAILED
        return shown if isinstance(shown, str) else FAILED

    def clip(self, text: str, limit: int) -> str:
        """At most `limit` characters of the redacted text, then `…`; reads little more of it than it shows."""
        if len(text) <= limit:
            return self.text(text)[: limit + len(FAILED)]
        shown = self.text(text[: limit + MARGIN])
        if len(text) > limit + MARGIN and self._redact is not None and shown != FAILED:
            shown = shown[:-MARGIN]  # what may be the first half of a secret
        return f"{shown[:limit]}…"

    def value(self, value: Any, *, chars: int | None = None, most: int = MOST) -> Any:
        """A copy without secrets: dicts, lists, tuples and messages stay what they are; other objects become text.

        What stands under a name like `password` or `api_key` is hidden whole. `chars` clips each text, and all of them
        together at four times that; of more than `most` values the rest is `[too large]`.
        """
        if self._redact is None and chars is None:
            return value
        try:
            return _Walk(self._clipped(chars) if chars is not None else self.text, most).value(value, 0)
        except Exception:
            return FAILED

    def _clipped(self, chars: int) -> Callable[[str], str]:
        left = 4 * chars

        def clipped(text: str) -> str:
            nonlocal left
            shown = self.clip(text, max(0, min(chars, left)))
            left -= len(shown)
            return shown

        return clipped


class _Walk:
    """One pass over one value."""

    def __init__(self, text: Callable[[str], str], most: int) -> None:
        self._text = cache(text)  # keys repeat
        self._left = most

    def value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            return TOO_LARGE
        if isinstance(value, int | str):
            return self._plain(value)
        if isinstance(value, Mapping):
            return self._named(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            walked = [self.value(item, depth + 1) for item in value]
            return tuple(walked) if type(value) is tuple else walked
        return self._object(value, depth)

    def _plain(self, value: int | str) -> Any:
        if isinstance(value, Enum):
            value = value.value
        shown = self._text(str(value))
        return value if isinstance(value, int) and shown == str(value) else shown

    def _named(self, named: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        return {self._key(name): self._under(name, item, depth) for name, item in named.items()}

    def _key(self, name: Any) -> Any:
        return name if name is None or isinstance(name, int | float) else self._text(str(name))

    def _under(self, name: Any, item: Any, depth: int) -> Any:
        return HIDDEN if item is not None and is_secret(name) else self.value(item, depth + 1)

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, BaseModel):
            return value.model_copy(update=self._named(dict(value), depth))
        if is_dataclass(value) and not isinstance(value, type):
            return self._named({field.name: getattr(value, field.name, None) for field in fields(value)}, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, BaseException):
            return self._text(f"{type(value).__name__}: {value}")
        if isinstance(value, date | time | timedelta | Decimal | PurePath | UUID | Enum):
            return self._text(str(value))
        if hasattr(value, "node") and hasattr(value, "arg"):  # LangGraph's Send
            return self._named({"node": value.node, "arg": value.arg}, depth)
        return f"<{type(value).__name__}>"  # its text could be anything
