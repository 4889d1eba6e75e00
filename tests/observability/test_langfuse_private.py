"""The members of Langfuse's that have no public name: a release without one of them fails here, and not in a run."""

from __future__ import annotations

import gc
import inspect
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langfuse import Langfuse
from langfuse._client.resource_manager import LangfuseResourceManager
from langfuse.langchain import CallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.langfuse.client import local
from langgraph_guard.observability.langfuse.handler import GuardLangfuseHandler
from langgraph_guard.observability.langfuse.payload import Payloads
from langgraph_guard.observability.redaction import Redactor


@pytest.fixture
def client() -> Langfuse:
    """A client that sends nothing anywhere."""
    return local(InMemorySpanExporter(), full=False)


def test_the_version_is_one_that_these_tests_know() -> None:
    """`langfuse>=5,<6` in pyproject.toml."""
    assert version("langfuse").startswith("5.")


def test_a_client_has_what_is_read_of_it(client: Langfuse) -> None:
    """Its key, whether it is on, its provider, its shutdown."""
    assert private.public_key(client)
    assert isinstance(private.provider(client), TracerProvider)
    assert callable(client._resources.shutdown)  # type: ignore[union-attr]
    assert client._tracing_enabled is True


def test_a_client_sends_scores_and_media_where_it_is_watched(client: Langfuse) -> None:
    """By threads with a method each for what is about to be sent."""
    assert [list(inspect.signature(each._upload_batch).parameters) for each in client._resources._score_consumers] == [  # type: ignore[union-attr]
        ["batch"]
    ]
    assert callable(private.media_manager(client).process_next_media_upload)


def test_a_client_that_nobody_has_any_more_has_no_threads() -> None:
    """They wake every second, and a program that sets up anew for each job would have a thousand of them one day."""
    client = local(InMemorySpanExporter(), full=False)
    resources: Any = client._resources
    threads = [
        *resources._score_consumers,
        *resources._media_upload_consumers,
        *resources.prompt_cache._task_manager._consumers,
    ]
    assert [thread.is_alive() for thread in threads] == [True] * 3
    del client
    gc.collect()
    for thread in threads:
        thread.join(60)
    assert [thread.is_alive() for thread in threads] == [False] * 3


def test_a_batch_processor_keeps_what_is_watched() -> None:
    """Its exporter, and what it tells its meters: without them nothing is counted, and the library logs as it does."""
    exporter = InMemorySpanExporter()
    batch: Any = BatchSpanProcessor(exporter)._batch_processor
    assert batch._exporter is exporter
    assert list(inspect.signature(batch._metrics.drop_items).parameters) == ["count", "error_type"]
    batch.shutdown()


def test_a_client_can_be_forgotten(client: Langfuse) -> None:
    """By its public key, in the table that `get_client()` reads."""
    key = str(private.public_key(client))
    assert private.known_client(key)
    private.forget(key)
    assert key not in LangfuseResourceManager._instances


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("_take_root_trace_context", ["self", "inputs", "metadata"]),
        ("_parse_langfuse_trace_attributes", ["self", "metadata", "tags"]),
        ("_get_error_level_and_status_message", ["self", "error"]),
        ("_attach_observation", ["self", "run_id", "observation"]),
        ("_get_parent_observation", ["self", "parent_run_id"]),
        ("_detach_observation", ["self", "run_id"]),
        ("_deregister_langfuse_prompt", ["self", "run_id"]),
        ("_reset", ["self", "root_run_id"]),
    ],
)
def test_the_handler_asks_what_is_overridden(method: str, names: list[str]) -> None:
    """An override that nobody calls any more is silence where a trace id or a redaction was."""
    assert list(inspect.signature(getattr(CallbackHandler, method)).parameters) == names


def test_the_handler_keeps_its_runs_where_they_are_looked_for(client: Langfuse) -> None:
    """By the run's id, with the run above and the root."""
    handler = GuardLangfuseHandler(client, Payloads("slim", Redactor()))
    root, child = uuid4(), uuid4()
    handler.on_chain_start(None, {}, run_id=root, name="root")
    handler.on_chain_start(None, {}, run_id=child, parent_run_id=root, name="child")
    state = handler._run_states[child]
    assert {root, child} <= set(handler._runs)
    assert (state.parent_run_id, state.root_run_id) == (root, root)
    handler.on_chain_end({}, run_id=child, parent_run_id=root)
    handler.on_chain_end({}, run_id=root)
    assert (handler._runs, handler._run_states, handler._wide._of) == ({}, {}, {})


def test_the_handler_does_not_run_inline(client: Langfuse) -> None:
    """Inline, its current span would leak into the task of whoever called the graph, and the next run nest under it."""
    assert GuardLangfuseHandler(client, Payloads("slim", Redactor())).run_inline is False


def test_every_callback_of_the_stock_handler_that_sees_contents_is_thinned() -> None:
    """A new callback of a new release would show a state as it is."""
    known = {name for name, _ in inspect.getmembers(BaseCallbackHandler) if name.startswith("on_")}
    stock = {name for name in vars(CallbackHandler) if name.startswith("on_")} & known
    ours = {name for name in vars(GuardLangfuseHandler) if name.startswith("on_")}
    assert stock - ours == {"on_llm_new_token"}
