"""Results of tools that are idempotent and touch nothing, kept for as long as their contract says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langgraph.cache.base import BaseCache, FullKey
from langgraph.cache.memory import InMemoryCache

_log = logging.getLogger(__name__)

KEPT: Final = 10_000
"""Results that the guard's own cache holds before it starts anew: LangGraph's forgets only what is asked for again."""


@dataclass(frozen=True, slots=True)
class Get:
    """The result that is kept under `key`, or `None`."""

    key: FullKey


@dataclass(frozen=True, slots=True)
class Put:
    """Keep a result for `ttl` seconds."""

    key: FullKey
    message: ToolMessage
    ttl: int


class Results:
    """A LangGraph cache as something that can be asked. One that fails is one that knows nothing."""

    def __init__(self, cache: BaseCache[Any] | None) -> None:
        self._own = cache is None
        self._cache: BaseCache[Any] = InMemoryCache() if cache is None else cache
        self._puts = 0

    @property
    def instant(self) -> bool:
        return self._own

    def execute(self, commands: Sequence[Get | Put]) -> list[Any]:
        return [self._do(command) for command in commands]

    async def aexecute(self, commands: Sequence[Get | Put]) -> list[Any]:
        return [await self._ado(command) for command in commands]

    def _do(self, command: Get | Put) -> Any:
        try:
            if isinstance(command, Get):
                return self._cache.get([command.key]).get(command.key)
            self._make_room()
            self._cache.set({command.key: (command.message, command.ttl)})
        except Exception:
            _log.warning("the cache of tool results did not answer", exc_info=True)
        return None

    async def _ado(self, command: Get | Put) -> Any:
        try:
            if isinstance(command, Get):
                return (await self._cache.aget([command.key])).get(command.key)
            await self._cache.aset({command.key: (command.message, command.ttl)})
        except Exception:
            _log.warning("the cache of tool results did not answer", exc_info=True)
        return None

    def _make_room(self) -> None:
        self._puts += 1
        if self._own and self._puts % KEPT == 0:
            self._cache.clear()
