"""How threads lie in Workers KV: the keys of the format, version 1. What their values hold is in `records.py`.

    {prefix}1/{tenant}/t/{thread}/{ns}/{~id}/c{~stamp}{n}   a checkpoint, whole: one bundled value
    {prefix}1/{tenant}/t/{thread}/{ns}/{~id}/w{stamp}       the writes of one call
    {prefix}1/{tenant}/r/{run}/{thread}/{ns}                where a run wrote; no value

Every key is written once, so no reader sees an older value of it, and no write waits for another (one write per second
and key is what Workers KV allows). A checkpoint that is put again gets another key: the first listed is the last put.
`n` is 9, or 8 when pruning took the parent away. `~` is the complement: newer ids and stamps sort first. All keys of a
checkpoint stand beside each other, and one list with one prefix finds the newest with its writes.

The metadata of a key (1,024 bytes) carries what is asked without reading values:

    s     characters of the value
    r     the run's part of the key, if there is a run
    d     1, if the checkpoint counts delta channels
    m, o  scalars of the checkpoint's metadata, and the names of all else in it; neither when values are encrypted,
          and only source and step if there is no room for more
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_guard.checkpoint.cloudflare.names import STAMP, flipped, id_of, moment_of, newest_first, part
from langgraph_guard.checkpoint.cloudflare.transport import Listed
from langgraph_guard.errors import ConfigError, CorruptCheckpoint

VERSION: Final = 1

LONGEST_KEY: Final = 512
"""Bytes."""

MOST_METADATA: Final = 1_000
"""Bytes of a key's metadata, serialized. The limit is 1,024, and a copy's size may have a digit more."""

WHOLE: Final = "9"
WITHOUT_PARENT: Final = "8"

_EXACT: Final = 2**53
"""Integers that are still themselves after JavaScript read them."""


@dataclass(frozen=True, slots=True)
class Space:
    """A namespace of a thread, as parts of keys."""

    thread: str
    ns: str

    @classmethod
    def of(cls, thread: str, ns: str) -> Space:
        return cls(part(thread), part(ns))


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The keys of one tenant."""

    prefix: str = "lgg"
    tenant: str = ""

    @property
    def root(self) -> str:
        return f"{self.prefix}{VERSION}/{part(self.tenant)}/"

    @property
    def threads(self) -> str:
        return f"{self.root}t/"

    def thread(self, thread: str) -> str:
        return f"{self.threads}{thread}/"

    def space(self, space: Space) -> str:
        return f"{self.threads}{space.thread}/{space.ns}/"

    def group(self, space: Space, id: str) -> str:
        """What the keys of one checkpoint begin with. An id that leaves no room for the rest is refused."""
        group = f"{self.space(space)}{newest_first(id)}/"
        if (size := len(group) + 1 + STAMP + 1) > LONGEST_KEY:
            raise ConfigError("checkpoint_id", f"makes a key of {size} bytes; the limit of Workers KV is {LONGEST_KEY}")
        return group

    def head(self, space: Space, id: str, stamp: str) -> str:
        return f"{self.group(space, id)}c{flipped(stamp)}{WHOLE}"

    def write(self, space: Space, id: str, stamp: str) -> str:
        return f"{self.group(space, id)}w{stamp}"

    def run(self, run: str) -> str:
        return f"{self.root}r/{run}/"

    def indexed(self, run: str, space: Space) -> str:
        return f"{self.run(run)}{space.thread}/{space.ns}"

    def place_of(self, key: str) -> Place:
        """What a key of a thread says."""
        parts = key.removeprefix(self.threads).split("/")
        if not key.startswith(self.threads) or len(parts) != 4 or parts[3][:1] not in ("c", "w"):
            raise CorruptCheckpoint("a key", "has a form that this release does not know")
        thread, ns, id, rest = parts
        return Place(Space(thread, ns), id_of(id), rest)

    def indexed_space(self, key: str, run: str) -> Space:
        """The namespace that a key of a run's index names."""
        thread, _, ns = key.removeprefix(self.run(run)).partition("/")
        return Space(thread, ns)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands: `rest` is `c…` or `w…`."""

    space: Space
    id: str
    rest: str

    @property
    def is_head(self) -> bool:
        return self.rest.startswith("c")

    @property
    def moment(self) -> float:
        """When it was written."""
        stamp = self.rest[1 : 1 + STAMP]
        return moment_of(flipped(stamp) if self.is_head else stamp)


def without_parent(head: str) -> str:
    """The key of the same checkpoint, once pruning took its parent: listed before it, and behind any later put."""
    return head[:-1] + WITHOUT_PARENT


@dataclass(slots=True)
class Group:
    """A checkpoint and its writes, as they are listed; `heads` begins with the last put."""

    space: Space
    id: str
    heads: list[Listed] = field(default_factory=list)
    writes: list[Listed] = field(default_factory=list)

    @property
    def head(self) -> Listed:
        return self.heads[0]

    @property
    def keys(self) -> list[str]:
        return [each.name for each in (*self.heads, *self.writes)]

    @property
    def needed(self) -> list[Listed]:
        """Those whose values make the checkpoint."""
        return [*self.heads[:1], *self.writes]


# Metadata of keys


def size_of(listed: Listed) -> int:
    found = _told(listed).get("s")
    return found if isinstance(found, int) else 0


def run_of(listed: Listed) -> str | None:
    """The run's part of a checkpoint's key metadata."""
    found = _told(listed).get("r")
    return found if isinstance(found, str) else None


def counts_deltas(listed: Listed) -> bool:
    return bool(_told(listed).get("d"))


def surely_not(listed: Listed, filter: Mapping[str, Any]) -> bool:
    """Whether a filter leaves a checkpoint out, as far as its key tells. What it lets through is to be read."""
    told = _told(listed)
    facts, others = told.get("m"), told.get("o")
    if not isinstance(facts, dict):
        return False
    absent = set(filter).difference(facts, others) if isinstance(others, list) else set()
    return bool(absent) or any(facts[name] != value for name, value in filter.items() if name in facts)


def head_metadata(size: int, run: str | None, metadata: Mapping[str, Any], *, plain: bool) -> dict[str, Any]:
    """The key metadata of a checkpoint. `plain`: whether its own metadata may be seen there."""
    told: dict[str, Any] = {"s": size}
    if run is not None:
        told["r"] = part(run)
    if metadata.get("counters_since_delta_snapshot"):
        told["d"] = 1
    if not plain:
        return told
    facts = {name: value for name, value in metadata.items() if _is_fact(value)}
    full = {**told, "m": facts, "o": [name for name in metadata if name not in facts]}
    if len(json.dumps(full)) <= MOST_METADATA:
        return full
    core = {**told, "m": {name: facts[name] for name in ("source", "step") if name in facts}}
    return core if len(json.dumps(core)) <= MOST_METADATA else told


def _is_fact(value: Any) -> bool:
    """Whether JSON gives it back as it is, whoever reads and writes it on the way."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < _EXACT
    return value is None or isinstance(value, str)


def _told(listed: Listed) -> Mapping[str, Any]:
    return listed.metadata if isinstance(listed.metadata, dict) else {}
