"""`setup` and `run_config`: wrong settings are told at once, missing ones switch off, and nothing reaches a run."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_guard import observability
from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import arun_config, feedback, run_config, setup
from langgraph_guard.observability.flushing import Flusher, at_exit
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.runs import Traces, is_trace
from langgraph_guard.observability.steps import Step, StepRecorder, read
from tests.observability.agent import Agent
from tests.observability.conftest import environment, point_at, somebody_listens
from tests.servers.otlp import Receiver
from tests.servers.redis import until

ASKED = {"messages": [("user", "find kites")]}
ROOT = str(Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload", "fat"),
        ("redact", "yes"),
        ("langfuse", "on"),
        ("langfuse", None),
        ("metrics", "all"),
        ("otlp", "localhost:4318"),
        ("otlp", 4318),
        ("otlp", "http://[::1"),
        ("otlp", "http://collector:99999"),
        ("otlp", "http://collector:http/v1"),
        ("otlp", "http://the collector"),
        ("otlp", "http://:4318"),
        ("steps", 7),
        ("steps", "a\0.db"),
    ],
)
def test_a_wrong_setting_is_told_at_once(no_langfuse: None, field: str, value: Any) -> None:
    """Not by a trace that is empty a week later."""
    with pytest.raises(ConfigError) as told:
        setup(**{field: value})
    assert told.value.field == field


def test_nothing_listens_after_a_wrong_setting(no_langfuse: None) -> None:
    """All or nothing."""
    before = somebody_listens()
    with pytest.raises(ConfigError):
        setup(payload="fat")  # type: ignore[arg-type]
    assert somebody_listens() is before


@pytest.mark.parametrize("only", [None, "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"])
def test_without_keys_langfuse_is_off_and_says_so(
    no_langfuse: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, only: str | None
) -> None:
    """A forgotten secret must not keep a worker from starting; and somebody has to find out why there is no trace."""
    if only:
        monkeypatch.setenv(only, "x")
    with caplog.at_level(logging.WARNING, logger="langgraph_guard"):
        seen = setup(langfuse=True, metrics=False)
        again = setup(langfuse=True, metrics=False)
    agent = Agent(InMemorySaver())
    assert agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))["messages"][-1].text == "Three kites."
    assert (seen is again, seen.handlers, seen.flush(5)) == (True, [], True)
    assert len([record for record in caplog.records if "Langfuse is off" in record.getMessage()]) == 1


def test_by_default_langfuse_is_on_where_its_keys_are(no_langfuse: None, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody who has no Langfuse is told about it."""
    with caplog.at_level(logging.INFO):
        assert setup(metrics=False).handlers == []
    assert "Langfuse" not in caplog.text


def told_by_setup(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Its own words: exporters of tests before may have some, too."""
    return [each.getMessage() for each in caplog.records if each.name == setup.__module__]


def test_langfuse_is_on_where_nothing_forks(
    seen: Callable[..., Observability], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows."""
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    assert (len(seen().handlers), told_by_setup(caplog)) == (1, [])


def test_wrong_keys_do_not_reach_a_run(
    seen: Callable[..., Observability], langfuse: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that knows no such keys is told about in the log, without the keys, and gives up what it refused."""
    langfuse.fault = "401"
    handle = seen()
    agent = Agent(InMemorySaver())
    assert agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))["messages"][-1].text == "Three kites."
    assert handle.flush(60)
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [said for said in told if "401" in said]
    assert not [said for said in told if "sk-test" in said]


def test_a_client_without_keys_is_off(no_langfuse: None) -> None:
    """The user's own client, made without keys: a no-op with a warning, as Langfuse itself has it."""
    from langfuse import Langfuse

    assert setup(langfuse=Langfuse(), metrics=False).handlers == []


def test_a_client_of_the_users_is_used(langfuse: Receiver) -> None:
    """Its exporter, its sampling, its masks are theirs."""
    from langfuse import Langfuse
    from opentelemetry.sdk.trace import TracerProvider

    exporter = InMemorySpanExporter()
    client = Langfuse(tracer_provider=TracerProvider(shutdown_on_exit=False), span_exporter=exporter)
    private.not_at_exit(client)
    seen = setup(langfuse=client, metrics=False)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))
    assert seen.flush(30)
    assert "guard.budget.verdict" in {span.name for span in exporter.get_finished_spans()}


