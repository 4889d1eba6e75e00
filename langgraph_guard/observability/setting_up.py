"""`setup`: who listens, said once. A wrong setting raises here; after that nothing of it reaches a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from langgraph_guard.errors import ConfigError
from langgraph_guard.events import subscribe
from langgraph_guard.forks import Lock
from langgraph_guard.observability.credentials import default_redact
from langgraph_guard.observability.delivery import Delivery
from langgraph_guard.observability.flushing import EXIT, Flusher, at_exit, seconds
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.redaction import Redactor
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
    from langgraph_guard.observability.steps import Step, StepRecorder

PATIENCE: Final = 60.0
"""Seconds after which a step log that does not write is left alone."""

_log = logging.getLogger(__name__)


_changing = Lock()
_current: tuple[Settings, Observability] | None = None


def setup(
    *,
    langfuse: Literal["auto"] | bool | Langfuse = "auto",
    otlp: str | SpanExporter | TracerProvider | None = None,
    steps: str | PathLike[str] | Callable[[Step], object] | logging.Logger | list[Step] | StepRecorder | None = None,
    metrics: bool | MeterProvider = True,
    payload: Payload = "slim",
    redact: Callable[[str], str] | None = default_redact,
) -> Observability:
    """Listen to the guards, and give runs the handlers that show them. Raises `ConfigError` for a wrong setting.

    The same settings again change nothing; other settings, other keys in the environment too, take the place of the
    first, which sends what it still has meanwhile. `langfuse="auto"`: on where its keys are set; `True` without keys
    warns and stays off. `otlp`: an address, an exporter, or the program's own tracer provider, whose processors then
    see the runs among its other spans. `steps`: where the step log goes, a `*.db`, a `*.jsonl`, a function of a step, a
    logger, a list, or a recorder of yours. `payload`: how much of a state is shown at Langfuse and over OTLP.
    `redact`: text in, text out, for every sink; `None` shows everything.
    """
    global _current
    settings = Settings.here(langfuse=langfuse, otlp=otlp, steps=steps, metrics=metrics, payload=payload, redact=redact)
    settings.check()
    with _changing:
        before = _current if _current is not None and not _current[1].closed else None
        if before is not None and before[0].same(settings):
            return before[1]
        seen = _built(settings)
        _current = settings, seen  # first: a run that begins in between has somebody to be shown by
        if before is not None:
            before[1].hand_over()
        return seen


def current() -> Observability | None:
    """What the last `setup` switched on."""
    return _current[1] if _current is not None and not _current[1].closed else None


def flush(timeout: float = 2.0) -> bool:
    """Send what is waiting, for `timeout` seconds at most: at the end of a request or a job, never in a node."""
    timeout, seen = seconds(timeout), current()
    return seen.flush(timeout) if seen is not None else True


def _built(settings: Settings) -> Observability:
    """All of it or nothing: a setting may turn out to be wrong when others listen already."""
    seen = Observability(Redactor(settings.redact))
    try:
        with _unless_broken("traces"):
            _connect(seen, settings)
        _add_steps(seen, settings)
    except ConfigError:
        seen.close(timeout=0.0)
        raise
    with _unless_broken("metrics"):
        _add_metrics(seen, settings)
    seen.stops.append(shared.start())
    return seen


@contextmanager
def _unless_broken(what: str) -> Iterator[None]:
    """A broken installation of theirs must not keep a program from starting."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        _log.warning("%s are off: %s", what, type(error).__name__)


def _connect(seen: Observability, settings: Settings) -> None:
    seen.client = _client(settings)
    if seen.client is None and settings.otlp is None:
        return
    from langgraph_guard.observability.langfuse import private
    from langgraph_guard.observability.langfuse.client import watched
    from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler
    from langgraph_guard.observability.langfuse.payload import Payloads

    client = _alone(seen, settings) if seen.client is None else seen.client
    _wait_for(seen, client.flush, at_end=client is not settings.langfuse)
    payloads = Payloads(settings.payload, seen.redactor)
    seen.handlers.append(GuardLangfuseHandler(client, payloads, scores=seen.client is not None))
    if seen.client is None:
        private.forget(str(private.public_key(client)))
    else:
        seen.deliveries.extend(outlet.delivery for outlet in watched(client))
        with _unless_broken("traces over OTLP"):
            _beside(seen, client, settings)


