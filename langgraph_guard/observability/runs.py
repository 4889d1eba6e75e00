"""`run_config`: the config of a run that is watched, with a trace id that an interrupt does not end.

The id is chosen before the run and put into its metadata. LangGraph keeps a run's metadata with its checkpoints, so
whoever resumes the thread, in whichever process, reads the id there and goes on with the same trace.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import Flow, arun, run

TRACE_ID: Final = "guard_trace_id"
REMEMBERED: Final = 4096
"""Threads whose last trace a process knows without asking their checkpoints."""
EDITS: Final = 25
"""Checkpoints that are read, at most, for the one that a run wrote: those after it are edits."""
EDITED: Final = ("update", "fork")
"""What LangGraph calls the source of those."""

_log = logging.getLogger(__name__)


class Graph(Protocol):
    """What a compiled graph has, as far as its config needs it."""

    def get_state(self, config: RunnableConfig) -> Any: ...

    async def aget_state(self, config: RunnableConfig) -> Any: ...


class Traces:
    """The last trace of each thread that this process ran."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[str, str] = OrderedDict()

    def note(self, thread_id: str, trace_id: str) -> None:
        self._known[thread_id] = trace_id
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def of(self, thread_id: str) -> str | None:
        return self._known.get(thread_id)

    def thread_of(self, trace_id: str) -> str | None:
        return next((thread for thread, trace in tuple(self._known.items()) if trace == trace_id), None)


def thread_config(thread_id: str | None, config: Mapping[str, Any], user_id: str | int | None = None) -> RunnableConfig:
    """The program's config, with the thread in it, and the user unless it names one. Raises `ConfigError` for what is
    no thread."""
    configurable = {**(config.get("configurable") or {})}
    if thread_id is not None:
        if not isinstance(thread_id, str) or not thread_id:
            raise ConfigError("thread_id", f"is a {type(thread_id).__name__}, and must be a text that is not empty")
        configurable["thread_id"] = thread_id
    if user_id is not None:
        configurable.setdefault("user_id", str(user_id))
    return RunnableConfig(**{**config, "configurable": configurable})  # type: ignore[typeddict-item]


def watched(
    config: RunnableConfig,
    trace_id: str,
    handlers: Sequence[BaseCallbackHandler],
    *,
    user_id: str | int | None = None,
    session_id: str | None = None,
    tags: Sequence[str] | None = None,
) -> RunnableConfig:
    """`config` with the handlers, and with what they call the run by."""
    given = config.get("metadata") or {}
    thread_id = config.get("configurable", {}).get("thread_id")
    told = {
        "langfuse_session_id": session_id
        or given.get("langfuse_session_id")
        or (str(thread_id) if thread_id else None),
        "langfuse_user_id": None if user_id is None else str(user_id),  # Langfuse passes over what is no text
        "langfuse_tags": ([tags] if isinstance(tags, str) else list(tags or ())) or None,
        TRACE_ID: trace_id,
    }
    metadata = {**given, **{name: said for name, said in told.items() if said is not None}}
    return RunnableConfig(**{**config, "metadata": metadata, "callbacks": _added(config.get("callbacks"), handlers)})


def _added(callbacks: Any, handlers: Sequence[BaseCallbackHandler]) -> Any:
    """The user's callbacks and ours: a list, or the manager that the run is part of."""
    if callbacks is None or isinstance(callbacks, list | tuple):
        given = list(callbacks or ())
        return [*given, *(each for each in handlers if each not in given)]
    manager = callbacks.copy()
    for handler in handlers:
        manager.add_handler(handler)
    return manager


def open_trace(graph: Graph | None, config: RunnableConfig) -> str:
    """The trace that the thread's open work belongs to; a new one when it has none, or does not exist."""
    if graph is None or not _has_thread(config):
        return new_trace()
    try:
        return last_trace(graph, config, unfinished=True) or new_trace()
    except Exception as error:
        return _unknown(error)


async def aopen_trace(graph: Graph | None, config: RunnableConfig) -> str:
    if graph is None or not _has_thread(config):
        return new_trace()

    async def read(asked: Sequence[RunnableConfig]) -> list[Any]:
        return [await graph.aget_state(each) for each in asked]

    try:
        return await arun(_traced(config, unfinished=True), read) or new_trace()
    except Exception as error:
        return _unknown(error)


def last_trace(graph: Graph, config: RunnableConfig, *, unfinished: bool) -> str | None:
    """The trace that a thread's newest run belongs to; `unfinished`: only if it is not at its end."""
    return run(_traced(config, unfinished=unfinished), lambda asked: [graph.get_state(each) for each in asked])


def _traced(config: RunnableConfig, *, unfinished: bool) -> Flow[RunnableConfig, Any, str | None]:
    """Read the newest checkpoint, and before `update_state`'s own, which have no run's metadata, the one they edit."""
    for _ in range(EDITS):
        (snapshot,) = yield [config]
        if unfinished and not (snapshot.next or getattr(snapshot, "interrupts", ())):
            return None
        metadata = snapshot.metadata or {}
        if TRACE_ID in metadata or metadata.get("source") not in EDITED or not snapshot.parent_config:
            found = metadata.get(TRACE_ID)
            return found if is_trace(found) else None
        config = _at(snapshot.parent_config, config)
    return None


def _at(checkpoint: RunnableConfig, config: RunnableConfig) -> RunnableConfig:
    """`config`, of this checkpoint."""
    place = {**config.get("configurable", {}), **checkpoint.get("configurable", {})}
    return RunnableConfig(**{**config, "configurable": place})


def is_trace(text: object) -> bool:
    """Whether `text` can be a trace id: 32 hexadecimal digits, not all of them 0."""
    return (
        isinstance(text, str) and len(text) == 32 and not set(text) - set("0123456789abcdef") and text.strip("0") != ""
    )


def parent_of(trace_id: str) -> str:
    """The span that the root of a chosen trace is below. A client takes a trace's id with a parent alone; there is no
    such span, and whoever shows the trace leaves it out."""
    return trace_id[:16] if trace_id[:16].strip("0") else trace_id[16:]


def new_trace() -> str:
    return secrets.token_hex(16)


def _has_thread(config: RunnableConfig) -> bool:
    return bool(config.get("configurable", {}).get("thread_id"))


def _unknown(error: Exception) -> str:
    _log.debug("the thread's trace is not known, a new one begins: %s", type(error).__name__)
    return new_trace()
