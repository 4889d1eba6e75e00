"""What may be shown to whoever watches: secrets are taken out before any sink sees a value.

`default_redact` knows the shapes of credentials, and no more than those. Pass your own function (text in, text out) to
take out more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from inspect import iscoroutinefunction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.credentials import HIDDEN, KNOWN, default_redact, is_secret

FAILED: Final = "[redaction failed]"
TOO_LARGE: Final = "[too large]"
DEEPEST: Final = 40
MOST: Final = 100_000
"""Values that one walk looks at: shared parts and cycles would make it endless."""
SHORT: Final = 100
"""Texts up to so many characters, names and ids above all, come again and again, and are remembered."""
MARGIN: Final = 4096
"""A secret that is cut in two is not recognised: so much more is read than shown."""


class Redactor:
    """Takes secrets out of texts and of whatever holds texts. Never raises; `redact=None` shows everything.

    A function that fails, or answers with something that is no text, hides the whole text: `[redaction failed]`. An
    `async` function is a `ConfigError`: nobody could wait for it.
    """

    def __init__(self, redact: Callable[[str], str] | None = default_redact) -> None:
        if is_async(redact):
            raise ConfigError("redact", "must answer at once: an async function cannot")
        self._redact = redact
        self.remembers = redact is default_redact
        """Whether a text is shown today as it was yesterday. A function of the user's may learn, or fail for once."""
        self._short = lru_cache(KNOWN)(self._taken_out) if self.remembers else self._taken_out

    def text(self, text: str) -> str:
        return self._short(text) if type(text) is str and len(text) <= SHORT else self._taken_out(text)

    def _taken_out(self, text: str) -> str:
        if self._redact is None:
            return writable(text)
        try:
            shown = self._redact(str(text))
        except Exception:
            return FAILED
        return writable(shown) if isinstance(shown, str) else FAILED

    def clip(self, text: str, limit: int) -> str:
        """At most `limit` characters of the redacted text, then `…`; reads little more of it than it shows."""
        if limit <= 0 and text:
            return "…"
        if len(text) <= limit:
            return self.text(text)[: limit + len(FAILED)]
        shown = self.text(text[: limit + MARGIN])
        if len(text) > limit + MARGIN and self._redact is not None and shown != FAILED:
            shown = shown[:-MARGIN]  # what may be the first half of a secret
        return f"{shown[:limit]}…"

    def value(self, value: Any, *, chars: int | None = None, total: int | None = None, most: int = MOST) -> Any:
        """A copy without secrets: dicts, lists, tuples and messages stay what they are; other objects become text.

        What stands under a name like `password` or `api_key` is hidden whole. `chars` clips each text, and `total`,
        four times that, all of them together; of more than `most` values the rest is one `[too large]`.
        """
        if self._redact is None and chars is None:
            return value
        text = self.text if chars is None else self._clipped(chars, 4 * chars if total is None else total)
        try:
            return _Walk(text, most, hides=self._redact is not None).value(value, 0)
        except Exception:
            return FAILED

    def _clipped(self, chars: int, left: int) -> Callable[[str], str]:
        def clipped(text: str) -> str:
            nonlocal left
            limit = max(0, min(chars, left))
            shown = self.clip(text, limit)
            left -= max(len(shown), min(len(text), limit))  # what was read: a redactor may leave nothing of it
            return shown

        return clipped


def writable(text: str) -> str:
    """Without half characters, which no file and no protocol takes: one of them costs all that is sent with it."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def is_async(function: object) -> bool:
    """Whether calling it begins something that somebody would have to wait for."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


class _Walk:
    """One pass over one value."""

    def __init__(self, text: Callable[[str], str], most: int, *, hides: bool) -> None:
        self._text = cache(text)  # keys repeat
        self._left = most
        self._hides = hides

    def value(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool | float):
            return value
        if self._left < 0 or depth > DEEPEST:
            return TOO_LARGE
        if isinstance(value, int | str):
            return self._plain(value)
        if isinstance(value, Mapping):
            return self._named(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            walked = [self.value(item, depth + 1) for item in self._first(value, TOO_LARGE)]
            return tuple(walked) if type(value) is tuple else walked
        return self._object(value, depth)

    def _first(self, items: Iterable[Any], mark: Any) -> Iterator[Any]:
        """The items as long as there is room, then one mark for the rest."""
        for item in items:
            if self._left <= 0:
                yield mark
                return
            yield item

    def _plain(self, value: int | str) -> Any:
        if isinstance(value, Enum):
            value = value.value
        shown = self._text(str(value))
        return value if isinstance(value, int) and shown == str(value) else shown

    def _named(self, named: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        kept = self._first(named.items(), (TOO_LARGE, TOO_LARGE))
        return {self._key(name): self._under(name, item, depth) for name, item in kept}

    def _key(self, name: Any) -> Any:
        if name is None or isinstance(name, bool | float):
            return name
        return self._plain(name) if isinstance(name, int) else self._text(str(name))

    def _under(self, name: Any, item: Any, depth: int) -> Any:
        if self._hides and item is not None and is_secret(name):
            self._left -= 1
            return HIDDEN
        return self.value(item, depth + 1)

    def _model(self, model: BaseModel, depth: int) -> Any:
        """A message stays one, with each field looked at: one that is left out would be shown as it was given."""
        computed = type(model).model_computed_fields
        if not isinstance(model, BaseMessage) or computed:
            return self._named({**dict(model), **{name: _computed(model, name) for name in computed}}, depth)
        parts = sorted(model, key=lambda part: part[0] == "content")  # the longest last, so that it alone is cut
        return model.model_copy(update={name: self._under(name, item, depth) for name, item in parts})

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, BaseModel):
            return self._model(value, depth)
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


def _computed(model: BaseModel, name: str) -> Any:
    try:
        return getattr(model, name)
    except Exception:
        return FAILED
