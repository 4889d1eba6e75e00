"""`mode="view"`: the history stays as it is, and a record of places says how a model is to see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, ToolMessage, message_to_dict, messages_from_dict

from langgraph_guard.nodes.summarization.draft import Draft


class Seen(NamedTuple):
    """The messages of a view, and the places in the history that they stand at."""

    messages: list[BaseMessage]
    places: Sequence[int]


def seen(record: Mapping[str, Any] | None, history: list[BaseMessage]) -> Seen:
    """`history` as `record` wants it seen. A record of another history says nothing."""
    if record is None or not stands(record, history):
        return Seen(history, range(len(history)))
    hidden = {at for start, end in record.get("hidden") or () for at in range(start, end)}
    changed = {int(at): kept for at, kept in (record.get("changed") or {}).items()}
    places = [at for at in range(len(history)) if at not in hidden]
    return Seen([_read(changed[at]) if at in changed else history[at] for at in places], places)


def stands(record: Mapping[str, Any] | None, history: Sequence[BaseMessage]) -> bool:
    upto = (record or {}).get("upto") or 0
    return bool(record) and 0 < upto <= len(history) and mark(history, upto) == (record or {}).get("mark")


def mark(history: Sequence[BaseMessage], upto: int) -> str:
    """What tells one history from another: how far it was seen, and what stands at its ends."""
    first, last = history[0], history[upto - 1]
    return f"{_name(first)}|{upto}|{_name(last)}"


def recorded(draft: Draft, before: Seen, known: Mapping[str, Any] | None, history: Sequence[BaseMessage]) -> Any:
    """The record after a draft of what was seen. What it says of places that are hidden now is forgotten."""
    alive = {before.places[at] for at in draft.alive()}
    kept = (known or {}).get("changed") or {} if stands(known, history) else {}
    changed = {at: value for at, value in kept.items() if int(at) in alive}
    for at in draft.changed():
        if (message := draft.messages[at]) is not None:
            changed[str(before.places[at])] = _written(message)
    upto = len(history)
    return {
        "count": ((known or {}).get("count") or 0) + 1,
        "upto": upto,
        "mark": mark(history, upto),
        "hidden": _runs([at for at in range(upto) if at not in alive]),
        "changed": changed,
    }


def _runs(places: Sequence[int]) -> list[list[int]]:
    """Places as ranges: there are few, however long the history."""
    runs: list[list[int]] = []
    for at in places:
        if runs and runs[-1][1] == at:
            runs[-1][1] = at + 1
        else:
            runs.append([at, at + 1])
    return runs


def _name(message: BaseMessage) -> str:
    return message.id or f"{message.type} of {len(message.text)}"


def _written(message: BaseMessage) -> dict[str, Any]:
    """A message as builtins. What a tool gave back beside its words is for programs, and stays in the history."""
    plain = message.model_copy(update={"artifact": None}) if isinstance(message, ToolMessage) else message
    return message_to_dict(plain)


def _read(kept: Mapping[str, Any]) -> BaseMessage:
    return messages_from_dict([dict(kept)])[0]
