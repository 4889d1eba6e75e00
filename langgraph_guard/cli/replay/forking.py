"""The step that a replay begins with, and the copy of the thread that it runs in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.errors import InvalidUpdateError
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from langgraph_guard.cli.replay.changing import changes
from langgraph_guard.errors import ConfigError


@dataclass(frozen=True)
class Start:
    """Where a replay begins: `at` is the checkpoint before its first step. `history`: the newest first."""

    thread: str
    at: StateSnapshot
    history: Sequence[StateSnapshot]


@dataclass(frozen=True)
class Fork:
    """The copy: a thread of its own, and the config that runs it on from the checkpoint."""

    start: Start
    thread: str
    config: RunnableConfig
    changed: Mapping[str, Any]


def chosen(graph: Pregel[Any, Any, Any, Any], thread: str, step: int | None) -> Start:
    """The checkpoint before step `step`; `None`: before the newest that failed. Raises `ConfigError` without one."""
    history = list(graph.get_state_history({"configurable": {"thread_id": thread}}))
    if not history:
        raise ConfigError("thread", "there is no such thread")
    at = _failed(history) if step is None else _before(history, step)
    return Start(thread, at, history)


def _before(history: Sequence[StateSnapshot], step: int) -> StateSnapshot:
    for each in history:
        if each.next and (each.metadata or {}).get("step") == step - 1:
            return each
    steps = sorted({(each.metadata or {}).get("step", 0) + 1 for each in history if each.next})
    if steps in ([], [0]) and len(history) > 1:
        raise ConfigError("graph", "knows none of the thread's steps: was it another graph that ran it?")
    has = f"it has {steps[0]} to {steps[-1]}" if steps else "it has ended before its first"
    raise ConfigError("step", f"the thread has no step {step}; {has}")


def _failed(history: Sequence[StateSnapshot]) -> StateSnapshot:
    for after, each in zip([None, *history], history, strict=False):
        if any(task.error for task in each.tasks) or (after is not None and _has_failed_tool(each, after)):
            return each
    raise ConfigError("failed", "no step of the thread raised, and no tool of it failed: choose one with --step")


def _has_failed_tool(before: StateSnapshot, after: StateSnapshot) -> bool:
    known = {each.tool_call_id for each in _results(before)}
    return any(each.status == "error" and each.tool_call_id not in known for each in _results(after))


def _results(snapshot: StateSnapshot) -> list[ToolMessage]:
    return [each for each in messages_in(snapshot) if isinstance(each, ToolMessage)]


def messages_in(snapshot: StateSnapshot) -> list[BaseMessage]:
    """The messages of a state, under whatever key it keeps them."""
    values = snapshot.values.values() if isinstance(snapshot.values, Mapping) else [snapshot.values]
    return [each for value in values for each in _messages(value)]


def stored(saver: BaseCheckpointSaver[Any], thread: str) -> list[CheckpointTuple]:
    """What the saver has of a thread, subgraphs included, the newest first."""
    return list(saver.list({"configurable": {"thread_id": thread}}))


def messages_of(history: Sequence[StateSnapshot], found: Sequence[CheckpointTuple]) -> list[list[BaseMessage]]:
    """The messages of each checkpoint, the oldest first, and behind them what its tasks said: a step that did not come
    to its end left that nowhere else. `history` and `found`: the newest first."""
    states = {_id(each.config): messages_in(each) for each in history}
    return [[*states.get(_id(each.config), _kept(each)), *_said(each)] for each in reversed(found)]


def _kept(found: CheckpointTuple) -> list[BaseMessage]:
    """The messages of a subgraph, which has a state of its own."""
    return [each for value in found.checkpoint["channel_values"].values() for each in _messages(value)]


def _said(found: CheckpointTuple) -> list[BaseMessage]:
    return [each for _, _, value in found.pending_writes or () for each in _messages(value)]


def _messages(value: Any) -> list[BaseMessage]:
    parts = value if isinstance(value, list) else [value]
    return [each for each in parts if isinstance(each, BaseMessage)]


def _id(config: Any) -> str:
    return str(((config or {}).get("configurable") or {}).get("checkpoint_id"))


def saver_of(graph: Pregel[Any, Any, Any, Any]) -> BaseCheckpointSaver[Any]:
    saver = graph.checkpointer
    assert isinstance(saver, BaseCheckpointSaver), "`loaded` has seen to it"
    return saver


def fork(graph: Pregel[Any, Any, Any, Any], start: Start, said: Sequence[tuple[str, Any]] = ()) -> Fork:
    """Copy the thread, and change the copy's state. Raises `ConfigError` for what cannot be written into it: then
    there is no copy."""
    changed = changes(graph, start.at, said)
    thread = f"{start.thread}-replay-{secrets.token_hex(4)}"
    copy_thread(saver_of(graph), start.thread, thread)
    id = (start.at.config.get("configurable") or {})["checkpoint_id"]
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": id}}
    if changed:
        try:
            config = graph.update_state(config, changed)
        except Exception as error:
            saver_of(graph).delete_thread(thread)
            raise ConfigError("set", _refused(changed, error)) from error
    return Fork(start, thread, config, changed)


def _refused(changed: Mapping[str, Any], error: Exception) -> str:
    if isinstance(error, InvalidUpdateError):
        return "cannot be written before this step: more than one node led to it"
    return f"{' and '.join(changed)} cannot be given this value: {type(error).__name__}"


def copy_thread(saver: BaseCheckpointSaver[Any], source: str, target: str) -> None:
    """By the saver's own means where it has them. Others are copied checkpoint by checkpoint, the oldest first."""
    if type(saver).copy_thread is not BaseCheckpointSaver.copy_thread:
        saver.copy_thread(source, target)
        return
    for each in reversed(stored(saver, source)):
        _put(saver, each, target)


def _put(saver: BaseCheckpointSaver[Any], found: CheckpointTuple, target: str) -> None:
    namespace = found.config.get("configurable", {}).get("checkpoint_ns", "")
    parent = (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    before: RunnableConfig = {
        "configurable": {
            "thread_id": target,
            "checkpoint_ns": namespace,
            **({"checkpoint_id": parent} if parent else {}),
        }
    }
    here = saver.put(before, found.checkpoint, found.metadata, found.checkpoint["channel_versions"])
    for task, writes in groupby(found.pending_writes or (), key=lambda write: write[0]):
        saver.put_writes(here, [(channel, value) for _, channel, value in writes], task)
