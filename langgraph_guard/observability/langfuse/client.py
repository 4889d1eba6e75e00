"""A client of Langfuse's that cannot hold the program: a short time-out, bounded values, a bounded end."""

from __future__ import annotations

import logging
import os
import threading
import uuid
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from langgraph_guard.observability.delivery import Delivery
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.langfuse.uploads import watch
from langgraph_guard.observability.redaction import writable

if TYPE_CHECKING:
    import httpx
    from langfuse import Langfuse
    from opentelemetry.sdk.trace.export import SpanExporter

    from langgraph_guard.observability.otel.sending import Provider, Watched

TIMEOUT: Final = 2
"""Seconds for one request, unless `LANGFUSE_TIMEOUT` says otherwise: the SDK's own 5 add up when a server hangs."""
VALUE: Final = 32_768
"""Characters of one attribute, far above what payloads are clipped to: a queue of whole states would take hundreds of
MB while the server is down."""
FULL_VALUE: Final = 1_048_576
ENVIRONMENT: Final = "LANGFUSE_TRACING_ENVIRONMENT"

_log = logging.getLogger(__name__)


def has_keys() -> bool:
    return bool(os.environ.get("LANGFUSE_PUBLIC_KEY") and os.environ.get("LANGFUSE_SECRET_KEY"))


def from_environment(*, full: bool) -> Langfuse | None:
    """The client that the environment describes; `None`, with a warning, when it cannot be."""
    from langfuse import Langfuse

    if not has_keys():
        _log.warning("Langfuse is off: LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are not both set")
        return None
    ours = not private.known_client(os.environ["LANGFUSE_PUBLIC_KEY"])
    delivery = Delivery("Langfuse", _address())
    try:
        client = Langfuse(
            timeout=_timeout(),
            environment=writable(os.environ.get(ENVIRONMENT, "")),  # of bytes, maybe; each score says it
            tracer_provider=_provider(delivery, full=full) if ours else None,
        )
    except Exception as error:  # its text may quote the environment
        _log.warning("Langfuse is off: its settings are refused (%s)", type(error).__name__)
        return None
    if ours:
        private.not_at_exit(client)
        watch(client, delivery)
    return client


def local(exporter: SpanExporter, delivery: Delivery | None = None, *, full: bool) -> Langfuse:
    """A client without a server: its observations go to `exporter`, and nothing of it anywhere else. Its threads end
    when it is collected."""
    from langfuse import Langfuse

    client = Langfuse(
        public_key=f"local-{uuid.uuid4().hex}",
        secret_key="none",  # noqa: S106 - there is nobody to show it to
        base_url="http://127.0.0.1:9",
        httpx_client=_nowhere(),
        span_exporter=exporter,
        tracer_provider=_provider(delivery, full=full),
        tracing_enabled=True,
    )
    private.not_at_exit(client)
    weakref.finalize(client, _end, private.resources(client)).atexit = False
    return client


def watched(client: Langfuse) -> tuple[Watched, ...]:
    """The ways out of a client that was made here; a client of the user's own keeps its own books."""
    return getattr(private.provider(client), "watched", ())


def _end(resources: Any) -> None:
    """In a thread: the garbage collector may have come in the middle of anything, and must not wait."""
    with suppress(RuntimeError):  # the program ends, and they with it
        threading.Thread(target=private.end, args=(resources,), name="langgraph_guard end", daemon=True).start()


def _timeout() -> int:
    try:
        return max(1, int(os.environ.get("LANGFUSE_TIMEOUT", TIMEOUT)))
    except ValueError:
        return TIMEOUT


def _address() -> str:
    """As the SDK finds it."""
    return os.environ.get("LANGFUSE_BASE_URL") or os.environ.get("LANGFUSE_HOST") or "https://cloud.langfuse.com"


def _provider(delivery: Delivery | None, *, full: bool) -> Provider:
    """A provider of the client's own: the program's is neither used nor set."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    from langgraph_guard.observability.otel.sending import Provider

    named = {
        "langfuse.environment": os.environ.get(ENVIRONMENT),
        "langfuse.release": os.environ.get("LANGFUSE_RELEASE"),
    }
    rate = float(os.environ.get("LANGFUSE_SAMPLE_RATE", "1"))
    return Provider(
        delivery,
        resource=Resource.create({name: writable(value) for name, value in named.items() if value}),
        sampler=TraceIdRatioBased(rate) if rate < 1 else None,
        span_limits=SpanLimits(max_span_attribute_length=FULL_VALUE if full else VALUE),
    )


def _nowhere() -> httpx.Client:
    import httpx

    def accepted(_: Any) -> httpx.Response:
        return httpx.Response(202, json={"message": "Accepted"})

    return httpx.Client(transport=httpx.MockTransport(accepted))
