"""What a reader can know of states that it does not see yet. Pure.

Workers KV shows a write elsewhere after up to a minute or more, and says nothing of what it does not show. But ids are
times, writes name their checkpoint, and whoever wrote last can say so by a token:

    token = saver.token("thread-1")                                           # in the process that wrote
    graph.invoke(…, {"configurable": {"thread_id": "thread-1", "kv_at_least": token}})     # in another

A token names the newest checkpoint of each namespace that its process wrote lately, and how many calls wrote to that.
A checkpoint's id is a token, too, for the root graph's namespace.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from langgraph_guard.checkpoint.cloudflare.layout import Group, Place
from langgraph_guard.checkpoint.cloudflare.names import AN_HOUR, part
from langgraph_guard.checkpoint.core import ids
from langgraph_guard.errors import ConfigError

AT_LEAST: Final = "kv_at_least"
"""The key of `configurable` that a token is passed by."""

_PREFIX: Final = "kv1."

_EPOCH: Final = 0x01B21DD213814000
"""Of UUID times, which count from 1582: 1970 in 100 ns."""

UNLISTED: Final = "a checkpoint that was made a moment ago is not listed"
BEHIND: Final = "kv_at_least names a newer checkpoint than is listed"
FEWER: Final = "kv_at_least names more writes of the latest checkpoint than are listed"
EARLY: Final = "writes are listed whose checkpoint is not"
VALUELESS: Final = "a key is listed and its value is not there"


class Mark(NamedTuple):
    """The newest checkpoint of a namespace, and how many calls wrote to it."""

    id: str
    calls: int = 0


def token(places: Iterable[Place]) -> str:
    """For the keys of a thread that this process wrote lately; empty for none."""
    marks: dict[str, Mark] = {}
    found = [*places]
    for place in found:
        mark = marks.get(place.space.ns)
        if place.is_head and (mark is None or place.id > mark.id):
            marks[place.space.ns] = Mark(place.id)
    for place in found:
        mark = marks.get(place.space.ns)
        if not place.is_head and mark is not None and place.id == mark.id:
            marks[place.space.ns] = Mark(mark.id, mark.calls + 1)
    return _PREFIX + urlsafe_b64encode(json.dumps(marks).encode()).decode() if marks else ""


def at_least(config: Mapping[str, Any] | None, ns: str) -> Mark | None:
    """What a config says that a namespace must have."""
    said = (config or {}).get("configurable", {}).get(AT_LEAST)
    if said is None or said == "":
        return None
    if not isinstance(said, str):
        raise ConfigError(f"configurable.{AT_LEAST}", f"is a {type(said).__name__}; a token or a checkpoint id is due")
    if not said.startswith(_PREFIX):
        return Mark(ids.check_checkpoint_id(said, f"configurable.{AT_LEAST}")) if ns == "" else None
    try:
        marks = json.loads(urlsafe_b64decode(said[len(_PREFIX) :]))
        mark = marks.get(part(ns))
        return None if mark is None else Mark(str(mark[0]), int(mark[1]))
    except (ValueError, AttributeError, TypeError, IndexError, KeyError):
        raise ConfigError(f"configurable.{AT_LEAST}", "is not a token that `token` gave") from None


def lag_behind(mark: Mark | None, group: Group | None) -> str | None:
    """Why the newest checkpoint that is listed cannot be the one that a token speaks of."""
    if mark is None:
        return None
    if group is None or group.id < mark.id:
        return BEHIND
    return FEWER if group.id == mark.id and len(group.writes) < mark.calls else None


def made_at(id: str) -> float | None:
    """When a checkpoint id was made, in seconds since 1970; `None` for an id that is no UUID of version 6."""
    try:
        found = UUID(id)
    except ValueError:
        return None
    if found.version != 6:
        return None
    ticks = (found.int >> 80) << 12 | (found.int >> 64) & 0x0FFF
    return (ticks - _EPOCH) / 10_000_000


def overtaken(id: str, parent: str | None, now: float) -> float:
    """Seconds, if they are more than an hour, by which a checkpoint that is made now is older than its parent; or 0.

    It would stand behind its parent for as long, and every reader would take the parent for the latest. A checkpoint
    of another time is a copy, and not of our making.
    """
    made, before = made_at(id), None if parent is None else made_at(parent)
    if made is None or before is None or abs(now - made) > AN_HOUR:
        return 0.0
    return before - made if before - made > AN_HOUR else 0.0


def pauses() -> Iterable[float]:
    """Between looks: each is a list, which is billed."""
    pause = 0.25
    while True:
        yield pause
        pause = min(pause * 2, 2.0)


def latest_moment(places: Sequence[Place]) -> float:
    return max((place.moment for place in places), default=float("-inf"))
