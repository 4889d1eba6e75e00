"""The pages say what is so: their code runs, and tests that they name exist. Where links lead, `test_links` says."""

from __future__ import annotations

import ast
import importlib
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.checkpoint.cloudflare.clock import SystemClock
from langgraph_guard.observability.setting_up import current
from tests.observability.agent import Agent
from tests.servers.kv_front import KVFront
from tests.servers.otlp import Receiver
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[1]
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
for page in sorted((ROOT / "examples").glob("*/README.md")):
    PAGES[page.parent.name] = page.read_text(encoding="utf-8")

NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
"""A test, as a page names the one that holds a promise."""


def blocks(page: str, language: str = "python") -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


# What every page is held to


READ = {
    "": "commands, in the README of an example: `test_links`, and the example's own test",
    "bash": "commands: `test_links`",
    "promql": "alerts: `observability/test_page`",
    "python": "run, below",
}
"""Languages of blocks, and what reads them."""


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_skipped(page: str) -> None:
    """One that is indented, or of a language that nothing reads, would look as if it had been tried."""
    fences = re.findall(r"^( *)```(.*)$", PAGES[page], re.MULTILINE)
    assert [fence for fence in fences if fence[0] or fence[1] not in READ] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_looks_like_python_is_python(page: str) -> None:
    """A block is pasted before it is read."""
    for block in blocks(page):
        compile(block, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_imports_is_there(page: str) -> None:
    """Names move; pages stay behind."""
    for block in blocks(page):
        for module, name in imported(ast.parse(block)):
            found = importlib.import_module(module)
            assert not name or hasattr(found, name), f"{module} has no {name}"


def imported(block: ast.Module) -> Iterator[tuple[str, str]]:
    """Modules, and the names that are taken from them."""
    for each in ast.walk(block):
        if isinstance(each, ast.ImportFrom) and each.module:
            yield from ((each.module, alias.name) for alias in each.names)
        elif isinstance(each, ast.Import):
            yield from ((alias.name, "") for alias in each.names)


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_exists(page: str) -> None:
    """A promise whose test was renamed is a promise that nobody can check."""
    for path, name in NAMED.findall(PAGES[page]):
        assert name in named_in(ROOT / path), f"{path} has no {name}"


def named_in(path: Path) -> set[str]:
    """Functions and classes that stand in a file, and methods as `Class::method`."""
    found = set[str]()
    for each in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
        elif isinstance(each, ast.ClassDef):
            found |= {each.name, *(f"{each.name}::{one.name}" for one in each.body if isinstance(one, ast.FunctionDef))}
    return found


# The code of a page runs, from top to bottom


@dataclass(frozen=True)
class Setting:
    """What a page takes for given: names, and addresses of its servers that are others here."""

    names: dict[str, Any] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)

    def here(self, block: str) -> str:
        """The block, with the servers that run here."""
        for theirs, ours in self.instead.items():
            block = block.replace(theirs, ours)
        return block


@contextmanager
def on_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """A reader who begins at the top."""
    yield Setting()


@contextmanager
def on_the_readme(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """A reader who has run its first example."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```python\n")[2].partition("```\n")[0]
    monkeypatch.delenv("LANGFUSE_PUBLIC_KEY", raising=False)
    names: dict[str, Any] = {}
    with closed_afterwards():
        exec(compile(example, "README.md", "exec"), names)
        yield Setting(names)


@contextmanager
def on_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """A server of the page's own, so that it may do with it what it likes."""
    with RedisServer() as server:
        yield Setting(instead={"redis://localhost:6379": server.url})


class State(TypedDict):
    """A list that grows."""

    items: Annotated[list[str], operator.add]


@contextmanager
def on_workers_kv(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """A namespace, where the page looks for yours, and a graph."""
    graph = StateGraph(State).add_node("work", lambda state: {"items": ["worked"]}).add_edge(START, "work")
    with KVFront(SystemClock()).served() as place:
        here = partial(CloudflareKVSaver.from_account, base_url=place.base_url)
        monkeypatch.setattr(CloudflareKVSaver, "from_account", here)
        names = ("CF_ACCOUNT_ID", "CF_NAMESPACE_ID", "CF_API_TOKEN", "GATEWAY_URL", "GATEWAY_TOKEN")
        values = (place.account_id, place.namespace_id, place.api_token, place.url, place.api_token)
        for name, value in zip(names, values, strict=True):
            monkeypatch.setenv(name, str(value))
        address = "https://langgraph-gateway.<your subdomain>.workers.dev/do/storage/kv/namespaces/LANGGRAPH"
        yield Setting({"graph": graph, "token": place.api_token}, {address: place.url})


@contextmanager
def on_a_receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """An agent, a question, a backend for its traces, and no keys of anybody's."""
    monkeypatch.delenv("LANGFUSE_PUBLIC_KEY", raising=False)
    given = {"app": Agent(InMemorySaver()).app, "question": {"messages": [("user", "find kites")]}}
    with Receiver() as receiver, closed_afterwards():
        yield Setting(given, {"http://localhost:4318": receiver.url})


@contextmanager
def closed_afterwards() -> Iterator[None]:
    """What `observability.setup` began must not listen to the next test."""
    try:
        yield
    finally:
        if (listening := current()) is not None:
            listening.close(timeout=10.0)


SETTINGS: dict[str, Callable[[pytest.MonkeyPatch], AbstractContextManager[Setting]]] = {
    "cloudflare_gateway": on_workers_kv,
    "cloudflare_kv.md": on_workers_kv,
    "migration.md": on_redis,
    "observability.md": on_a_receiver,
    "redis.md": on_redis,
    "tools.md": on_the_readme,
}
"""Of pages that need more than nothing."""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_code_of_a_page_runs(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From its first block to its last, as a reader would paste it."""
    monkeypatch.chdir(tmp_path)  # files that it makes are gone afterwards
    with SETTINGS.get(page, on_nothing)(monkeypatch) as setting:
        for block in blocks(page):
            exec(compile(setting.here(block), page, "exec"), setting.names)
