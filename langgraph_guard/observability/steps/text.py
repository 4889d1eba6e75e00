"""Arguments, results and errors in a few characters, without secrets: what is long is never read to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langgraph_guard.observability.redaction import Redactor

MOST_ITEMS: Final = 50
DEEPEST: Final = 6
NAMES_KEPT: Final = 1_000
NAME_CHARS: Final = 200


class Shown:
    """What a recorder may show, `limit` characters of each value. Nothing here raises."""

    def __init__(self, redactor: Redactor, limit: int) -> None:
        self._redactor = redactor
        self._limit = limit
        self._names: dict[str, str] = {}

    def name(self, name: object) -> str:
        """A name of something: models make up the names of tools, and callers those of threads."""
        if not isinstance(name, str):
            return self._redactor.clip(_plain(name), NAME_CHARS)
        shown = self._names.get(name)
        if shown is None:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            shown = self._names[name] = _writable(self._redactor.clip(name, NAME_CHARS))
        return shown

    def value(self, value: Any) -> str | None:
        """A value as text, dicts and lists as JSON; `None` when nothing is to be shown."""
        if self._limit <= 0 or value is None:
            return None
        try:
            if isinstance(value, BaseMessage):
                value = value.text
            if isinstance(value, str):
                return _writable(self._redactor.clip(value, self._limit))
            part = self._redactor.value(self._part(value, 0))
            text = json.dumps(part, ensure_ascii=False, default=_plain)
        except Exception:
            return _plain(value)
        return _writable(text if len(text) <= self._limit else f"{text[: self._limit]}…")

    def error(self, error: BaseException) -> str | None:
        """The first line of what an exception says."""
        try:
            said = str(error)
        except Exception:
            return None
        return self.value(said.strip().partition("\n")[0]) or None

    def facts(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What an event says, as JSON: figures as they are, texts as names."""
        return {str(name): self._fact(value) for name, value in islice(said.items(), MOST_ITEMS)}

    def _fact(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.name(value) if isinstance(value, str) else self.value(value)

    def _part(self, value: Any, depth: int) -> Any:
        """The beginning of a value: as many items as could be shown, and no text longer than that."""
        if isinstance(value, str):
            return value if len(value) <= self._limit else self._redactor.clip(value, self._limit)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= DEEPEST:
            return _plain(value)
        if isinstance(value, Mapping):
            return {_key(key): self._part(each, depth + 1) for key, each in islice(value.items(), MOST_ITEMS)}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._part(each, depth + 1) for each in islice(value, MOST_ITEMS)]
        return self._part(value.text, depth) if isinstance(value, BaseMessage) else _plain(value)


def _key(key: object) -> str:
    return key[:NAME_CHARS] if isinstance(key, str) else _plain(key)


def _plain(value: object) -> str:
    """The kind of an object: what it says of itself may be anything, and may take for ever."""
    return f"<{type(value).__name__}>"


def _writable(text: str) -> str:
    """Without half characters, which no file takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()
