"""The members of Langfuse's that have no public name and that this package uses. Pinned to `langfuse>=5,<6`, and a
test asks for each of them, so that a release without one fails there and not in a run.

On a client: `_resources` (`public_key`, `tracer_provider`, `shutdown`, `_score_consumers`, `_media_upload_consumers`,
`_media_manager`, `prompt_cache._task_manager`) and `_tracing_enabled`; on a score consumer `_upload_batch` is wrapped,
on a media manager `process_next_media_upload`; on an observation: `_otel_span`; on `LangfuseResourceManager`:
`_instances`. On the handler: `_langfuse_client` is set; `_runs`, `_run_states` (`parent_run_id`, `root_run_id`) and
`_root_run_states` (`run_ids`) are read, and in `_runs` an observation may be exchanged; `_detach_observation`,
`_deregister_langfuse_prompt` and `_reset` are called; `_get_parent_observation`, `_take_root_trace_context`,
`_parse_langfuse_trace_attributes`, `_get_error_level_and_status_message` and `_attach_observation` are overridden.
OpenTelemetry's own are in `otel/sending.py` and `otel/mirror.py`.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from langfuse import Langfuse
    from langfuse.langchain import CallbackHandler
    from opentelemetry.sdk.trace import TracerProvider

TRACE_WIDE: Final = ("session.id", "user.id", "langfuse.trace.name", "langfuse.trace.tags")
"""Span attributes that every observation of a trace carries: the server reads each by itself."""
TRACE_METADATA: Final = "langfuse.trace.metadata"


def public_key(client: Langfuse) -> str | None:
    """The key that a client goes by; `None` when it is switched off, for want of keys or by the environment."""
    resources = getattr(client, "_resources", None)
    enabled = getattr(client, "_tracing_enabled", False)
    return getattr(resources, "public_key", None) if enabled and resources is not None else None


def provider(client: Langfuse) -> TracerProvider | None:
    found: TracerProvider | None = getattr(getattr(client, "_resources", None), "tracer_provider", None)
    return found


def resources(client: Langfuse) -> Any:
    """What all clients of one public key share."""
    return client._resources


def score_consumers(resources: Any) -> tuple[Any, ...]:
    """The threads that send scores."""
    consumers = getattr(resources, "_score_consumers", ())
    return tuple(each for each in consumers if hasattr(each, "_upload_batch"))


def media_manager(client: Langfuse) -> Any:
    return getattr(client._resources, "_media_manager", None)


def known_client(key: str) -> bool:
    """Whether somebody made a client with this public key before: its settings are those of the first."""
    from langfuse._client.resource_manager import LangfuseResourceManager

    return key in LangfuseResourceManager._instances


def forget(key: str) -> None:
    """Take a client out of those that `langfuse.get_client()` chooses from: with two of them it gives neither."""
    from langfuse._client.resource_manager import LangfuseResourceManager

    LangfuseResourceManager._instances.pop(key, None)


def not_at_exit(client: Langfuse) -> None:
    """Take back that the end of the program shuts the client down: it would wait as long as its server likes."""
    shutdown = getattr(getattr(client, "_resources", None), "shutdown", None)
    if shutdown is not None:
        atexit.unregister(shutdown)


def end(resources: Any) -> None:
    """Stop the threads of a client that nobody has any more: they wake every second. What is left is sent before."""
    resources.tracer_provider.shutdown()
    uploads, scores = resources._media_upload_consumers, resources._score_consumers
    for thread in (*uploads, *scores):
        thread.pause()
    resources._media_manager.signal_shutdown(count=len(uploads))
    resources.prompt_cache._task_manager.shutdown()


def observation(handler: CallbackHandler, run_id: UUID) -> Any:
    """The observation of a run that has not ended."""
    return handler._runs.get(run_id)


def put(handler: CallbackHandler, run_id: UUID, observation: Any) -> None:
    """In the place of the observation that the handler made."""
    handler._runs[run_id] = observation


def root(handler: CallbackHandler, run_id: UUID) -> UUID | None:
    state = handler._run_states.get(run_id)
    return state.root_run_id if state is not None else None


def above(handler: CallbackHandler, run_id: UUID) -> list[UUID]:
    """The runs around `run_id`, the nearest first."""
    found: list[UUID] = []
    state = handler._run_states.get(run_id)
    while state is not None and state.parent_run_id is not None:
        found.append(state.parent_run_id)
        state = handler._run_states.get(state.parent_run_id)
    return found


def below(handler: CallbackHandler, root: UUID) -> tuple[UUID, ...]:
    """The runs within a root."""
    state = handler._root_run_states.get(root)
    return tuple(run_id for run_id in (state.run_ids if state is not None else ()) if run_id != root)


def span(observation: Any) -> Any:
    """The OpenTelemetry span of an observation."""
    return observation._otel_span


def trace_wide(observation: Any) -> dict[str, Any]:
    """What all observations below a root carry as well."""
    attributes: Mapping[str, Any] = getattr(span(observation), "attributes", None) or {}
    return {name: value for name, value in attributes.items() if name in TRACE_WIDE or name.startswith(TRACE_METADATA)}
