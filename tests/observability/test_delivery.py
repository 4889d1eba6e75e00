"""What is refused is told once, counted, and nothing else is said of it; who takes another's place loses nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_guard.errors import ConfigError
from langgraph_guard.events import emit
from langgraph_guard.observability import run_config, setup
from langgraph_guard.observability.delivery import Delivery, cause_of, heard, place
from langgraph_guard.observability.handle import Dropped, Observability
from langgraph_guard.observability.setting_up import current
from tests.observability.agent import Agent
from tests.observability.conftest import point_at, somebody_listens
from tests.servers.otlp import Receiver
from tests.servers.redis import until

ASKED = {"messages": [("user", "find kites")]}
ENOUGH = 60.0
SPANS = 15
"""Observations of one run of the agent."""


def play(times: int = 1) -> None:
    """Run the agent, on threads of its own."""
    agent = Agent(InMemorySaver())
    for n in range(times):
        agent.app.invoke(ASKED, run_config(agent.app, thread_id=f"t-{n}"))


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Which logger warned, and what of."""
    return [(each.name, each.getMessage()) for each in caplog.records if each.levelno >= logging.WARNING]


OURS = "langgraph_guard.observability.delivery"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("400", "400: it does not understand what is sent"),
        ("401", "401: the keys are wrong"),
        ("403", "403: the keys are not allowed to write"),
        ("refused", "it cannot be reached"),
    ],
)
def test_what_langfuse_refuses_is_told_once(
    seen: Callable[..., Observability],
    langfuse: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Any,
    says: str,
) -> None:
    """A wrong key is there all night, in every batch of spans and in every batch of scores."""
    with Receiver(fault) as receiver:
        point_at(receiver.url, monkeypatch, timeout=1 if fault == "refused" else 60)
        handle = seen()
        for _ in range(2):
            play()
            assert handle.flush(ENOUGH)
        address = receiver.url
    ((logger, said),) = told(caplog)
    assert logger == OURS
    assert said.endswith(f" are lost: Langfuse at {address} ({says}); more of them are counted, not told")
    assert handle.dropped == Dropped(spans=2 * SPANS, scores=2)


