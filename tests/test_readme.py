"""The README says what is so: its code runs offline, and its output is what it prints."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
TOOLS = (ROOT / "docs/tools.md").read_text(encoding="utf-8")

OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("the README reaches for the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""

WITHOUT_A_VOCABULARY = """
from langgraph_guard.tokens import loading
from langgraph_guard.tokens.encodings import ENCODINGS
loading._missing.update((name, allowed) for name in ENCODINGS for allowed in (True, False))
"""

AND_ITS_TESTS = """
for name, value in list(globals().items()):
    if name.startswith("test_"):
        value()
"""


def blocks(language: str, page: str = README) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Machine:
    """A process of its own: code that runs first, its environment, and where: by default, in a folder for it alone."""

    before: str = OFFLINE
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Examples write files where they are run."""
        if self.folder is not None:
            yield self.folder
            return
        with TemporaryDirectory() as folder:
            yield Path(folder)


@pytest.fixture(params=["with a vocabulary", "without"])
def machine(request: pytest.FixtureRequest, vocabulary: Path) -> Machine:
    """Figures in a text must not depend on what the reader's machine counts with."""
    if request.param == "without":
        return Machine(OFFLINE + WITHOUT_A_VOCABULARY)
    return Machine(environment={"TIKTOKEN_CACHE_DIR": str(vocabulary)})


def run(code: str, machine: Machine = Machine()) -> str:
    """What `code` prints in a process of its own, without a network. Its `test_` functions run too."""
    with machine.place() as folder:
        return printed_by("-c", machine.before + code + AND_ITS_TESTS, machine=machine, folder=folder)


