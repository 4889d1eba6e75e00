"""What a person thought of an answer: a score on its trace at Langfuse, and a row in the step log."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import runs
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.setting_up import current

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")
COMMENT: Final = 2_000
LARGEST: Final = sys.float_info.max

_log = logging.getLogger(__name__)


def feedback(
    target: str | Mapping[str, Any],
    score: bool | float | str,
    comment: str | None = None,
    *,
    name: str = "user-feedback",
    graph: runs.Graph | None = None,
) -> bool:
    """Note a verdict on an answer; whether its trace was found. Comments and words are redacted.

    `target`: a thread's id, a trace id, or the config that the run was called with. Of a thread, its last trace in this
    process, or, with `graph`, the one that its newest checkpoint was written under; what no thread is called is taken
    for a trace id, if it looks like one and there is no `graph` to ask. `score`: a number, yes or no, or a word. Raises
    `ConfigError` for a score or a name that cannot be sent.
    """
    _check(score, name)
    seen = current()
    thread_id, trace_id = _found(target, graph, seen)
    if seen is None or trace_id is None:
        return False
    said = None if comment is None else seen.redactor.clip(str(comment), COMMENT)
    value = seen.redactor.clip(score, 200) if isinstance(score, str) else score
    _score(seen, trace_id, name, value, said)
    _row(seen, thread_id, trace_id, name, value, said)
    return True


def _check(score: object, name: object) -> None:
    if not isinstance(score, bool | int | float | str) or score == "":
        raise ConfigError("score", f"is a {type(score).__name__}, and must be a number, a bool or a word")
    if not isinstance(score, str) and not abs(score) <= LARGEST:
        raise ConfigError("score", "must be a number that is finite, and not larger than a float can be")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError("name", "must be a short name of letters, digits, `_`, `.` and `-`")


def _found(
    target: str | Mapping[str, Any], graph: runs.Graph | None, seen: Observability | None
) -> tuple[str | None, str | None]:
    """The thread and the trace that are meant, as far as they are known."""
    if isinstance(target, Mapping):
        thread_id = (target.get("configurable") or {}).get("thread_id")
        trace_id = (target.get("metadata") or {}).get(runs.TRACE_ID)
        if trace_id is not None or not thread_id:
            return thread_id, trace_id if runs.is_trace(trace_id) else None
        target = str(thread_id)
    trace_id = _last(target, graph, seen)
    if (
        trace_id is None and graph is None and runs.is_trace(target)
    ):  # Many call their threads by 32 hexadecimal digits too.
        return seen.traces.thread_of(target) if seen is not None else None, target
    return target, trace_id


def _last(thread_id: str, graph: runs.Graph | None, seen: Observability | None) -> str | None:
    if graph is not None:
        return _kept(graph, thread_id)
    return seen.traces.of(thread_id) if seen is not None else None


def _kept(graph: runs.Graph, thread_id: str) -> str | None:
    try:
        return runs.last_trace(graph, {"configurable": {"thread_id": thread_id}}, unfinished=False)
    except Exception as error:
        _log.warning("the thread's trace is not known: %s", type(error).__name__)
        return None


def _score(seen: Observability, trace_id: str, name: str, score: bool | float | str, comment: str | None) -> None:
    if seen.client is None:
        return
    kind: Literal["BOOLEAN", "NUMERIC", "CATEGORICAL"] = "CATEGORICAL"
    if not isinstance(score, str):
        kind = "BOOLEAN" if isinstance(score, bool) else "NUMERIC"
    value: Any = score if isinstance(score, str) else float(score)
    try:
        seen.client.create_score(name=name, value=value, trace_id=trace_id, data_type=kind, comment=comment)
    except Exception as error:
        _log.warning("a score is not sent: %s", type(error).__name__)


def _row(
    seen: Observability,
    thread_id: str | None,
    trace_id: str,
    name: str,
    score: bool | float | str,
    comment: str | None,
) -> None:
    if seen.recorder is None:
        return
    try:
        seen.recorder.add(_step(thread_id, trace_id, name, score, comment))
    except Exception as error:
        _log.warning("a verdict is not in the step log: %s", type(error).__name__)


def _step(thread_id: str | None, trace_id: str, name: str, score: bool | float | str, comment: str | None) -> Any:
    from langgraph_guard.observability.steps import Step

    return Step(
        ts=time.time(),
        trace_id=trace_id,
        thread_id=thread_id,
        id=uuid.uuid4().hex,
        kind="feedback",
        name=name,
        result=comment,
        attrs={"score": score},
    )
