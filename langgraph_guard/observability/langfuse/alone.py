"""A model call that is a run by itself: the stock handler asks neither for its trace nor for its session.

It asks the client for an observation; while such a call begins, it asks here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langgraph_guard.observability.langfuse.wide import Wide

if TYPE_CHECKING:
    from langfuse import Langfuse

    from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler

_told: ContextVar[Mapping[str, Any] | None] = ContextVar("langgraph_guard_alone", default=None)
"""What the callback of the call that begins was told."""


class Alone:
    """The calls of one handler that have nothing around them."""

    def __init__(self, handler: GuardLangfuseHandler, wide: Wide) -> None:
        self._handler = handler
        self._wide = wide

    @contextmanager
    def beginning(self, told: Mapping[str, Any]) -> Iterator[None]:
        token = _told.set(told if told.get("parent_run_id") is None else None)
        try:
            yield
        finally:
            _told.reset(token)

    @contextmanager
    def ending(self, run_id: UUID, told: Mapping[str, Any]) -> Iterator[None]:
        yield
        if told.get("parent_run_id") is None:
            self._wide.over(run_id)

    def client(self, client: Langfuse) -> Any:
        """`client`, or what begins an observation on it with all that the call was told."""
        told = _told.get()
        return client if told is None else _Root(self._handler, client, told)


class _Root:
    """Begins the one observation of a trace."""

    def __init__(self, handler: GuardLangfuseHandler, client: Langfuse, told: Mapping[str, Any]) -> None:
        self._handler = handler
        self._client = client
        self._told = told

    def start_observation(self, **content: Any) -> Any:
        from langfuse import propagate_attributes

        metadata, tags = self._told.get("metadata"), self._told.get("tags")
        _, trace = self._handler._take_root_trace_context(inputs=None, metadata=metadata)
        wide = self._handler._parse_langfuse_trace_attributes(metadata=metadata, tags=tags)
        with propagate_attributes(**wide):
            return self._client.start_observation(trace_context=trace, **content)
