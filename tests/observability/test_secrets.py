"""A secret that goes through a whole run is in nothing that leaves it: not on the wire, in steps, metrics or logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
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

from langgraph_guard.events import emit
from langgraph_guard.observability import Redactor, StepRecorder, feedback, run_config
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
    return ToolMessage(
        f"found {CANARY}",
        tool_call_id=f"2 {CANARY}",
        name=f"answers {CANARY}",
        id=f"m-{CANARY}",
        response_metadata={"headers": {CANARY: CANARY}},
        artifact={"raw": CANARY},
        status="error",
    )


@tool(f"named_{CANARY}")
def named(q: str) -> str:
    """Raise, with the reason for it behind it."""
    raise OSError(q) from ValueError(f"since {CANARY}")


def app_of() -> Any:
    """A run with the secret in its state, its prompts, its tools' arguments and errors, in a question, and in names
    that come from elsewhere: of the model, of a tool, and of one that does not exist."""
    calls = [(name, {"q": CANARY}) for name in ("fails", "answers", named.name, f"no_{CANARY}")]
    script = [Reply(f"I know {CANARY}", tool_calls=calls), Reply(f"It is {CANARY}")]
    scripted = ScriptedChatModel(script, cycle=True, model_name=f"model-{CANARY}")
    model = scripted.bind_tools([fails, answers, named])

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke([SystemMessage(f"key {CANARY}"), *state["messages"]])]}

    def ask(state: MessagesState) -> dict[str, Any]:
        said = interrupt({"why": CANARY})
        emit("tool.cleaned", tool="answers", kinds=[CANARY], count=1)
        emit("tool.retried", tool=CANARY, attempt=1, pause=0.0, error_type=CANARY)
        emit("breaker.transition", breaker="b", key=CANARY, before="closed", after="open", reason=CANARY, retry_at=None)
        return {"messages": [HumanMessage(f"{said} {CANARY}")]}

    def breaks(state: MessagesState) -> dict[str, Any]:
        try:
            raise ValueError(f"since {CANARY}")
        except ValueError as cause:
            error = RuntimeError(f"postgres://bob:{CANARY}@db said {CANARY}")
            error.add_note(f"see {CANARY}")
            raise error from cause

    graph = StateGraph(MessagesState)
    graph.add_node("model", call)
    graph.add_node("tools", ToolNode([fails, answers, named], handle_tool_errors=True))
    graph.add_node("ask", ask)
    graph.add_node("breaks", breaks)
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    graph.add_edge("tools", "ask")
    graph.add_edge("ask", "breaks")
    graph.add_edge("breaks", END)
    return graph.compile(checkpointer=InMemorySaver())


def run(app: Any, callbacks: Sequence[Any] = (), thread_id: str = "t-1") -> None:
    """Ask, be interrupted, resume, fail; then a person complains."""
    told: dict[str, Any] = {
        "thread_id": thread_id,
        "user_id": CANARY,
        "session_id": f"s-{CANARY}",
        "tags": [CANARY],
        "metadata": {"note": CANARY, f"key-{CANARY}": [{CANARY: CANARY}]},
        "run_name": f"run {CANARY}",
        "callbacks": list(callbacks),
    }
    asked = {"messages": [HumanMessage(f"my key is {CANARY}", additional_kwargs={"x": CANARY})]}
    config = run_config(app, **told)
    app.invoke(asked, {**config, "tags": [f"label {CANARY}"]})
    with pytest.raises(RuntimeError):
        app.invoke(Command(resume=CANARY), run_config(app, **told))
    feedback(thread_id, f"bad {CANARY}", f"it said {CANARY}")


@pytest.mark.parametrize("payload", ["slim", "full", "none"])
def test_a_secret_is_in_no_sink(
    seen: Callable[..., Observability],
    langfuse: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    payload: str,
) -> None:
    """One place that is forgotten, a status text, a user's id, a score's comment, and it lies in somebody's cloud."""
    monkeypatch.setattr("langgraph_guard.observability.setting_up.EXIT", ENOUGH)  # what is late would be lost
    reader = InMemoryMetricReader()
    logger = logging.getLogger("steps of a secret")
    files = [tmp_path / "steps.db", tmp_path / "steps.jsonl"]
    others = [StepRecorder(sink, redactor=Redactor(redact)) for sink in (logger, files[1])]
    with (
        Receiver() as collector,
        caplog.at_level(logging.DEBUG, logger="langgraph_guard"),
        caplog.at_level(logging.INFO),
    ):
        handle = seen(
            otlp=collector.url, steps=files[0], metrics=MeterProvider([reader]), payload=payload, redact=redact
        )
        run(app_of(), others, thread_id=f"t-{CANARY}")
        assert handle.flush(ENOUGH)
        assert all(other.close(ENOUGH) for other in others)
        data = reader.get_metrics_data()
        sinks = {
            "langfuse": langfuse.wire,
            "otlp": collector.wire,
            "metrics": data.to_json().encode() if data is not None else b"",
            **{file.name: b"".join(each.read_bytes() for each in tmp_path.glob(f"{file.name}*")) for file in files},
            "logger": repr([vars(each) for each in caplog.records if each.name == logger.name]).encode(),
        }
    assert {name: CANARY.encode() in said for name, said in sinks.items()} == dict.fromkeys(sinks, False)
    assert {name: len(said) > 1_000 for name, said in sinks.items()} == dict.fromkeys(sinks, True)
    assert CANARY not in caplog.text


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
