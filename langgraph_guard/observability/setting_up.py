"""`setup`: who listens, said once. A wrong setting raises here; after that nothing of it reaches a run."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from langgraph_guard.errors import ConfigError
from langgraph_guard.events import subscribe
from langgraph_guard.observability.flushing import Flusher, flush_all
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.redaction import Redactor, default_redact
from langgraph_guard.observability.relay import shared
from langgraph_guard.observability.settings import Settings, provides, records

if TYPE_CHECKING:
    from langfuse import Langfuse
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from langgraph_guard.observability.langfuse.payload import Payload
    from langgraph_guard.observability.otel.exporter import GenAiExporter
    from langgraph_guard.observability.otel.mirror import Mirror
    from langgraph_guard.observability.steps import StepRecorder

EXIT: Final = 2.0
"""Seconds that the end of a program waits for what is still to be sent."""
PATIENCE: Final = 60.0
"""Seconds after which a step log that does not write is left alone."""

_log = logging.getLogger(__name__)


_changing = threading.Lock()
_current: tuple[Settings, Observability] | None = None


def setup(
    *,
    langfuse: Literal["auto"] | bool | Langfuse = "auto",
    otlp: str | SpanExporter | TracerProvider | None = None,
    steps: str | Path | Callable[[Any], object] | list[Any] | StepRecorder | None = None,
    metrics: bool | MeterProvider = True,
    payload: Payload = "slim",
    redact: Callable[[str], str] | None = default_redact,
) -> Observability:
    """Listen to the guards, and give runs the handlers that show them. Raises `ConfigError` for a wrong setting.

    The same settings again change nothing; other settings take the place of the first. `langfuse="auto"`: on where
    its keys are set; `True` without keys warns and stays off. `otlp`: an address, an exporter, or the program's own
    tracer provider, whose processors then see the runs among its other spans. `payload`: how much of a state is shown
    at Langfuse and over OTLP. `redact`: text in, text out, for every sink; `None` shows everything.
    """
    global _current
    settings = Settings(langfuse, otlp, steps, metrics, payload, redact)
    settings.check()
    with _changing:
        if _current is not None:
            known, seen = _current
            if known == settings and not seen.closed:
                return seen
            seen.close(timeout=0.0)
        seen = _build(settings)
        _current = settings, seen
        return seen


def current() -> Observability | None:
    """What the last `setup` switched on."""
    return _current[1] if _current is not None and not _current[1].closed else None


def flush(timeout: float = 2.0) -> bool:
    """Send what is waiting, for `timeout` seconds at most: at the end of a request or a job, never in a node."""
    seen = current()
    return seen.flush(timeout) if seen is not None else True


def _build(settings: Settings) -> Observability:
    seen = Observability(Redactor(settings.redact))
    _add_spans(seen, settings)
    _add_steps(seen, settings)
    _add_metrics(seen, settings)
    seen.stops.append(shared.start())
    return seen


def _add_spans(seen: Observability, settings: Settings) -> None:
    try:
        _connect(seen, settings)
    except ConfigError:
        raise
    except Exception as error:  # a broken installation of theirs must not keep a program from starting
        _log.warning("traces are off: %s", type(error).__name__)


def _connect(seen: Observability, settings: Settings) -> None:
    client = _client(settings)
    if client is None and settings.otlp is None:
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from langgraph_guard.observability.langfuse import private
    from langgraph_guard.observability.langfuse.client import local
    from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler
    from langgraph_guard.observability.langfuse.payload import Payloads
    from langgraph_guard.observability.otel.mirror import Discards

    server = client is not None
    exporter, mirror = _outlets(settings.otlp)
    if client is None:
        client = local(exporter or Discards(), full=settings.payload == "full")
    elif exporter is not None:
        _add_processor(client, BatchSpanProcessor(exporter))
    if mirror is not None:
        _add_processor(client, mirror)
    seen.stops.extend(outlet.close for outlet in (exporter, mirror) if outlet is not None)
    handler = GuardLangfuseHandler(client, Payloads(settings.payload, seen.redactor), scores=server)
    seen.handlers.append(handler)
    flusher = Flusher(client.flush)
    seen.flushers.append(flusher)
    if client is not settings.langfuse:
        _flush_at_exit(seen, flusher)
    if server:
        seen.client = client
    else:
        private.forget(str(private.public_key(client)))


def _flush_at_exit(seen: Observability, flusher: Flusher) -> None:
    def last() -> None:
        flush_all([flusher], EXIT)

    atexit.register(last)
    seen.ends.append(lambda: atexit.unregister(last))


def _client(settings: Settings) -> Langfuse | None:
    if settings.langfuse is False:
        return None
    from langgraph_guard.observability.langfuse.client import from_environment, has_keys

    if settings.langfuse == "auto" and not has_keys():
        return None
    from langgraph_guard.observability.langfuse import private

    given: Any = settings.langfuse
    if given in ("auto", True):
        given = from_environment(full=settings.payload == "full")
        if given is None:
            return None
    if private.public_key(given) is None:
        _log.warning("Langfuse is off: its client has no keys, or tracing is switched off")
        return None
    client: Langfuse = given
    return client


def _outlets(otlp: Any) -> tuple[GenAiExporter | None, Mirror | None]:
    """Where spans go beside Langfuse's server: out by themselves, or into the program's own."""
    if otlp is None:
        return None, None
    if provides(otlp):
        from langgraph_guard.observability.otel.mirror import Mirror

        return None, Mirror(otlp)
    from langgraph_guard.observability.otel.exporter import GenAiExporter

    return GenAiExporter(_at(otlp) if isinstance(otlp, str) else otlp), None


def _at(address: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    parts = urlsplit(address)
    path = parts.path if parts.path.strip("/") else "/v1/traces"
    return OTLPSpanExporter(endpoint=parts._replace(path=path).geturl(), timeout=EXIT)


def _add_processor(client: Langfuse, processor: SpanProcessor) -> None:
    from langgraph_guard.observability.langfuse import private
    from langgraph_guard.observability.otel.mirror import Mirror

    provider = private.provider(client)
    if provider is None:
        raise ConfigError("otlp", "the Langfuse client that was given has no tracer provider to export from")
    if isinstance(processor, Mirror) and processor.provider is provider:
        raise ConfigError("otlp", "is the Langfuse client's own provider: its processors see the spans already")
    provider.add_span_processor(processor)


def _add_steps(seen: Observability, settings: Settings) -> None:
    if settings.steps is None:
        return
    recorder: Any = settings.steps
    if not records(recorder):
        from langgraph_guard.observability.steps import StepRecorder

        recorder = StepRecorder(settings.steps, redactor=seen.redactor)
        seen.ends.append(recorder.close)
    seen.recorder = recorder
    seen.handlers.append(recorder)
    seen.flushers.append(Flusher(lambda: recorder.flush(PATIENCE)))


def _add_metrics(seen: Observability, settings: Settings) -> None:
    if settings.metrics is False:
        return
    try:
        from langgraph_guard.observability.otel.metrics import GuardMetrics, meter_of
        from langgraph_guard.observability.otel.watch import RunWatch

        meter = meter_of(None if settings.metrics is True else settings.metrics)
        seen.stops.append(subscribe(GuardMetrics(meter)))
        seen.handlers.append(RunWatch(meter))
    except Exception as error:
        _log.warning("metrics are off: %s", type(error).__name__)