def test_scores_that_are_refused_in_part_are_counted(
    seen: Callable[..., Observability], langfuse: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The server's reasons quote the scores, with what a person wrote in them."""
    langfuse.fault = "207"
    handle = seen()
    play()
    assert handle.flush(ENOUGH)
    ((_, said),) = told(caplog)
    assert said.startswith("scores are lost: Langfuse at http://127.0.0.1:")
    assert (handle.dropped, "guard.budget" in said) == (Dropped(scores=1), False)


@pytest.mark.parametrize("fault", ["401", "500", "reset"])
def test_what_a_collector_refuses_is_told_once(
    no_langfuse: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    """And without the password that stands in its address."""
    patience = 0.2 if fault == "reset" else ENOUGH  # how long a connection is tried again
    monkeypatch.setattr("langgraph_guard.observability.setting_up.EXIT", patience)
    with Receiver(fault) as receiver:
        handle = setup(otlp=receiver.url.replace("//", "//bob:hunter2@") + "/v1/traces?key=hunter2", metrics=False)
        for _ in range(3):
            play()
            assert handle.flush(ENOUGH)
        address = receiver.url
    ((logger, said),) = told(caplog)
    assert (logger, handle.dropped) == (OURS, Dropped(spans=3 * SPANS))
    assert f"spans are lost: OTLP at {address} (" in said
    assert "hunter2" not in caplog.text


class Raises(SpanExporter):
    """An exporter that fails, with a secret in what it says."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise ValueError("hunter2")


def test_an_exporter_that_raises_is_told_once(no_langfuse: None, caplog: pytest.LogCaptureFixture) -> None:
    """Not with a traceback for each batch, which quotes what it likes."""
    handle = setup(otlp=Raises(), metrics=False)
    for _ in range(3):
        play()
        assert handle.flush(ENOUGH)
    ((_, said),) = told(caplog)
    assert said == "spans are lost: Raises (ValueError); more of them are counted, not told"
    assert (handle.dropped, "hunter2" in caplog.text) == (Dropped(spans=3 * SPANS), False)


def test_what_goes_on_being_lost_is_told_at_debug(no_langfuse: None, caplog: pytest.LogCaptureFixture) -> None:
    """For whoever looks for it."""
    delivery = Delivery("Langfuse", "https://eu.example.com")
    with caplog.at_level(logging.DEBUG, logger=OURS):
        delivery.lost("spans", 3, 401)
        delivery.lost("spans", 4, 401)
        delivery.lost("scores", 1, 503)
    assert [(each.levelname, each.getMessage().partition(":")[0]) for each in caplog.records] == [
        ("WARNING", "spans are lost"),
        ("DEBUG", "7 spans are lost by now"),
        ("WARNING", "scores are lost"),
    ]


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        (503, "503: it fails"),
        (418, "418: it refuses"),
        (None, "it refuses"),
        (TimeoutError("hunter2"), "it cannot be reached"),
        (ConnectionResetError("hunter2"), "it cannot be reached"),
        (KeyError("hunter2"), "KeyError"),
    ],
    ids=["503", "418", "none", "timeout", "reset", "other"],
)
def test_a_cause_is_a_few_words(why: Any, cause: str) -> None:
    """The text of an exception quotes the address, with what is in it."""
    assert cause_of(why) == cause


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://bob:pw@eu.example.com:8443/p?token=1#x", "https://eu.example.com:8443"),
        ("http://[::1]:4318/v1/traces", "http://[::1]:4318"),
        ("https://host:port", "an address that is none"),
    ],
)
def test_of_an_address_the_host_is_shown(address: str, shown: str) -> None:
    """Passwords stand before it, tokens behind it."""
    assert place(address) == shown


def test_what_others_send_is_logged_as_ever(no_langfuse: None, caplog: pytest.LogCaptureFixture) -> None:
    """A program's own exporter of the same library is none of our business."""
    library = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    Delivery("OTLP")
    with heard() as said:
        library.error("Failed: %s", 401)
        other = threading.Thread(target=library.error, args=("Failed: %s", 500))
        other.start()
        other.join()
    library.error("Failed: %s", 502)
    assert ([each.args for each in caplog.records], said.why) == ([(500,), (502,)], 401)


class Gate(SpanExporter):
    """An exporter that stands still until it is opened."""

    def __init__(self) -> None:
        self.asked, self.open = threading.Event(), threading.Event()
        self.came: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.open.wait(ENOUGH)
        self.came.extend(spans)
        return SpanExportResult.SUCCESS


def small_queues(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Queues of so many spans, which are sent when somebody flushes, or when a queue is full."""
    for name in ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
        monkeypatch.setenv(name, str(size))
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")


def test_what_a_full_queue_lets_go_is_counted(
    no_langfuse: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A trace with holes in it looks like a run with holes in it, unless a figure says otherwise."""
    small_queues(monkeypatch, 4)
    gate = Gate()
    handle = setup(otlp=gate, metrics=False)
    play()
    assert gate.asked.wait(ENOUGH)
    play()  # now as many as fit are waiting, and nothing leaves
    before = handle.dropped.spans
    play()
    assert handle.dropped.spans - before == SPANS
    assert [said for _, said in told(caplog)] == [
        "spans are lost: Gate (its queue is full); more of them are counted, not told"
    ]
    gate.open.set()


def test_steps_that_are_lost_are_counted_there_too(no_langfuse: None) -> None:
    """One place to look at."""

    def full(step: Any) -> None:
        raise OSError("no space left")

    handle = setup(steps=full, metrics=False)
    assert not handle.dropped
    play()
    assert handle.flush(ENOUGH)
    assert handle.dropped.steps > 0
    assert handle.dropped


def test_closing_sends_what_is_waiting(no_langfuse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last run of a job is the one that somebody asks about."""
    small_queues(monkeypatch, 512)
    exporter = InMemorySpanExporter()
    handle = setup(otlp=exporter, metrics=False)
    play()
    assert handle.close(ENOUGH)
    assert len(exporter.get_finished_spans()) == SPANS


def test_other_settings_lose_nothing_and_wait_for_nobody(no_langfuse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that stands still holds neither the program nor those that come after it."""
    small_queues(monkeypatch, 512)
    gate, exporter = Gate(), InMemorySpanExporter()
    first = setup(otlp=gate, metrics=False)
    play()
    second = setup(otlp=exporter, metrics=False)
    assert (first.closed, gate.came, current()) == (True, [], second)
    play()
    assert second.flush(ENOUGH)
    gate.open.set()
    until(lambda: len(gate.came) == SPANS, "all that was waiting is sent")
    assert len(exporter.get_finished_spans()) == SPANS


def test_langfuse_goes_on_under_other_settings(
    seen: Callable[..., Observability], langfuse: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same client with another payload: nothing is lost, nothing comes twice, nor to the collector beside it."""
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "600")
    small_queues(monkeypatch, 512)
    exporter = InMemorySpanExporter()
    seen(otlp=exporter)
    play()
    second = seen(otlp=exporter, payload="none")
    play()
    assert second.flush(ENOUGH)
    until(lambda: len(exporter.get_finished_spans()) == 2 * SPANS, "all that was waiting is sent")
    until(lambda: len(langfuse.spans) == 2 * SPANS, "all that was waiting is sent")


def test_a_run_under_way_is_shown_to_its_end(no_langfuse: None) -> None:
    """A program that is set up anew while it works does not cut its runs in two."""
    steps: list[Any] = []
    exporter = InMemorySpanExporter()
    first = setup(otlp=exporter, steps=steps.append, metrics=False)

    def anew(state: MessagesState) -> dict[str, Any]:
        setup(steps=[], metrics=False)
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("anew", anew)
    graph.add_edge(START, "anew")
    graph.add_edge("anew", END)
    graph.compile(name="whole").invoke({"messages": []}, run_config())
    assert first.closed
    until(lambda: "whole" in [step.name for step in steps], "all that was waiting is sent")
    assert first.flush(ENOUGH)
    assert "whole" in [span.name for span in exporter.get_finished_spans()]


def test_a_run_under_way_hears_its_guards_to_its_end(no_langfuse: None) -> None:
    """What a guard refuses at the end of a run belongs into the log of that run."""
    steps: list[Any] = []
    first = setup(steps=steps.append, metrics=False)

    def anew(state: MessagesState) -> dict[str, Any]:
        setup(steps=[], metrics=False)
        emit("breaker.refused", breaker="b", key="search", state="open", retry_after=1.0)
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("anew", anew)
    graph.add_edge(START, "anew")
    graph.add_edge("anew", END)
    graph.compile().invoke({"messages": []}, run_config())
    assert first.flush(ENOUGH)
    assert "breaker.refused" in [step.name for step in steps]


def test_whose_place_is_taken_listens_no_more(no_langfuse: None) -> None:
    """Each would hear every guard of the program from then on, for as long as somebody holds it."""
    before = somebody_listens()
    first = setup(steps=[], metrics=False)
    second = setup(steps=[], metrics=False)
    second.close()
    assert first.closed
    assert somebody_listens() is before


def test_after_a_wrong_setting_the_first_listens_on(no_langfuse: None, tmp_path: Any) -> None:
    """What was right is not taken away by what is wrong."""
    first = setup(steps=[], metrics=False)
    with pytest.raises(ConfigError):
        setup(steps=str(tmp_path / "steps.txt"), metrics=False)
    assert (current(), first.closed) == (first, False)


def test_each_list_is_filled_for_whoever_holds_it(no_langfuse: None) -> None:
    """Two empty lists are equal, and yet somebody else's."""
    one: list[Any] = []
    other: list[Any] = []
    setup(steps=one, metrics=False)
    setup(steps=other, metrics=False)
    play()
    assert (one, bool(other)) == ([], True)
