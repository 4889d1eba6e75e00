"""Arguments, results and errors in a few characters, without secrets: what is long is never read to its end.

In two halves. `part` takes the beginning of a value while the run waits; `text` makes it fit to be shown, later, in the
thread that writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langgraph_guard.observability.redaction import MARGIN, Redactor

MOST_ITEMS: Final = 50
DEEPEST: Final = 6
AROUND: Final = 3
"""Characters that any value takes at least, written down: also what has no text is endless where it is wide."""
NAMES_KEPT: Final = 1_000
NAME_CHARS: Final = 200
ID: Final = "0123456789abcdef-"
ID_CHARS: Final = 36


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
        if not self._redactor.remembers:
            return self._redactor.clip(name, NAME_CHARS)
        shown = self._names.get(name)
        if shown is None:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            shown = self._names[name] = self._redactor.clip(name, NAME_CHARS)
        return shown

    def namespace(self, namespace: object) -> str | None:
        """Where a graph is within others, `node:id|node:id`: as names are, and ids by themselves."""
        if not isinstance(namespace, str):
            return None
        return "|".join([self._place(part) for part in namespace.split("|")[:MOST_ITEMS]])

    def _place(self, part: str) -> str:
        node, mark, id = part.partition(":")
        return f"{self.name(node)}{mark}{self.name(id) if len(id) > ID_CHARS or id.strip(ID) else id}"

    def value(self, value: Any) -> str | None:
        """A value as text, dicts and lists as JSON; `None` when nothing is to be shown."""
        return self.text(self.part(value))

    def part(self, value: Any) -> Any:
        """The beginning of a value as far as `text` needs it. What a run does to the value later does not reach it."""
        if self._limit <= 0 or value is None:
            return None
        try:
            if isinstance(value, BaseMessage):
                value = value.text
            return _Beginning(self._limit + MARGIN + 1).of(value)
        except Exception:
            return _plain(value)

    def text(self, part: Any) -> str | None:
        if part is None:
            return None
        if isinstance(part, str):
            return self._redactor.clip(part, self._limit)
        try:
            text = _json(self._redactor.value(part, chars=self._limit))
        except Exception:
            return _plain(part)
        return text if len(text) <= self._limit else f"{text[: self._limit]}…"

    def error(self, error: BaseException) -> str | None:
        """The first line of what an exception says."""
        try:
            said = str(error)
        except Exception:
            return None
        return self.value(said.strip().partition("\n")[0]) or None

    def facts(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What an event says, as JSON: figures as they are, texts as names."""
        return {self.name(name): self._fact(value) for name, value in islice(said.items(), MOST_ITEMS)}

    def _fact(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            shown = self._redactor.text(str(value))
            return value if shown == str(value) else shown
        return self.name(value) if isinstance(value, str) else self.value(value)


class _Beginning:
    """As much of a value as can be shown, in texts, dicts and lists of its own. `chars` bound each text and the sum."""

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self._left = chars

    def of(self, value: Any, depth: int = 0) -> Any:
        self._left -= AROUND
        if isinstance(value, str):
            self._left -= len(value)
            return str(value if len(value) <= self._chars else value[: self._chars])
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= DEEPEST:
            return _plain(value)
        if isinstance(value, Mapping):
            return {self._key(key): self.of(each, depth + 1) for key, each in self._first(value.items())}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(each, depth + 1) for each in self._first(value)]
        return self.of(value.text, depth) if isinstance(value, BaseMessage) else _plain(value)

    def _first(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in islice(items, MOST_ITEMS):
            if self._left <= 0:
                return
            yield item

    def _key(self, key: object) -> str:
        return str(self.of(key)) if isinstance(key, str) else _plain(key)


def _plain(value: object) -> str:
    """The kind of an object: what it says of itself may be anything, and may take for ever."""
    return f"<{type(value).__name__}>"


_json: Final = json.JSONEncoder(ensure_ascii=False, default=_plain).encode
