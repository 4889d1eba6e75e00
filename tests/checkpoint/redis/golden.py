"""Threads as a release wrote them: what they are made of, key by key, and what was put to make them.

python -m tests.checkpoint.redis.golden      writes golden_v1.json, unless it is there: a format is written once
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, _DeltaSnapshot
from langgraph.types import Interrupt, Send

from langgraph_guard.checkpoint.core import seal
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver, copying, store
from langgraph_guard.testing.contracts.saver.harness import about, at, blank, task, uid
from tests.servers.redis import RedisServer

FILE = Path(__file__).with_name("golden_v1.json")
PREFIX = "golden"
KEY = bytes(range(100, 132))
ODD = "a:{b}*\x00\n/\u202e é"

Put = Callable[..., None]
"""`put(saver, thread)`."""


def put(
    saver: Any, thread: str, number: int, values: dict[str, Any], versions: dict[str, Any], new: str = "", **terms: Any
) -> None:
    """A checkpoint in which the channels of `new`, all without it, were written."""
    id = terms.get("id", uid(number))
    ns, parent = terms.get("ns", ""), terms.get("parent")
    checkpoint = {**blank(number), "id": id, "channel_values": values, "channel_versions": versions}
    written = {name: versions[name] for name in (new.split() if new else versions)}
    run = {"run_id": terms["run"]} if "run" in terms else {}
    saver.put(at(thread, ns, parent), checkpoint, about(number, **run), written)


def values(saver: Any, thread: str) -> None:
    """Small values, a blob, `None`, a value that stays, a value that goes; a run."""
    first = {"n": 1, "text": "kept", "none": None, "nested": {"a": [1, {"b": None}], "é": b"\x00\xff"}, "gone": 1}
    put(saver, thread, 1, first, dict.fromkeys(first, "1"), run="run-1")
    second = {"n": 2, "text": "kept", "none": None, "nested": first["nested"], "big": "x" * 1_000}
    versions = {**dict.fromkeys(first, "1"), "n": "2", "big": "1", "gone": "2"}
    put(saver, thread, 2, second, versions, "n big gone", parent=uid(1), run="run-2")


def lists(saver: Any, thread: str) -> None:
    """A list that grows, is edited, is cut, and forks."""
    elements: list[Any] = ["a", {"b": 1}, ["c"], None]
    put(saver, thread, 1, {"l": elements}, {"l": "1"})
    put(saver, thread, 2, {"l": [*elements, "d", "e"]}, {"l": "2"}, parent=uid(1))
    put(saver, thread, 3, {"l": ["a", "edited", *elements[2:], "d", "e"]}, {"l": "3"}, parent=uid(2))
    put(saver, thread, 4, {"l": ["e", "a"], "numbers": [1, 2, 3]}, {"l": "4", "numbers": "1"}, parent=uid(3))
    put(saver, thread, 5, {"l": [*elements, "other"]}, {"l": "2b"}, parent=uid(1))


def writes(saver: Any, thread: str) -> None:
    """Ordinary writes, special ones, a blob, task paths; and writes that came before their checkpoint."""
    saver.put_writes(at(thread, id=uid(1)), [("n", "early"), ("l", ["x"])], task(1), "~__pregel_pull, a")
    put(saver, thread, 1, {"n": 1}, {"n": "1"})
    saver.put_writes(at(thread, id=uid(1)), [("n", None), ("big", "y" * 5_000)], task(2), "~__pregel_pull, b")
    saver.put_writes(at(thread, id=uid(1)), [(ERROR, "first")], task(3))
    saver.put_writes(at(thread, id=uid(1)), [(ERROR, "last")], task(3))
    saver.put_writes(at(thread, id=uid(1)), [(INTERRUPT, ["sure?"]), (RESUME, "yes")], task(4))
    saver.put_writes(at(thread, id=uid(2)), [("n", "orphan")], task(5))


def subgraphs(saver: Any, thread: str) -> None:
    """Namespaces beside each other, one below another."""
    for number, ns in enumerate(("", "child:1", "child:1|grandchild:2", "child"), 1):
        put(saver, thread, number, {"l": ["shared", ns], "n": number}, {"l": "1", "n": "1"}, ns=ns)


def odd_ids(saver: Any, thread: str) -> None:
    """Whatever ids a caller may have."""
    put(saver, thread, 1, {"n": 1}, {"n": 1.5}, ns=ODD, id=f"1{ODD}", run=ODD)
    put(saver, thread, 2, {"n": 2}, {"n": 7}, ns=ODD, id=f"1{ODD}\x00", parent=f"1{ODD}")
    saver.put_writes(at(thread, ODD, f"1{ODD}"), [(ODD, ODD)], ODD, ODD)
    put(saver, thread, 3, {ODD: ["n"]}, {ODD: "1"}, ns="n" * 500)


def deltas(saver: Any, thread: str) -> None:
    """Snapshots of a delta channel, and what was written since."""
    put(saver, thread, 1, {"d": _DeltaSnapshot(["a", {"b": 1}])}, {"d": "1"})
    saver.put_writes(at(thread, id=uid(1)), [("d", ["c"])], task(1))
    put(saver, thread, 2, {}, {"d": "2"}, parent=uid(1))
    saver.put_writes(at(thread, id=uid(2)), [("d", ["d"])], task(2))
    put(saver, thread, 3, {}, {"d": "3"}, parent=uid(2))


def pruned(saver: Any, thread: str) -> None:
    """A log that does not begin at its beginning, with gaps; a path that was cut."""
    lists(saver, thread)
    saver.delete_for_runs(["no such run"])
    saver.prune([thread])


def copied(saver: Any, thread: str) -> None:
    """A thread with the elements of another one, which is gone."""
    writes(saver, "original")
    put(saver, "original", 2, {"l": ["a", "b"], "big": "x" * 1_000}, {"l": "1", "big": "1"}, run="run-1")
    saver.copy_thread("original", thread)
    saver.delete_thread("original")


def sealed(saver: Any, thread: str) -> None:
    """All of it, sealed."""
    values(saver, thread)
    put(saver, thread, 3, {"l": ["a", "b"]}, {"l": "1"}, parent=uid(2))
    saver.put_writes(at(thread, id=uid(3)), [("n", 1), ("big", "y" * 5_000)], task(1), "path")


def messages(saver: Any, thread: str) -> None:
    """What most threads hold."""
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    calls = [{"name": "search", "args": {"q": ["kites"]}, "id": "c1"}]
    said = [
        HumanMessage("hi", id="m1", additional_kwargs={"n": {"x": 1}}),
        AIMessage([{"type": "text", "text": "x"}], id="m2", tool_calls=calls, usage_metadata=usage),
        ToolMessage("found", tool_call_id="c1", id="m3", artifact={"raw": b"\x00"}),
    ]
    put(saver, thread, 1, {"messages": said}, {"messages": "1"})
    put(saver, thread, 2, {"messages": said[1:], "send": Send("n", {"a": 1})}, {"messages": "2", "send": "1"})
    task_writes = [("messages", RemoveMessage(id="m1")), (INTERRUPT, [Interrupt(value={"q": 1}, id="i1")])]
    saver.put_writes(at(thread, id=uid(2)), task_writes, task(1))


@dataclass(frozen=True)
class Golden:
    """One thread. `pinned`: what is written for it must not change either, byte by byte."""

    write: Callable[[Any, str], None]
    thread: str = "t"
    options: dict[str, Any] = field(default_factory=dict)
    pinned: bool = True

    def saver(self, server: RedisServer) -> RedisSaver:
        options = {**self.options, "seal": Seal(KEY, key_id="gold")} if self.options.get("seal") else self.options
        return RedisSaver.from_conn_string(server.url, prefix=PREFIX, **options)


THREADS = {
    "values": Golden(values),
    "lists": Golden(lists),
    "writes": Golden(writes),
    "subgraphs": Golden(subgraphs),
    "odd ids": Golden(odd_ids, ODD, {"tenant": ODD}),
    "long ids": Golden(values, "t" * 1_000, {"tenant": "acme"}),
    "deltas": Golden(deltas),
    "pruned": Golden(pruned),
    "copied": Golden(copied),
    "sealed": Golden(sealed, options={"seal": True}),
    "copied and sealed": Golden(copied, options={"seal": True}),
    # Not ours to pin: another zlib compresses otherwise, another LangChain gives messages another field.
    "compressed": Golden(values, options={"compress": True}, pinned=False),
    "compressed and sealed": Golden(sealed, options={"compress": True, "seal": True}, pinned=False),
    "messages": Golden(messages, pinned=False),
}


# Bytes


@contextmanager
def no_randomness() -> Iterator[None]:
    """Storage ids and nonces count."""
    count = iter(range(1, 10_000))

    def urandom(size: int) -> bytes:
        return next(count).to_bytes(size, "big")

    with pytest.MonkeyPatch.context() as patch:
        for module in (store, seal, copying):
            patch.setattr(module, "os", SimpleNamespace(urandom=urandom))
        yield


def written(server: RedisServer, golden: Golden) -> dict[str, Any]:
    """What this release stores for a thread, key by key."""
    empty(server)
    with no_randomness(), golden.saver(server) as saver:
        saver.setup()  # loads the scripts: a request that has to be sent again leaves elements that nobody names
        golden.write(saver, golden.thread)
    return {key.decode(): _contents(server, key) for key in sorted(server.tell("KEYS", f"{PREFIX}:*"))}


def restore(server: RedisServer, contents: dict[str, Any]) -> None:
    """Build the keys by plain commands."""
    empty(server)
    for key, held in contents.items():
        match held:
            case {"hash": fields}:
                server.tell("HSET", key, *(_bytes(each) for pair in fields for each in pair))
            case {"list": elements}:
                server.tell("RPUSH", key, *map(_bytes, elements))
            case {"sorted": members}:
                server.tell("ZADD", key, *(each for member in members for each in (0, _bytes(member))))
            case {"set": members}:
                server.tell("SADD", key, *map(_bytes, members))
            case _:
                raise ValueError(key)


def empty(server: RedisServer) -> None:
    """Remove all golden threads."""
    if keys := server.tell("KEYS", f"{PREFIX}:*"):
        server.tell("UNLINK", *keys)


def _contents(server: RedisServer, key: bytes) -> dict[str, Any]:
    kind = server.tell("TYPE", key).decode()
    if kind == "hash":
        held = server.tell("HGETALL", key)
        pairs = held.items() if isinstance(held, dict) else zip(held[::2], held[1::2], strict=True)
        return {"hash": sorted([_text(name), _text(value)] for name, value in pairs)}
    if kind == "list":
        return {"list": [_text(each) for each in server.tell("LRANGE", key, 0, -1)]}
    if kind == "zset":
        # Scores of threads are times; those of entries are all 0.
        return {"sorted": sorted(_text(each) for each in server.tell("ZRANGE", key, 0, -1))}
    return {"set": sorted(_text(each) for each in server.tell("SMEMBERS", key))}


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text)


def stored() -> dict[str, dict[str, Any]]:
    """Every thread of the file."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return found


def of_the_living(contents: dict[str, Any], thread: str) -> dict[str, Any]:
    """`contents` without the names of other threads than `thread`: the release that wrote the file left one behind."""
    return {
        key: {"set": [each for each in held["set"] if _bytes(each) == thread.encode()]} if "set" in held else held
        for key, held in contents.items()
    }


def main() -> None:
    """Write the file."""
    with RedisServer() as server, FILE.open("x") as file:
        json.dump({name: written(server, golden) for name, golden in THREADS.items()}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
