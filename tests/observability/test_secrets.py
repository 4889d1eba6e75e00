"""A secret that goes through a whole run is in nothing that leaves it: not on the wire, in steps, metrics or logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_guard.events import emit
from langgraph_guard.observability import feedback, run_config
from langgraph_guard.observability.handle import Observability
from langgraph_guard.testing import Reply, ScriptedChatModel
from tests.servers.otlp import Receiver

CANARY = "CANARY-7f3a9c"
ENOUGH = 30.0


def redact(text: str) -> str:
    """What a user gives: it knows one secret."""
    return text.replace(CANARY, "#")


@tool
def fails(q: str) -> str:
    """Fail, and say why."""
    raise ConnectionError(f"https://bob:{CANARY}@host/{q} is down")


@tool
def answers(q: str) -> ToolMessage:
    """Answer, with more than the model sees."""
    return ToolMessage(f"found {CANARY}", tool_call_id="2", artifact={"raw": CANARY}, status="error")


def app_of() -> Any:
    """A run with the secret in its state, its prompts, its tools' arguments and errors, and in a question."""
    calls = [("fails", {"q": CANARY}), ("answers", {"q": CANARY})]
    script = [Reply(f"I know {CANARY}", tool_calls=calls), Reply(f"It is {CANARY}")]
    model = ScriptedChatModel(script, cycle=True).bind_tools([fails, answers])

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke([SystemMessage(f"key {CANARY}"), *state["messages"]])]}

    def ask(state: MessagesState) -> dict[str, Any]:
        said = interrupt({"why": CANARY})
        emit("tool.cleaned", tool="answers", kinds=[CANARY], count=1)
        emit("tool.retried", tool=CANARY, attempt=1, pause=0.0, error_type=CANARY)
        return {"messages": [HumanMessage(f"{said} {CANARY}")]}

    def breaks(state: MessagesState) -> dict[str, Any]:
        raise RuntimeError(f"postgres://bob:{CANARY}@db said {CANARY}")

    graph = StateGraph(MessagesState)
    graph.add_node("model", call)
    graph.add_node("tools", ToolNode([fails, answers], handle_tool_errors=True))
    graph.add_node("ask", ask)
    graph.add_node("breaks", breaks)
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    graph.add_edge("tools", "ask")
    graph.add_edge("ask", "breaks")
    graph.add_edge("breaks", END)
    return graph.compile(checkpointer=InMemorySaver())


def run(app: Any) -> None:
    """Ask, be interrupted, resume, fail; then a person complains."""
    told = {"user_id": CANARY, "session_id": f"s-{CANARY}", "tags": [CANARY], "metadata": {"note": CANARY}}
    asked = {"messages": [HumanMessage(f"my key is {CANARY}", additional_kwargs={"x": CANARY})]}
    config = run_config(app, thread_id="t-1", **told)
    app.invoke(asked, {**config, "tags": [f"label {CANARY}"]})
    with pytest.raises(RuntimeError):
        app.invoke(Command(resume=CANARY), run_config(app, thread_id="t-1", **told))
    feedback("t-1", f"bad {CANARY}", f"it said {CANARY}")


@pytest.mark.parametrize("payload", ["slim", "full", "none"])
def test_a_secret_is_in_no_sink(
    seen: Callable[..., Observability], langfuse: Receiver, caplog: pytest.LogCaptureFixture, payload: str
) -> None:
    """One place that is forgotten, a status text, a user's id, a score's comment, and it lies in somebody's cloud."""
    steps: list[Any] = []
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    handle = seen(
        otlp=exporter,
        steps=steps.append,
        metrics=MeterProvider([reader]),
        payload=payload,
        redact=redact,
    )
    with caplog.at_level(logging.WARNING):
        run(app_of())
        assert handle.flush(ENOUGH)
    sinks = {
        "wire": langfuse.wire.decode(errors="replace"),
        "spans": "".join(span.to_json() for span in exporter.get_finished_spans()),
        "steps": repr(steps),
        "logs": caplog.text,
    }
    assert {name: CANARY in said for name, said in sinks.items()} == dict.fromkeys(sinks, False)
    assert all(sinks[name] for name in ("wire", "spans", "steps"))


def test_labels_of_metrics_are_the_programs_own_words(seen: Callable[..., Observability]) -> None:
    """Who asked, which thread and which run make a series each: a bill, and a leak."""
    reader = InMemoryMetricReader()
    seen(metrics=MeterProvider([reader]))
    app = app_of()
    told: dict[str, Any] = {"user_id": "u-SECRET", "session_id": "s-SECRET", "tags": ["g-SECRET"]}
    app.invoke({"messages": [("user", "SECRET")]}, run_config(app, thread_id="t-SECRET", **told))
    data = reader.get_metrics_data()
    assert data is not None
    assert "SECRET" not in json.dumps(json.loads(data.to_json()))


def test_what_is_shown_is_what_the_redactor_left(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """The test above would pass if nothing were shown at all."""
    handle = seen(redact=redact)
    run(app_of())
    assert handle.flush(ENOUGH)
    texts = {str(value) for span in langfuse.spans for value in span.attributes.values()}
    (failed,) = (span for span in langfuse.spans if span.name == "breaks")
    assert failed.status == "RuntimeError: postgres://bob:#@db said #"
    assert {"#", "s-#"} <= texts
    assert any('"my key is #"' in text for text in texts)
