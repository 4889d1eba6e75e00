"""The example that people copy runs as it stands: one mail, whoever approves, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from examples.approve_email import agent
from langgraph_guard import cli

ROOT: Final = Path(__file__).parent.parent.parent
AGENT: Final = ROOT / "examples/approve_email/agent.py"
GRAPH: Final = ("--graph", "examples.approve_email.agent:app")
MAIL: Final = "to ada@example.com: Your refund of 40 EUR is on its way."

pytestmark = pytest.mark.timeout(400)  # several processes, on two cores that others use as well


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example as it is without one."""
    monkeypatch.setattr(agent, "REDIS", None)
    monkeypatch.delenv("LANGGRAPH_GUARD_REDIS_URL", raising=False)


Start = Callable[..., "subprocess.Popen[str]"]


def starter(folder: Path) -> Start:
    """Starts a Python process that keeps everything in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "LANGGRAPH_GUARD_REDIS_URL"}
    terms = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "APPROVE_EMAIL_FOLDER": str(folder)}

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**environment, **terms},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended, and what it said."""
    said, complaint = process.communicate(timeout=300)
    return process.returncode, said + complaint


def proposed(start: Start, thread: str) -> str:
    """Let the agent propose, and end; the id of what waits."""
    code, said = ended(start(str(AGENT), "--thread", thread))
    assert code == 0, said
    return re.findall(r"approvals approve ([0-9a-f]{32}) ", said)[0]


def proposed_here(thread: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The same in this process, of which nothing but the files is left."""
    with agent.app() as graph:
        agent.propose(graph, thread)
    return re.findall(r"approvals approve ([0-9a-f]{32}) ", capsys.readouterr().out)[0]


def decided(start: Start, folder: Path, deed: str, id: str, by: str) -> subprocess.Popen[str]:
    """Somebody at another terminal."""
    desk = ("--sqlite", str(folder / "guard.db"), *GRAPH)
    words = ("--yes",) if deed == "approve" else ("--message", "not like this")
    return start("-m", "langgraph_guard.cli", "approvals", deed, id, "--by", by, *words, *desk)


def mails(folder: Path) -> list[str]:
    """What was sent, without the keys."""
    file = folder / "sent.txt"
    return [line.split(" ", 1)[1] for line in file.read_text().splitlines()] if file.exists() else []


def at_once(start: Start, folder: Path, id: str, second: str) -> list[tuple[int, str]]:
    """Bob approves while carol does the `second`; how each ended."""
    both = [decided(start, folder, "approve", id, "bob"), decided(start, folder, second, id, "carol")]
    return [ended(each) for each in both]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one story is kept: proposed, and approved by two people at once, each a process."""
    return tmp_path_factory.mktemp("mail")


@pytest.fixture(scope="module")
def story(folder: Path) -> dict[str, Any]:
    """What was sent before, and how the two ended."""
    start = starter(folder)
    id = proposed(start, "refund-1")
    before = mails(folder)
    return {"before": before, "two": at_once(start, folder, id, "approve")}


def test_nothing_is_sent_before_somebody_agrees(story: dict[str, Any]) -> None:
    """The process that asked has ended; the question has not."""
    assert story["before"] == []


def test_of_two_who_approve_at_once_one_is_first(story: dict[str, Any]) -> None:
    """And the other is told who."""
    codes = sorted(code for code, _ in story["two"])
    (lost,) = (said for code, said in story["two"] if code)
    assert codes == [0, 1], story["two"]
    assert re.search("it was approved already, by (bob|carol)", lost)


def test_one_mail_is_sent_whatever_runs_again(
    story: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two reviewers, and a replay from before the tools."""
    monkeypatch.setattr(agent, "FOLDER", folder)
    with agent.app() as graph:
        agent.again(graph, "refund-1")
    assert capsys.readouterr().out == "It is sent.\n"
    assert mails(folder) == [MAIL]


def test_the_log_names_everybody_and_is_whole(
    story: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an auditor asks for."""
    desk = ("--sqlite", str(folder / "guard.db"))
    assert cli.main(["approvals", "log", "--json", *desk]) == 0
    deeds = json.loads(capsys.readouterr().out)
    assert [each["kind"] for each in deeds] == ["requested", "approved", "started", "done"]
    assert (deeds[0]["by"], deeds[1]["by"] in ("bob", "carol")) == ("sales", True)
    assert cli.main(["approvals", "verify", *desk]) == 0
    assert "the log is whole: 4 records" in capsys.readouterr().out


def test_a_rejected_mail_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the model hears why. Nothing but the files is left of who asked."""
    monkeypatch.setattr(agent, "FOLDER", tmp_path)
    id = proposed_here("refund-1", capsys)
    words = ("--by", "carol", "--message", "not like this", "--sqlite", str(tmp_path / "guard.db"), *GRAPH)
    assert cli.main(["approvals", "reject", id, *words]) == 0
    with agent.app() as graph:
        agent.tell(graph, "refund-1")
    assert "not like this" in capsys.readouterr().out
    assert mails(tmp_path) == []


@pytest.mark.slow
def test_approved_and_rejected_at_once_it_is_what_was_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five times, each in a process of its own: a mail if, and only if, the approval counted."""
    monkeypatch.setattr(agent, "FOLDER", tmp_path)
    start = starter(tmp_path)
    for number in range(5):
        id = proposed_here(f"refund-{number}", capsys)
        before = len(mails(tmp_path))
        (approve, said), (reject, also) = at_once(start, tmp_path, id, "reject")
        assert {approve, reject} == {0, 1}, (said, also)
        assert len(mails(tmp_path)) - before == (1 if approve == 0 else 0)


def test_it_uses_public_names_alone() -> None:
    """What an example imports, people will import."""
    modules = re.findall(r"^ *from (langgraph_guard\S*) import", AGENT.read_text(), re.MULTILINE)
    assert modules == [
        "langgraph_guard",
        "langgraph_guard.testing",
        "langgraph_guard.backends.redis",
        "langgraph_guard.checkpoint.redis",
    ]