def _wait_for(seen: Observability, flush: Callable[[], object], *, at_end: bool) -> None:
    flusher = Flusher(flush)
    seen.flushers.append(flusher)
    if at_end:
        seen.ends.append(at_exit.add(flusher))


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


def _alone(seen: Observability, settings: Settings) -> Langfuse:
    """A client for spans that leave without Langfuse's server: out by themselves, or into the program's own."""
    from langgraph_guard.observability.langfuse.client import local, watched
    from langgraph_guard.observability.otel.mirror import Discards

    full = settings.payload == "full"
    if provides(settings.otlp):
        client = local(Discards(), full=full)
        _mirror(seen, client, settings.otlp)
        return client
    exporter, delivery = _exporter(settings.otlp)
    client = local(exporter, delivery, full=full)
    seen.deliveries.append(delivery)
    seen.outlets.extend(watched(client))
    return client


def _beside(seen: Observability, client: Langfuse, settings: Settings) -> None:
    """Where spans go beside Langfuse's server."""
    if settings.otlp is None:
        return
    if provides(settings.otlp):
        _mirror(seen, client, settings.otlp)
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from langgraph_guard.observability.otel.sending import Watched

    exporter, delivery = _exporter(settings.otlp)
    outlet = Watched(BatchSpanProcessor(exporter), delivery)
    _add_processor(client, outlet)
    seen.deliveries.append(delivery)
    seen.outlets.append(outlet)
    _wait_for(seen, outlet.force_flush, at_end=client is not settings.langfuse)  # not behind a server that hangs


def _mirror(seen: Observability, client: Langfuse, provider: TracerProvider) -> None:
    """Into the program's own."""
    from langgraph_guard.observability.otel.mirror import Mirror

    mirror = Mirror(provider)
    _add_processor(client, mirror)
    seen.outlets.append(mirror)


def _exporter(otlp: Any) -> tuple[GenAiExporter, Delivery]:
    from langgraph_guard.observability.otel.exporter import GenAiExporter

    if isinstance(otlp, str):
        return GenAiExporter(_at(otlp)), Delivery("OTLP", otlp)
    return GenAiExporter(otlp), Delivery(type(otlp).__name__)


def _at(address: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    parts = urlsplit(address)
    path = parts.path if parts.path.strip("/") else "/v1/traces"
    return OTLPSpanExporter(endpoint=parts._replace(path=path).geturl(), timeout=EXIT)


def _add_processor(client: Langfuse, processor: SpanProcessor) -> None:
    from langgraph_guard.observability.langfuse import private

    provider = private.provider(client)
    if provider is None:
        raise ConfigError("otlp", "the Langfuse client that was given has no tracer provider to export from")
    if getattr(processor, "provider", None) is provider:
        raise ConfigError("otlp", "is the Langfuse client's own provider: its processors see the spans already")
    provider.add_span_processor(processor)


def _add_steps(seen: Observability, settings: Settings) -> None:
    if settings.steps is None:
        return
    recorder: Any = settings.steps
    if not records(recorder):
        from langgraph_guard.observability.steps import StepRecorder

        recorder = StepRecorder(settings.steps, redactor=seen.redactor)
        seen.owns_recorder = True
        seen.stops.append(recorder.leave)
    seen.recorder = recorder
    seen.handlers.append(recorder)
    seen.flushers.append(Flusher(lambda: recorder.flush(PATIENCE)))


def _add_metrics(seen: Observability, settings: Settings) -> None:
    if settings.metrics is False:
        return
    from langgraph_guard.observability.otel.labels import Labels
    from langgraph_guard.observability.otel.metrics import GuardMetrics, meter_of
    from langgraph_guard.observability.otel.watch import RunWatch

    meter = meter_of(None if settings.metrics is True else settings.metrics)
    labels = Labels(seen.redactor.text)
    seen.stops.append(subscribe(GuardMetrics(meter, labels)))
    seen.handlers.append(RunWatch(meter, labels))
