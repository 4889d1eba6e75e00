"""Processors and exporters whose losses are counted: what is refused, what fails, and what a full queue lets go.

OpenTelemetry's `BatchProcessor` counts what it drops for meters that are off unless an environment variable is set. So
its `_metrics` and its `_exporter` are wrapped where it has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from langgraph_guard.observability.delivery import Delivery, heard


class Counted(SpanExporter):
    """`inner`, which never raises here, and whose library does not log what it could not send."""

    def __init__(self, inner: SpanExporter, delivery: Delivery) -> None:
        self._inner = inner
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raised: Exception | None = None
        with heard() as said:
            try:
                result = self._inner.export(spans)
            except Exception as error:
                result, raised = SpanExportResult.FAILURE, error
        if result is SpanExportResult.FAILURE:
            self._delivery.lost("spans", len(spans), raised or said.why)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class Watched(SpanProcessor):
    """A batch processor whose losses are `delivery`'s. Closed, it takes no more spans; what it took goes on its way."""

    def __init__(self, inner: BatchSpanProcessor, delivery: Delivery) -> None:
        self.delivery = delivery
        self._inner = inner
        self._closed = False
        batch: Any = getattr(inner, "_batch_processor", None)
        if batch is not None:
            batch._exporter = Counted(batch._exporter, delivery)
            batch._metrics = _Drops(batch._metrics, delivery)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if not self._closed:
            self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        with heard():  # a full queue is told by `_Drops`
            if not self._closed:
                self._inner.on_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)

    def close(self) -> None:
        self._closed = True


class _Drops:
    """What a batch processor tells its meters, and what it drops told to the delivery too."""

    def __init__(self, inner: Any, delivery: Delivery) -> None:
        self._inner = inner
        self._delivery = delivery

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def drop_items(self, count: int, error_type: str = "queue_full") -> None:
        self._delivery.lost("spans", count, "its queue is full" if error_type == "queue_full" else error_type)
        self._inner.drop_items(count, error_type)


class Provider(TracerProvider):
    """One client's own, which watches the batch processors that are added to it, for a delivery that is told."""

    def __init__(self, delivery: Delivery | None, **settings: Any) -> None:
        super().__init__(shutdown_on_exit=False, **settings)
        self.watched: tuple[Watched, ...] = ()
        self._delivery = delivery

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        if self._delivery is not None and isinstance(span_processor, BatchSpanProcessor):
            span_processor = Watched(span_processor, self._delivery)
            self.watched += (span_processor,)
        super().add_span_processor(span_processor)