def printed_by(*arguments: str, machine: Machine, folder: Path) -> str:
    """What Python prints, given these, where nobody has keys."""
    keys = {name: value for name, value in os.environ.items() if not name.startswith("LANGFUSE_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=110,
        cwd=folder,
        env={**keys, **machine.environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FIRST, *OTHERS = blocks("python")
[SWAP] = [block for block in OTHERS if "redis://" in block]
OF_ITS_OWN = [FIRST, *(block for block in OTHERS if block != SWAP)]
PRINTED, TREE, _ = blocks("text")
BEFORE_THE_TOOLS = next(block for block in blocks("python", TOOLS) if "LoopCheckNode(repeats=3)" in block)


@pytest.mark.parametrize("number", range(len(OF_ITS_OWN)))
def test_each_example_runs_as_pasted(number: int) -> None:
    """People paste it before they read on."""
    run(OF_ITS_OWN[number])


COMPILED = "app = graph.compile("
WIRED = FIRST.replace(COMPILED, BEFORE_THE_TOOLS + COMPILED).replace('tools="tools"', 'tools="before_tools"')


def test_guards_before_the_tools_fit_into_the_first_example() -> None:
    """The circuit opens at the third failure, and the run ends: nobody pays for a model that asks again."""
    said = run(WIRED)

    assert "get_order_status: called 3 times" in said
    assert "'model_calls': 4" in said


MEASURED = re.compile(r"\d[\d.,]* (?:ms|s|steps)\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")
"""What differs from run to run: durations and times; and from version to version: how finely a run is logged."""


def test_the_trace_begins_as_the_readme_shows_it(tmp_path: Path) -> None:
    """What the next command prints is the second thing that a reader compares."""
    run(f"{FIRST}\nobservability.flush(60.0)\n", Machine(folder=tmp_path))  # the end of a program waits for 2 s alone
    command = ("-m", "langgraph_guard.cli", "trace", "steps.db")
    drawn = printed_by(*command, machine=Machine(), folder=tmp_path).splitlines()

    assert f"`langgraph-guard {' '.join(command[2:])}`" in README
    shown, told = ([MEASURED.sub("#", line) for line in lines] for lines in (TREE.splitlines(), drawn))
    there = iter(told)
    assert [line for line in shown if line not in there] == []  # in this order


USED = """
import asyncio

question = {"messages": [("user", "Where is my order 4711?")]}
blocking = app.invoke(question, {"configurable": {"thread_id": "r1"}})
awaited = asyncio.run(app.ainvoke(question, {"configurable": {"thread_id": "r2"}}))
another = graph.compile(checkpointer=RedisSaver.from_conn_string("redis://localhost:6379"))
for name, ended in {"r1": blocking, "r2": awaited}.items():
    kept = another.get_state({"configurable": {"thread_id": name}}).values["messages"]
    assert [each.text for each in kept] == [each.text for each in ended["messages"]]
"""


def test_the_checkpointer_is_swapped_in_two_lines(redis_server: RedisServer) -> None:
    """Under `invoke` and `ainvoke`, and what one process stored another one has."""
    lines = (FIRST, SWAP, USED)
    run("\n".join(lines).replace("redis://localhost:6379", redis_server.url), Machine(before=""))


def test_the_first_example_prints_what_stands_under_it(machine: Machine) -> None:
    """Printed output that nobody checks is a promise that drifts."""
    assert f"```python\n{FIRST}```\n\n```text\n{PRINTED}```" in README
    assert run(FIRST, machine) == PRINTED


def test_the_quickstart_prints_what_is_stored_in_it(machine: Machine) -> None:
    """Most people read a notebook where it is shown, and do not run it."""
    folder = ROOT / "notebooks"
    cells = json.loads((folder / "00_quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    stored = ["".join(each["text"]) for cell in cells for each in cell.get("outputs", ()) if "text" in each]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    before = f"{machine.before}\nimport sys\nsys.path.insert(0, {str(folder)!r})\n"
    drawn = {**machine.environment, "MPLBACKEND": "agg"}
    assert run(code, Machine(before, drawn, folder)) == "".join(stored)


def answers() -> Iterator[str]:
    """The code in the right column of "I want to …", and of the page that goes on with it."""
    table = README.partition("## I want to")[2].partition("\n## ")[0] + RECIPES
    for row in re.findall(r"^\| (.*) \|$", table, re.MULTILINE):
        yield from (code for code in re.findall(r"`([^`]+)`", row.partition(" | ")[2]) if "(" in code or "[" in code)


SETTING = """
from typing import Annotated
from langgraph_guard import ApprovalRule, HumanApprovalNode, idempotency_key
from langgraph_guard import LoopCheckNode, Price, TokenCounter, ToolPrice, ToolResult
from langgraph_guard import RedisBackend, SqliteBackend, SummarizationNode, allow_local, contract, count_tokens, fuse
from langgraph_guard.state import sum_by_key

backend, cheap, node = MemoryBackend(), llm, call_model
limits = [Limit("usd", 0.02, per="session")]
team_budget = Budget([Limit("usd", 100, per="team")], scopes=["team"])
team_check = BudgetCheckNode(team_budget, backend, name="team")
approval = HumanApprovalNode({"send_*": ApprovalRule()}, backend)
question = {"messages": [("user", "Where is my order 4711?")]}
messages, artifact = question["messages"], {"units": 7}

def who(config):
    return {"team": "blue"}
"""


def test_each_answer_in_the_table_is_valid_code(tmp_path: Path) -> None:
    """A line in a table is pasted like any other."""
    lines = list(answers())
    assert len(lines) > 15
    for line in lines:
        ast.parse(line, mode="eval")
    (tmp_path / "tools.yaml").write_text("name: get_order_status\ntimeout_seconds: 5\nside_effects: none\n")
    run("\n".join([FIRST, SETTING, *lines]), Machine(folder=tmp_path))


def test_the_other_projects_name_is_never_an_instruction() -> None:
    """`langgraph-guard` on the package index is somebody else's."""
    assert not re.search(r"pip install (?!-e)\S*langgraph.guard(?!.pack)", README)


def test_each_page_notebook_and_example_is_listed() -> None:
    """What the README does not name, nobody finds."""
    listed = README.partition("## Documentation")[2]
    there = [*ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("examples/*/README.md")]
    names = [(path.parent if path.name == "README.md" else path).relative_to(ROOT).as_posix() for path in there]
    assert len(names) > 20
    assert [name for name in names if f"]({name}" not in listed] == []
