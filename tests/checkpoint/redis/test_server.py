"""LangGraph Server gets its checkpointer from a path in `langgraph.json`, and the rest from the environment."""

from __future__ import annotations

import base64
import importlib.util
import logging
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_guard.checkpoint.redis import RedisSaver, server
from langgraph_guard.checkpoint.redis.server import create_checkpointer, from_environment
from langgraph_guard.errors import BlockedType, ConfigError, CorruptCheckpoint, StoreRefused
from langgraph_guard.testing.contracts.saver.harness import about, at, blank
from langgraph_guard.testing.contracts.saver.values import Colour
from tests.servers.redis import RedisServer

KEY, OLDER = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))

FIVE_LINES = """
from langgraph_guard.checkpoint.redis.server import create_checkpointer

__all__ = ["create_checkpointer"]
"""


@pytest.fixture
def prefix(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment that names the server, and a prefix of this test's own."""
    own = f"t{secrets.token_hex(6)}"
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_URL", redis_server.url)
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_PREFIX", own)
    return own


@pytest.fixture
def loaded() -> Iterator[list[str]]:
    """Names of modules to forget."""
    names: list[str] = []
    yield names
    for name in names:
        sys.modules.pop(name, None)


def load(path: Path, loaded: list[str]) -> ModuleType:
    """As the Server does it: the file, under a name made of its path."""
    loaded.append(str(path).replace("/", "__").replace(".py", "").lstrip("."))
    spec = importlib.util.spec_from_file_location(loaded[-1], path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[loaded[-1]] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def put(saver: Any, value: Any, thread: str = "t") -> None:
    """Store a thread of one checkpoint with one value."""
    checkpoint = {**blank(1), "channel_values": {"v": value}, "channel_versions": {"v": "1"}}
    await saver.aput(at(thread), checkpoint, about(1), {"v": "1"})


async def value(saver: Any, thread: str = "t") -> Any:
    """That value, if the thread is there."""
    found = await saver.aget_tuple(at(thread))
    return None if found is None else found.checkpoint["channel_values"]["v"]


# The path


async def run_a_graph(module: ModuleType) -> Any:
    """What the Server does with a factory: enter it, and compile graphs with what it yields."""
    async with module.create_checkpointer() as saver:
        assert isinstance(saver, BaseCheckpointSaver)
        graph = StateGraph(MessagesState)
        graph.add_node("answer", lambda state: {"messages": [("ai", "hello")]})
        graph.add_edge(START, "answer")
        app = graph.compile(checkpointer=saver)
        await app.ainvoke({"messages": [HumanMessage("hi")]}, at())
        return [each.content for each in (await app.aget_state(at())).values["messages"]]


async def test_the_path_of_this_file_works(prefix: str, loaded: list[str]) -> None:
    """For a repository that has the pack in it."""
    assert await run_a_graph(load(Path(server.__file__), loaded)) == ["hi", "hello"]


async def test_a_file_that_imports_the_factory_works(prefix: str, loaded: list[str], tmp_path: Path) -> None:
    """For an installed pack: the Server looks for files beside `langgraph.json`."""
    file = tmp_path / "checkpointer.py"
    file.write_text(FIVE_LINES)
    assert await run_a_graph(load(file, loaded)) == ["hi", "hello"]


async def test_each_entry_is_a_saver_of_its_own(prefix: str) -> None:
    """The Server enters the factory once for each event loop."""
    async with create_checkpointer() as one, create_checkpointer() as other:
        await put(one, "kept")
        assert await value(other) == "kept"


# The environment


async def test_the_names_say_whose_threads_these_are(
    prefix: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deployments on one Redis do not see each other."""
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_TENANT", "acme")
    async with create_checkpointer() as saver:
        await put(saver, "theirs")
    assert await value(RedisSaver.from_conn_string(redis_server.url, prefix=prefix)) is None
    assert await value(RedisSaver.from_conn_string(redis_server.url, prefix=prefix, tenant="acme")) == "theirs"


async def test_a_ttl_is_in_seconds(prefix: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour is 3600."""
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_TTL_SECONDS", "3600")
    async with create_checkpointer() as saver:
        await put(saver, 1)
    meta = saver._store.keys.thread("t").meta
    assert 3_590_000 < redis_server.tell("PTTL", meta) <= 3_600_000


async def test_a_key_seals_and_an_older_one_still_reads(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is changed by a deployment, while threads go on."""
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_KEY", OLDER)
    async with create_checkpointer() as saver:
        await put(saver, "sealed")
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_KEY", KEY)
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_KEY_ID", "2")
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_OLD_KEYS", f"1={OLDER}")
    async with create_checkpointer() as saver:
        assert await value(saver) == "sealed"
    monkeypatch.delenv("LANGGRAPH_GUARD_REDIS_OLD_KEYS")
    async with create_checkpointer() as saver:
        with pytest.raises(CorruptCheckpoint):
            await value(saver)


async def test_types_are_allowed_by_name(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Server wraps the saver, so what `compile` would tell it never arrives."""
    async with create_checkpointer() as saver:
        with pytest.raises(BlockedType):
            await put(saver, Colour.RED)
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_ALLOWED_TYPES", f"a.b:C, {Colour.__module__}:Colour")
    async with create_checkpointer() as saver:
        await put(saver, Colour.RED)
        assert await value(saver) is Colour.RED


async def test_an_empty_variable_is_not_set(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and Helm charts pass them on empty."""
    for name in ("TTL_SECONDS", "TENANT", "KEY", "KEY_ID", "OLD_KEYS", "ALLOWED_TYPES"):
        monkeypatch.setenv(f"LANGGRAPH_GUARD_REDIS_{name}", " ")
    async with create_checkpointer() as saver:
        assert saver._store.ttl_ms is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("URL", ""),
        ("URL", "http://hunter2@host"),
        ("TTL_SECONDS", "an hour"),
        ("TTL_SECONDS", "0"),
        ("TTL_SECONDS", "nan"),
        ("TENANT", "t" * 2_000),
        ("PREFIX", "a:b"),
        ("KEY", "hunter2"),
        ("KEY_ID", "no spaces"),
        ("OLD_KEYS", "hunter2"),
        ("OLD_KEYS", "1=hunter2"),
        ("ALLOWED_TYPES", "package.module.Name"),
    ],
)
def test_what_is_wrong_is_called_by_its_variable(name: str, wrong: str) -> None:
    """Who deploys sees variables, not arguments; and a log shows no secret."""
    sound = {"LANGGRAPH_GUARD_REDIS_URL": "redis://localhost", "LANGGRAPH_GUARD_REDIS_KEY": KEY}
    more = {"LANGGRAPH_GUARD_REDIS_KEY_ID": "2"} if name == "OLD_KEYS" else {}
    with pytest.raises(ConfigError) as caught:
        from_environment({**sound, **more, f"LANGGRAPH_GUARD_REDIS_{name}": wrong})
    assert caught.value.field == f"LANGGRAPH_GUARD_REDIS_{name}"
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r}"


def test_a_key_that_is_missing_beside_its_settings_is_an_error() -> None:
    """A typing error in a variable's name must not store plain text."""
    environment = {"LANGGRAPH_GUARD_REDIS_URL": "redis://localhost", "LANGGRAPH_GUARD_REDIS_KEY_ID": "2"}
    with pytest.raises(ConfigError, match="LANGGRAPH_GUARD_REDIS_KEY: is not set"):
        from_environment(environment)


# The start


async def test_an_unfit_server_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the first run, ten minutes later; and the reason is in the log of the start."""
    with RedisServer("user default on nopass ~* +@all -zadd") as unfit:
        monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_URL", unfit.url)
        with pytest.raises(StoreRefused, match=r"\+zadd"):
            async with create_checkpointer():
                pytest.fail("it started")


async def test_what_may_lose_threads_is_logged(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody calls `check()` by hand on a server that starts by itself."""
    caplog.set_level(logging.WARNING)
    async with create_checkpointer():
        assert "restart forgets every thread" in caplog.text


async def test_the_servers_own_word_for_deleting_threads_is_known(prefix: str) -> None:
    """LangGraph says `delete`, the Server says `delete_all`."""
    async with create_checkpointer() as saver:
        await put(saver, 1, "one")
        await put(saver, 1, "other")
        await saver.aprune(["one"], strategy="delete_all")
        saver.prune(["other"], strategy="delete_all")
        assert [await value(saver, thread) for thread in ("one", "other")] == [None, None]
        with pytest.raises(ConfigError, match="strategy"):
            await saver.aprune(["one"], strategy="delete_some")
