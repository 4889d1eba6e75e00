"""A program's own TracerProvider: each span of ours is one of its spans too, in the words of the GenAI conventions.

Its sampler, its limits, its resource and its processors see them as they see the program's others. Trace ids are those
that `run_config` chose, where it did; the spans' own ids are the provider's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, TracerProvider

from langgraph_guard.forks import Lock
from langgraph_guard.observability.otel.exporter import attributes, is_ours, is_root

MOST: Final = 100_000
"""Spans under way that are kept: of a run whose end nobody tells, a part is given up."""


class Mirror(SpanProcessor):
    """A processor of the spans that Langfuse's handler makes. Closing it ends it for good."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._ids = _Ids()
        self._tracer = self._ids.tracer(provider)
        self._flush = getattr(provider, "force_flush", None)
        self._lock = Lock()
        self._open: dict[int, trace.Span] = {}
        self._closed = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._closed or not is_ours(span) or span.context is None:
            return
        with self._ids.chosen(span.context.trace_id):
            shown = self._tracer.start_span(span.name, self._around(span), kind=span.kind, start_time=span.start_time)
        with self._lock:
            self._open[span.context.span_id] = shown
            if len(self._open) > MOST:
                del self._open[next(iter(self._open))]

    def _around(self, span: Span) -> Context:
        """What a span is below: the copy of its parent, else a parent elsewhere. A provider that does not take the
        trace's id is given it with a parent that there is not."""
        parent = span.parent
        if parent is None or (self._ids.are_taken and is_root(span)):
            return context.Context()
        with self._lock:
            known = self._open.get(parent.span_id)
        return trace.set_span_in_context(known or NonRecordingSpan(parent), context.Context())

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            shown = self._open.pop(span.context.span_id, None) if span.context is not None else None
        if shown is None:
            return
        shown.set_attributes(attributes(span.attributes or {}))
        shown.set_status(trace.Status(span.status.status_code, span.status.description))
        shown.update_name(span.name)
        shown.end(span.end_time)

    def close(self) -> None:
        self._closed = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._flush is None or self._flush(timeout_millis) is not False


class _Ids:
    """The ids of a program's provider, and of roots the trace ids that were chosen."""

    def __init__(self) -> None:
        self._chosen: ContextVar[int | None] = ContextVar("langgraph_guard_trace_id", default=None)
        self._theirs: Any = None

    @property
    def are_taken(self) -> bool:
        return self._theirs is not None

    def tracer(self, provider: TracerProvider) -> trace.Tracer:
        """One that asks here for ids. It is a copy: the provider keeps its tracers, and others have the same."""
        tracer = copy(provider.get_tracer("langgraph_guard"))
        self._theirs = getattr(tracer, "id_generator", None)
        if self._theirs is not None:
            tracer.id_generator = self  # type: ignore[attr-defined]
        return tracer

    @contextmanager
    def chosen(self, trace_id: int) -> Iterator[None]:
        token = self._chosen.set(trace_id)
        try:
            yield
        finally:
            self._chosen.reset(token)

    def generate_trace_id(self) -> int:
        return self._chosen.get() or int(self._theirs.generate_trace_id())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)


class Discards(SpanExporter):
    """For a client without a server, whose spans leave by a mirror."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS
