"""What version 1 of the format wrote: every kind of key and value. `python -m tests.checkpoint.cloudflare.golden` shows
what is written today; `golden_v1.json` is never written again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv_front import KVFront

FILE: Final = Path(__file__).parent / "golden_v1.json"
LONG: Final = "n" * 200
SEAL: Final = Seal(bytes(range(1, 256, 8)), key_id="golden")

Stored = dict[str, tuple[str, Any]]


class Counted:
    """Stamps of a test: 1, 2, 3 …"""

    def __init__(self) -> None:
        self._count = 0

    def saw(self, moment: float) -> None:
        """Nothing else is written."""

    def next(self) -> str:
        self._count += 1
        return f"{self._count:022x}"


def write(saver: BaseCheckpointSaver[str]) -> None:
    """Two threads, namespaces with and without a digest, runs, writes, a put again, and one of an odd id."""
    values = {"n": 1, "text": "ü", "bytes": b"\x00", "none": None, "list": [{"a": (1, 2)}, "x" * 600]}
    saver.put(at(), checkpoint(uid(1), **values), about(1, run_id="run/1", user="u"), {})
    saver.put_writes(at(id=uid(1)), [("a", None), ("__interrupt__", ["?"])], task(1), "~__pregel_pull, a")
    saver.put(at(id=uid(1)), checkpoint(uid(2), n=2), about(2, counters_since_delta_snapshot={"d": (1, 1)}), {})
    saver.put(at(id=uid(1)), checkpoint(uid(2), again=3), about(2), {})
    saver.put(at("user:7/é", LONG), checkpoint("an id of one's own"), about(1, big="x" * 2_000), {})


def savers(front: KVFront) -> Iterator[CloudflareKVSaver]:
    """As it comes, and sealed."""
    yield fronts.saver(front)
    yield fronts.saver(front, prefix="sealed", tenant="tenant", compress=True, seal=SEAL)


def written() -> Stored:
    """What is written today."""
    front = fronts.front()
    for saver in savers(front):
        object.__setattr__(saver._store, "stamps", Counted())
        write(saver)
    transport = fronts.transport(front)
    return {each.name: (_value(front, each.name), each.metadata) for each in transport.list_keys("", 1_000, "").keys}


def _value(front: KVFront, key: str) -> str:
    found = fronts.transport(front).get_one(key)
    assert found is not None
    return found


def stored() -> Stored:
    """What was written then."""
    told = json.loads(FILE.read_text())
    return {key: (value, metadata) for key, (value, metadata) in told.items()}


def restored() -> KVFront:
    """A namespace in which it is."""
    front = fronts.front()
    fronts.transport(front).put_many([Pair(key, value, metadata) for key, (value, metadata) in stored().items()])
    return front


if __name__ == "__main__":
    print(json.dumps(written(), indent=1))
