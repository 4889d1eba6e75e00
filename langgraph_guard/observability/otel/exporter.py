"""Langfuse's attributes in the words of the GenAI conventions, on their way to any OTLP backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from langgraph_guard.observability.otel import names
from langgraph_guard.observability.runs import parent_of

SCOPE: Final = "langfuse-sdk"
_OBSERVATION: Final = "langfuse.observation."
_META: Final = f"{_OBSERVATION}metadata."
_USAGE: Final[Mapping[str, str]] = {
    "input_cache_read": names.CACHE_READ_TOKENS,
    "input_cache_creation": names.CACHE_CREATION_TOKENS,
    "output_reasoning": names.REASONING_TOKENS,
}


class GenAiExporter(SpanExporter):
    """Hands translated copies of spans to `inner`."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([translated(span) for span in spans if is_ours(span)])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def is_ours(span: ReadableSpan) -> bool:
    """Whether Langfuse made it: a client may share its provider with spans that nobody took secrets out of."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE


def is_root(span: ReadableSpan) -> bool:
    """Whether nothing is above a span, or only what carries the trace id that was chosen for it."""
    parent = span.parent
    return parent is None or f"{parent.span_id:016x}" == parent_of(f"{parent.trace_id:032x}")


def translated(span: ReadableSpan) -> ReadableSpan:
    """The same span with `gen_ai.*` attributes in the place of Langfuse's."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=None if is_root(span) else span.parent,
        resource=span.resource,
        attributes=attributes(span.attributes or {}),
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Pure: Langfuse's attributes in, the conventions' out."""
    kind = given.get(f"{_OBSERVATION}type", "span")
    found = {
        names.CONVERSATION: given.get("session.id"),
        names.USER: given.get("user.id"),
        names.OPERATION: names.OPERATIONS.get(kind),
        **_BY_KIND.get(kind, _plain)(given),
    }
    if given.get(f"{_OBSERVATION}level") == "ERROR":
        found[names.ERROR_TYPE] = str(given.get(f"{_OBSERVATION}status_message") or "_OTHER").partition(":")[0]
    return {name: value for name, value in found.items() if value not in (None, "")}


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "langgraph.node": _said(given, f"{_META}langgraph_node"),
        "langgraph.step": _said(given, f"{_META}langgraph_step"),
        "input.value": given.get(f"{_OBSERVATION}input"),
        "output.value": given.get(f"{_OBSERVATION}output"),
    }


def _generation(given: Mapping[str, Any]) -> dict[str, Any]:
    usage = _figures(given.get(f"{_OBSERVATION}usage_details"))
    cost = _figures(given.get(f"{_OBSERVATION}cost_details"))
    return {
        names.REQUEST_MODEL: given.get(f"{_OBSERVATION}model.name"),
        names.PROVIDER: _said(given, f"{_META}ls_provider"),
        names.INPUT_MESSAGES: given.get(f"{_OBSERVATION}input"),
        names.OUTPUT_MESSAGES: given.get(f"{_OBSERVATION}output"),
        names.INPUT_TOKENS: _total(usage, "input"),
        names.OUTPUT_TOKENS: _total(usage, "output"),
        **{name: usage[said] for said, name in _USAGE.items() if said in usage},
        names.COST: cost.get("total"),
    }


def _total(usage: Mapping[str, Any], side: str) -> int | None:
    """Langfuse takes what was cached or reasoned out of the whole; the conventions leave it in."""
    parts = [count for name, count in usage.items() if name == side or name.startswith(f"{side}_")]
    return sum(parts) if parts else None


def _tool(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        names.TOOL_NAME: _said(given, f"{_META}name"),
        names.TOOL_CALL_ID: _said(given, f"{_META}tool_call_id"),
        names.TOOL_ARGUMENTS: given.get(f"{_OBSERVATION}input"),
        names.TOOL_RESULT: given.get(f"{_OBSERVATION}output"),
    }


def _guard(given: Mapping[str, Any]) -> dict[str, Any]:
    decision = _figures(given.get(f"{_OBSERVATION}output"))
    measured = _figures(given.get(f"{_OBSERVATION}input"))
    figures = {f"langgraph_guard.{name}": value for name, value in measured.items() if _is_plain(value)}
    return {**figures, names.DECISION: decision.get("decision"), "langgraph_guard.reason": decision.get("reason")}


_BY_KIND: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "generation": _generation,
    "embedding": _generation,
    "tool": _tool,
    "guardrail": _guard,
}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def _said(given: Mapping[str, Any], name: str) -> Any:
    """A metadata value, which Langfuse keeps as JSON."""
    value = given.get(name)
    if not isinstance(value, str):
        return value
    try:
        said = json.loads(value)
    except ValueError:
        return value
    return said if _is_plain(said) else value


def _figures(text: Any) -> dict[str, Any]:
    try:
        figures = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return figures if isinstance(figures, dict) else {}
