"""A program that has OpenTelemetry already: its own provider, with what it samples, adds and exports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import run_config, setup
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse import private
from tests.observability.agent import Agent
from tests.servers.otlp import Receiver

ASKED = {"messages": [("user", "find kites")]}


class Program:
    """A program's provider, and what it exports."""

    def __init__(self, **settings: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **settings)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        above = span.parent.span_id if span.parent else None
        return next((each for each in self.spans if each.context and each.context.span_id == above), None)


@pytest.fixture
def program(no_langfuse: None) -> Iterator[Program]:
    """One whose provider is told about the runs."""
    program = Program(resource=Resource({"service.name": "shop"}))
    setup(otlp=program.provider, metrics=False)
    yield program
    program.provider.shutdown()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_runs_are_spans_of_the_programs_own_provider(program: Program, way: str) -> None:
    """In the words of the conventions, under its resource, with each decision below its node."""
    agent = Agent(InMemorySaver())
    config = run_config(agent.app, thread_id="t-1")
    if way == "invoke":
        agent.app.invoke(ASKED, config)
    else:
        asyncio.run(agent.app.ainvoke(ASKED, config))
    calls = [span for span in program.spans if (span.attributes or {}).get("gen_ai.operation.name") == "chat"]
    (decision,) = [span for span in program.spans if span.name == "guard.budget.verdict"]
    above = program.parent(decision)
    costs = [(call.attributes or {}).get("langgraph_guard.cost.usd") for call in calls]
    assert sum(round(cost * 1e6) for cost in costs if isinstance(cost, float)) == agent.spent(config)["usd"]
    assert above is not None
    assert above.name == "gate"
    assert {span.resource.attributes["service.name"] for span in program.spans} == {"shop"}
    assert not [name for span in program.spans for name in span.attributes or {} if name.startswith("langfuse")]


def test_an_interrupt_and_its_resume_are_one_trace_there_too(program: Program) -> None:
    """The id that was chosen for the run is that of the provider's trace."""
    agent = Agent(InMemorySaver(), asks=True)
    config = run_config(agent.app, thread_id="t-1")
    agent.app.invoke(ASKED, config)
    agent.app.invoke(Command(resume="yes"), run_config(agent.app, thread_id="t-1"))
    found = {f"{span.context.trace_id:032x}" for span in program.spans if span.context}
    assert found == {config["metadata"]["guard_trace_id"]}


def test_the_programs_sampler_decides(no_langfuse: None) -> None:
    """Whoever keeps one trace in a hundred keeps one in a hundred of these."""
    program = Program(sampler=ALWAYS_OFF)
    setup(otlp=program.provider, metrics=False)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
    assert program.spans == []


def test_the_programs_sampler_of_roots_decides(no_langfuse: None) -> None:
    """A run is a root there, although its trace id was chosen before: no parent has decided for it."""
    program = Program(sampler=ParentBased(ALWAYS_OFF))
    setup(otlp=program.provider, metrics=False)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
    assert program.spans == []


def test_a_run_is_the_root_of_its_trace(program: Program) -> None:
    """A parent that is in no backend is an incomplete trace to all of them."""
    agent = Agent(InMemorySaver())
    config = run_config(agent.app, thread_id="t-1")
    agent.app.invoke(ASKED, config)
    assert [span.name for span in program.spans if program.parent(span) is None] == ["LangGraph"]
    (root,) = (span for span in program.spans if span.parent is None)
    assert root.context is not None
    assert f"{root.context.trace_id:032x}" == config["metadata"]["guard_trace_id"]


def test_a_run_is_the_root_of_its_trace_over_otlp(no_langfuse: None) -> None:
    """The same where the exporter is ours."""
    exporter = InMemorySpanExporter()
    seen = setup(otlp=exporter, metrics=False)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
    assert seen.flush(60)
    assert [span.name for span in exporter.get_finished_spans() if span.parent is None] == ["LangGraph"]


def test_a_run_within_the_programs_own_span_is_below_it(program: Program) -> None:
    """Unless `run_config` chose a trace for it."""
    agent = Agent(InMemorySaver())
    handlers = setup(otlp=program.provider, metrics=False).handlers
    with program.provider.get_tracer("shop").start_as_current_span("POST /chat"):
        agent.app.invoke(ASKED, {"callbacks": handlers, "configurable": {"thread_id": "t-1"}})
    assert [span.name for span in program.spans if program.parent(span) is None] == ["POST /chat"]


def test_a_provider_that_batches_is_flushed(no_langfuse: None) -> None:
    """`flush` waits for the program's exporter as well."""
    program = Program()
    exporter = InMemorySpanExporter()
    program.provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
    seen = setup(otlp=program.provider, metrics=False)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
    assert seen.flush(60)
    assert len(exporter.get_finished_spans()) == len(program.spans) > 0
    program.provider.shutdown()


def test_after_the_end_a_provider_is_told_nothing(no_langfuse: None) -> None:
    """It goes on without us."""
    program = Program()
    seen = setup(otlp=program.provider, metrics=False)
    agent = Agent(InMemorySaver())
    config = run_config(agent.app, thread_id="t-1")
    seen.close()
    agent.app.invoke(ASKED, config)
    assert program.spans == []


def test_langfuse_and_a_provider_show_the_same_spans(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """One handler, one serialisation, two places; nothing comes to Langfuse twice."""
    program = Program()
    handle = seen(otlp=program.provider)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))
    assert handle.flush(60)
    assert sorted(span.name for span in program.spans) == sorted(span.name for span in langfuse.spans)


def test_a_provider_that_sees_the_spans_already_is_told_so(langfuse: Receiver) -> None:
    """Each span would be there twice, at Langfuse too."""
    from langfuse import Langfuse

    program = Program()
    client = Langfuse(tracer_provider=program.provider)
    private.not_at_exit(client)
    with pytest.raises(ConfigError, match="already"):
        setup(langfuse=client, otlp=program.provider, metrics=False)


def test_spans_of_others_on_a_shared_provider_stay_where_they_are(langfuse: Receiver) -> None:
    """Nobody took the secrets out of the address of a request."""
    from langfuse import Langfuse

    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    client = Langfuse(tracer_provider=provider)
    private.not_at_exit(client)
    seen = setup(langfuse=client, otlp=exporter, metrics=False)
    with provider.get_tracer("httpx").start_as_current_span("GET /?password=hunter2"):
        agent = Agent(InMemorySaver())
        agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))
    assert seen.flush(60)
    names = [span.name for span in exporter.get_finished_spans()]
    assert (names.count("LangGraph"), [name for name in names if "hunter2" in name]) == (1, [])
