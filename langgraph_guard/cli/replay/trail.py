"""What a thread did after a checkpoint, step by step, in words that can be compared: without ids and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import StateSnapshot

OURS: Final = "guard_"
"""Keys that hold the guards' own figures: they differ in each run."""


@dataclass(frozen=True)
class Stage:
    """A step: the nodes that ran, and what they changed, as lines."""

    step: int
    nodes: tuple[str, ...]
    lines: tuple[str, ...]


def trail(history: Sequence[StateSnapshot], start: StateSnapshot) -> list[Stage]:
    """The steps from `start` to the end of that run, as it last went. `history`: the newest first."""
    by_id = {_id(each.config): each for each in history}
    for leaf in history:
        line = _line(leaf, by_id, _id(start.config))
        if line:
            ran = _one_run(line)
            stages = [_stage(before, after) for before, after in pairwise(ran) if not _is_copy(after)]
            return [*stages, *_end(ran[-1])]
    return []


def departure(then: Sequence[Stage], now: Sequence[Stage]) -> int | None:
    """The place of the first stage that differs; `None` when none does."""
    for at, (old, new) in enumerate(zip(then, now, strict=False)):
        if (old.nodes, old.lines) != (new.nodes, new.lines):
            return at
    return None if len(then) == len(now) else min(len(then), len(now))


def _line(leaf: StateSnapshot, by_id: Mapping[str, StateSnapshot], start: str) -> list[StateSnapshot]:
    """The checkpoints from `start` to `leaf`; none when it does not come of it."""
    line: list[StateSnapshot] = []
    seen: set[str] = set()
    each: StateSnapshot | None = leaf
    while each is not None and _id(each.config) not in seen:
        line.append(each)
        seen.add(_id(each.config))
        if _id(each.config) == start:
            return line[::-1]
        each = by_id.get(_id(each.parent_config))
    return []


def _one_run(line: Sequence[StateSnapshot]) -> Sequence[StateSnapshot]:
    """Without the turns that came after it: a replay does not say what people said next."""
    end = next((at for at, each in enumerate(line) if at and not each.next), len(line) - 1)
    return line[: end + 1]


def _is_copy(snapshot: StateSnapshot) -> bool:
    """Whether it is the mark of a fork and no step: nothing ran."""
    return (snapshot.metadata or {}).get("source") == "fork"


def _stage(before: StateSnapshot, after: StateSnapshot) -> Stage:
    return Stage(_step(before) + 1, tuple(sorted(set(before.next))), tuple(_changes(before.values, after.values)))


def _end(leaf: StateSnapshot) -> list[Stage]:
    """A last step that did not come to its end: it raised, or it waits for somebody."""
    failed = [f"{task.name} failed: {_first_line(task.error)}" for task in leaf.tasks if task.error]
    waits = [f"{task.name} waits: {_json(without_ids(each.value))}" for task in leaf.tasks for each in task.interrupts]
    lines = (*failed, *waits)
    return [Stage(_step(leaf) + 1, tuple(sorted(set(leaf.next))), lines)] if lines else []


def _changes(before: Any, after: Any) -> list[str]:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [] if before == after else [_json(after)]
    lines: list[str] = []
    for key in sorted(set(before) | set(after)):
        if key.startswith(OURS):
            continue
        old, new = before.get(key), after.get(key)
        if _is_messages(new) or _is_messages(old):
            lines += _new_messages(old or [], new or [])
        elif old != new:
            lines.append(f"{key} = {_json(new)}")
    return lines


def _new_messages(old: Sequence[BaseMessage], new: Sequence[BaseMessage]) -> list[str]:
    known = {(each.id, said(each)) for each in old}
    lines = [said(each) for each in new if (each.id, said(each)) not in known]
    gone = len({each.id for each in old} - {each.id for each in new})
    return [*lines, *([f"{gone} messages removed"] if gone else [])]


def said(message: BaseMessage) -> str:
    """A message as a line: who, what, and which tools it calls with what."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    failed = " (error)" if isinstance(message, ToolMessage) and message.status == "error" else ""
    asked = [f"→ {call['name']}({_json(call['args'])})" for call in calls]
    return f"{message.type}{failed}: " + " ".join(each for each in (message.text, *asked) if each)


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, BaseMessage) for each in value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=lambda each: f"<{type(each).__name__}>")


def without_ids(value: Any) -> Any:
    """A question as it is put: ids of calls and of approvals are new in each run."""
    if isinstance(value, Mapping):
        return {
            name: without_ids(each)
            for name, each in value.items()
            if not str(name).endswith(("_id", "_ids")) and name != "id"
        }
    return [without_ids(each) for each in value] if isinstance(value, list | tuple) else value


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0]


def _id(config: Any) -> str:
    return str(((config or {}).get("configurable") or {}).get("checkpoint_id"))


def _step(snapshot: StateSnapshot) -> int:
    return int((snapshot.metadata or {}).get("step", 0))