def test_the_same_settings_change_nothing(seen: Callable[..., Observability]) -> None:
    """Every module of a program may say it; each event is heard once."""
    assert seen() is seen()


def test_other_keys_take_the_place_of_the_first(
    no_langfuse: None, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs read their `.env` late; a notebook goes on to another project."""
    found = [setup(metrics=False)]
    keys = []
    for _ in range(2):
        keys.append(point_at(receiver.url, monkeypatch))
        found += [setup(metrics=False), setup(metrics=False)]
    off, first, first_again, second, second_again = found
    assert (off.client, first is first_again, second is second_again) == (None, True, True)
    assert [private.public_key(seen.client) for seen in (first, second) if seen.client] == keys


def test_settings_that_others_took_the_place_of_leave_no_threads(no_langfuse: None) -> None:
    """Where nobody has Langfuse, the client that makes the spans is ours alone, and goes with its settings."""
    first = setup(langfuse=False, otlp=InMemorySpanExporter(), metrics=False)
    handler: Any = first.handlers[0]
    threads = [*handler._langfuse_client._resources._score_consumers]
    setup(langfuse=False, otlp=InMemorySpanExporter(), metrics=False)
    threads += [thread for thread in threading.enumerate() if thread.name == "langgraph_guard hand over"]
    del first, handler
    for thread in reversed(threads):
        gc.collect()
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()]


def test_a_file_in_another_folder_is_another_file(
    no_langfuse: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without a folder begins where the program is."""
    monkeypatch.chdir(tmp_path)
    first = setup(steps="steps.db", metrics=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert setup(steps="steps.db", metrics=False) is not first
    assert first.recorder is not None
    first.recorder.close()  # It would listen for as long as a run of its time may go on.


def test_other_settings_take_the_place_of_the_first(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """Two setups, one relay: a decision is shown once."""
    first = seen()
    second = seen(payload="none")
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))
    assert second.flush(30)
    assert (first.closed, len(langfuse.named("guard.budget.verdict"))) == (True, 1)


def test_what_breaks_over_otlp_leaves_langfuse_on(
    langfuse: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so: who reads that traces are off looks for the wrong thing."""
    from langfuse import Langfuse
    from opentelemetry.sdk.trace import TracerProvider

    exporter = InMemorySpanExporter()
    client = Langfuse(tracer_provider=TracerProvider(shutdown_on_exit=False), span_exporter=exporter)
    private.not_at_exit(client)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    seen = setup(langfuse=client, otlp=InMemorySpanExporter(), metrics=False)
    assert (len(seen.handlers), told_by_setup(caplog)) == (1, ["traces over OTLP are off: ValueError"])


def test_after_the_end_nobody_listens(seen: Callable[..., Observability]) -> None:
    """Closing twice is fine; an event costs again what it costs without listeners."""
    before = somebody_listens()
    handle = seen()
    handle.close()
    handle.close()
    assert somebody_listens() is before


@pytest.mark.parametrize("timeout", [float("inf"), 1e10, 10**400], ids=["for ever", "centuries", "no float"])
def test_a_flush_may_wait_for_ever(seen: Callable[..., Observability], timeout: float) -> None:
    """A batch job has time."""
    handle = seen(steps=[])
    assert handle.flush(timeout)
    assert handle.close(timeout)


@pytest.mark.parametrize("timeout", [None, "2"])
def test_a_flush_for_no_time_is_told(seen: Callable[..., Observability], timeout: Any) -> None:
    """Which argument, and not a `TypeError` from within."""
    with pytest.raises(ConfigError, match="timeout: is a"):
        seen().flush(timeout)


def test_what_was_closed_is_not_stopped_again() -> None:
    """One thread closes what another one is about to replace: a count of listeners would be wrong ever after."""
    handle = Observability(Redactor(None))
    stopped: list[str] = []
    handle.stops.append(lambda: stopped.append("once"))
    handle.close()
    handle.hand_over()
    assert stopped == ["once"]


def test_a_flush_after_the_end_leaves_no_thread_behind(seen: Callable[..., Observability]) -> None:
    """Nobody would stop it any more; what was not sent in time is still sent."""
    handle = seen()
    handle.close()
    assert handle.flush(60)
    until(lambda: not any(each._thread for each in handle.flushers), "its threads are gone")


def test_what_waits_for_the_end_may_stop_waiting_twice() -> None:
    """Whoever closes while somebody else closes."""
    stop = at_exit.add(Flusher(lambda: None))
    stop()
    stop()


def test_spans_go_to_otlp_without_a_langfuse_server(no_langfuse: None) -> None:
    """The same tree in the words of OpenTelemetry's GenAI conventions, and no request to anybody else."""
    with Receiver() as receiver:
        seen = setup(otlp=receiver.url, metrics=False)
        agent = Agent(InMemorySaver())
        config = run_config(agent.app, thread_id="t-1")
        agent.app.invoke(ASKED, config)
        assert seen.flush(30)
        calls = [span for span in receiver.spans if span.attributes.get("gen_ai.operation.name") == "chat"]
        (decision,) = receiver.named("guard.budget.verdict")
        parent = receiver.parent(decision)
        spans = receiver.spans
    spent = agent.spent(config)
    assert not [name for span in spans for name in span.attributes if name.startswith("langfuse.")]
    assert sum(round(call.attributes["langgraph_guard.cost.usd"] * 1e6) for call in calls) == spent["usd"]
    figures = [call.attributes[f"gen_ai.usage.{side}_tokens"] for call in calls for side in ("input", "output")]
    assert sum(figures) == spent["tokens"]
    assert {span.attributes["gen_ai.conversation.id"] for span in spans} == {"t-1"}
    assert (decision.attributes["langgraph_guard.decision"], parent and parent.name) == ("warn", "gate")


def test_a_local_client_is_none_of_langfuses(no_langfuse: None) -> None:
    """With two clients `langfuse.get_client()` gives a third that is switched off: ours must not be one of them."""
    from langfuse._client.resource_manager import LangfuseResourceManager

    before = set(LangfuseResourceManager._instances)
    setup(otlp=InMemorySpanExporter(), metrics=False)
    assert set(LangfuseResourceManager._instances) == before


def test_langfuse_and_otlp_show_the_same_spans(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """One handler, one serialisation, two places."""
    exporter = InMemorySpanExporter()
    handle = seen(otlp=exporter)
    agent = Agent(InMemorySaver())
    agent.app.invoke(ASKED, run_config(agent.app, thread_id="t"))
    assert handle.flush(30)
    assert sorted(span.name for span in exporter.get_finished_spans()) == sorted(span.name for span in langfuse.spans)


@pytest.mark.parametrize("kind", ["database", "lines", "path", "function", "logger", "list", "recorder"])
def test_the_step_log_goes_wherever_a_recorder_writes(
    no_langfuse: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Whoever reads of it in one place writes it in the other."""
    told: list[Step] = []
    files = {"database": str(tmp_path / "s.db"), "lines": str(tmp_path / "s.jsonl"), "path": tmp_path / "p.db"}
    recorder = StepRecorder(told)
    others = {"function": told.append, "list": told, "recorder": recorder}
    given: Any = {**files, **others, "logger": logging.getLogger("steps of the test")}[kind]
    seen = setup(steps=given, metrics=False)
    with caplog.at_level(logging.INFO, logger="steps of the test"):
        agent = Agent(InMemorySaver())
        agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
        assert seen.flush(30)
    logged = [record for record in caplog.records if record.name == "steps of the test"]
    recorder.close()  # else it hears the guards of other tests
    assert read(given) if kind in files else told or logged


def test_feedback_is_a_row_of_the_step_log(no_langfuse: None) -> None:
    """Without Langfuse too: what people thought stands beside what was done."""
    steps: list[Any] = []
    seen = setup(steps=steps.append, metrics=False)
    agent = Agent(InMemorySaver())
    config = run_config(agent.app, thread_id="t-1")
    agent.app.invoke(ASKED, config)
    assert feedback("t-1", 1, "good")
    assert seen.flush(30)
    (row,) = [step for step in steps if step.kind == "feedback"]
    assert (row.thread_id, row.trace_id, row.result) == ("t-1", config["metadata"]["guard_trace_id"], "good")


@pytest.mark.parametrize("thread", ["t-1", "0123456789abcdef0123456789abcdef"], ids=["a name", "hexadecimal digits"])
@pytest.mark.parametrize("how", ["in this process", "by its checkpoint", "by its trace", "by its config"])
def test_feedback_finds_the_trace_of_its_thread(no_langfuse: None, thread: str, how: str) -> None:
    """Ids of threads look like ids of traces where they come from `uuid4().hex`."""
    steps: list[Any] = []
    seen = setup(steps=steps.append, metrics=False)
    agent = Agent(InMemorySaver())
    config = run_config(agent.app, thread_id=thread)
    agent.app.invoke(ASKED, config)
    trace = config["metadata"]["guard_trace_id"]
    target: Any = {"by its trace": trace, "by its config": config}.get(how, thread)
    assert feedback(target, True, graph=agent.app if how == "by its checkpoint" else None)
    assert seen.flush(30)
    (row,) = [step for step in steps if step.kind == "feedback"]
    assert (row.thread_id, row.trace_id) == (thread, trace)


def test_feedback_on_a_trace_of_another_process_is_taken(seen: Callable[..., Observability]) -> None:
    """The web server has the trace's id, a worker had the run."""
    seen()
    assert feedback("f" * 32, 1)


@pytest.mark.parametrize("place", [{}, {"configurable": {"thread_id": "t-1"}}], ids=["no thread", "a thread"])
def test_feedback_on_a_config_of_no_trace_says_so(seen: Callable[..., Observability], place: Any) -> None:
    """A verdict under an id that no trace has is never seen; nor is it one on the thread's last answer."""
    seen()
    run_config(thread_id="t-1")
    assert feedback({**place, "metadata": {"guard_trace_id": "7"}}, 1) is False


def test_feedback_on_a_config_without_anything_says_so(seen: Callable[..., Observability]) -> None:
    """A config may have a key and nothing under it."""
    seen()
    assert feedback({"configurable": None, "metadata": None}, 1) is False


@pytest.mark.parametrize(
    "score", [None, float("nan"), "", [1], 10**400], ids=["none", "nan", "empty", "list", "too large"]
)
def test_a_score_that_cannot_be_sent_is_told(no_langfuse: None, score: Any) -> None:
    """Where the mistake is, and not by a score that never appears."""
    with pytest.raises(ConfigError):
        feedback("t-1", score)


def test_feedback_on_a_thread_that_nobody_knows_says_so(seen: Callable[..., Observability]) -> None:
    """A thread that does not exist has no trace."""
    seen()
    assert feedback("nobody", 1) is False
    for thread in ("nobody", "0123456789abcdef0123456789abcdef"):
        assert feedback(thread, 1, graph=Agent(InMemorySaver()).app) is False


def test_without_setup_a_config_is_a_config(no_langfuse: None) -> None:
    """The line may stay in the program when nobody listens."""
    config = run_config(thread_id="t-1", recursion_limit=7)
    assert (config["callbacks"], config["recursion_limit"]) == ([], 7)
    assert config["configurable"] == {"thread_id": "t-1"}


@pytest.mark.parametrize("saver", [None, InMemorySaver()], ids=["no saver", "a saver"])
async def test_a_thread_that_does_not_exist_gets_a_new_trace(no_langfuse: None, saver: Any) -> None:
    """Nor does a graph without a checkpointer raise."""
    app = Agent(saver).app
    one, other = run_config(app, thread_id="new"), await arun_config(app, thread_id="new")
    ids = one["metadata"]["guard_trace_id"], other["metadata"]["guard_trace_id"]
    assert is_trace(ids[0])
    assert is_trace(ids[1])
    assert ids[0] != ids[1]


class Broken:
    """A graph whose checkpointer is down."""

    def get_state(self, config: Any) -> Any:
        raise ConnectionError("down")

    async def aget_state(self, config: Any) -> Any:
        raise ConnectionError("down")


async def test_a_checkpointer_that_is_down_costs_the_link_and_not_the_run(no_langfuse: None) -> None:
    """The run itself will say what is wrong with its checkpointer."""
    assert is_trace(run_config(Broken(), thread_id="t")["metadata"]["guard_trace_id"])
    assert is_trace((await arun_config(Broken(), thread_id="t"))["metadata"]["guard_trace_id"])


def test_tags_may_be_none(no_langfuse: None) -> None:
    """As the other arguments, which a program hands on from its own."""
    assert "langfuse_tags" not in run_config(thread_id="t-1", tags=None)["metadata"]


@pytest.mark.parametrize("thread_id", ["", 7], ids=["empty", "number"])
def test_a_thread_id_that_is_none_is_told(thread_id: Any) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigError):
        run_config(thread_id=thread_id)


def test_who_asks_is_known_to_limits_too(no_langfuse: None) -> None:
    """A limit per user would refuse a run that has just been told whose it is."""
    assert run_config(thread_id="t-1", user_id=7)["configurable"] == {"thread_id": "t-1", "user_id": "7"}
    given = run_config(user_id="u-7", configurable={"user_id": "u-8"})
    assert given["configurable"] == {"user_id": "u-8"}


def test_callbacks_of_the_users_stay(seen: Callable[..., Observability]) -> None:
    """A list, or the manager of the run that this one is part of; which is not changed."""
    handle, own = seen(), BaseCallbackHandler()
    manager = CallbackManager([own])
    assert run_config(callbacks=[own])["callbacks"] == [own, *handle.handlers]
    added: Any = run_config(callbacks=manager)["callbacks"]
    assert (added.handlers, manager.handlers) == ([own, *handle.handlers], [own])


def test_traces_of_old_threads_are_forgotten() -> None:
    """A worker runs for months."""
    traces = Traces(most=2)
    for n in range(3):
        traces.note(str(n), f"trace-{n}")
    assert [traces.of(str(n)) for n in range(3)] == [None, "trace-1", "trace-2"]


FORK = """
import os
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_guard import observability
from tests.observability.agent import Agent

observability.setup(metrics=False)

def play(thread):
    agent = Agent(InMemorySaver())
    config = observability.run_config(agent.app, thread_id=thread)
    agent.app.invoke({"messages": [("user", "find kites")]}, config)
    return observability.flush(30)

assert play("parent")
child = os.fork()
if not child:
    os._exit(0 if play("child") else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
def test_a_forked_worker_is_seen(langfuse: Receiver) -> None:
    """Servers that load the program once and fork: threads do not come along, and each worker must begin its own."""
    variables = {**os.environ, **environment(langfuse.url), "PYTHONPATH": ROOT}
    subprocess.run([sys.executable, "-c", FORK], env=variables, check=True, timeout=240)
    assert {span.attributes["session.id"] for span in langfuse.spans} == {"parent", "child"}


LIGHT = """
import sys, json
from langgraph_guard import observability
heavy = ("langfuse", "opentelemetry.sdk", "langchain_core.callbacks.manager")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_the_package_of_listeners_is_light() -> None:
    """Every program imports it, and many of them switch nothing on."""
    ended = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout == "[]\n"


def test_every_public_name_resolves() -> None:
    """A lazy name is a string until someone asks for it, and a module of the same name would hide it."""
    assert all(callable(getattr(observability, name)) for name in set(observability.__all__) - {"tree"})
    assert set(observability.__all__) <= set(dir(observability))


def test_a_log_is_read_and_drawn_with_what_the_package_offers() -> None:
    """Nobody looks for the inside of it."""
    step = observability.Step(ts=1.0, trace_id="t", thread_id="a", id="1", kind="run", name="shop")
    assert "shop" in observability.__getattr__("tree").text([step])
    assert observability.__getattr__("read") is read


def test_an_unknown_name_is_an_attribute_error() -> None:
    """`hasattr` asks for names that do not exist, and expects this answer."""
    assert not hasattr(observability, "no_such_name")


def test_a_run_of_one_message_can_be_watched_without_a_graph(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """Handlers may also be put into callbacks by hand: then the trace has an id of its own."""
    handle = seen()
    Agent(InMemorySaver()).app.invoke(
        {"messages": [HumanMessage("find kites")]},
        {"configurable": {"thread_id": "t"}, "callbacks": handle.handlers},
    )
    assert handle.flush(30)
    assert len({span.trace_id for span in langfuse.spans}) == 1
