"""The files that people copy for LangGraph Server: its paths are loaded as the Server does, on a real Redis."""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from langgraph_guard import report_of
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

FOLDER: Final = Path(__file__).parent.parent.parent / "examples/langgraph_server"
SETTINGS: Final = json.loads((FOLDER / "langgraph.json").read_text(encoding="utf-8"))
QUESTION: Final = {"messages": [("user", "Where is my order 4711?")]}


@pytest.fixture(autouse=True)
def environment(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server, and a tenant of this test's own."""
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_URL", redis_server.url)
    monkeypatch.setenv("LANGGRAPH_GUARD_REDIS_TENANT", f"t{secrets.token_hex(6)}")


def load(path: str) -> tuple[ModuleType, Any]:
    """The module and the thing that a path in `langgraph.json` names."""
    file, _, name = path.partition(":")
    spec = importlib.util.spec_from_file_location(f"server_{secrets.token_hex(4)}", FOLDER / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, getattr(module, name)


@pytest.fixture
def agent() -> Iterator[ModuleType]:
    """The module with the graph."""
    module, _ = load(SETTINGS["graphs"]["support"])
    yield module
    module.backend.close()


async def ask(agent: ModuleType, thread: str) -> dict[str, Any]:
    """One run, with the Server's checkpointer put in as the Server does; the state that is stored."""
    _, make = load(SETTINGS["checkpointer"]["path"])
    config: Any = {"configurable": {"thread_id": thread, "user_id": "7"}}
    async with make() as checkpointer:
        agent.app.checkpointer = checkpointer
        await agent.app.ainvoke(QUESTION, config)
    async with make() as another:
        agent.app.checkpointer = another
        values: dict[str, Any] = (await agent.app.aget_state(config)).values
    await agent.backend.aclose()
    return values


async def test_a_thread_is_where_the_next_worker_finds_it(agent: ModuleType) -> None:
    """Run with one checkpointer of the Server's, read with another."""
    values = await ask(agent, "t1")
    assert values["messages"][-1].text == "Order 4711 left the warehouse this morning."


async def test_what_a_run_costs_is_charged(agent: ModuleType) -> None:
    """The session, and with it the user and the turn."""
    values = await ask(agent, "t2")
    assert report_of(values).session["model_calls"] == 2
    assert report_of(values).session["usd"] > 0


def test_the_graph_brings_no_checkpointer_of_its_own(agent: ModuleType) -> None:
    """The Server would put its own in the place of one, without a word."""
    assert agent.app.checkpointer is None


def test_the_environment_has_no_settings_that_are_not_known() -> None:
    """A name that is mistyped is a setting that is not made."""
    from langgraph_guard.checkpoint.redis import server

    names = re.findall(r"^(\w+)=", (FOLDER / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    for name in names:
        assert name in (server.__doc__ or "") or name.removeprefix(server.PREFIX) in (server.__doc__ or ""), name
