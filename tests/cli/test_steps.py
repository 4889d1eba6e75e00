"""`langgraph-guard steps`: rows of a log, and their sum in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langgraph_guard.cli.steps import main
from langgraph_guard.observability.steps import Step, StepRecorder
from tests.observability.stepped import agent, ask


@pytest.fixture(params=["steps.db", "steps.jsonl"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A run of thread t-1, and a record of another thread with a name that a model made up."""
    file = tmp_path / request.param
    recorder = StepRecorder(file)
    ask(agent(), "invoke", recorder)
    recorder.add(
        Step(ts=1.0, trace_id="x", thread_id="t-2", id="x", kind="tool", name="e\x1b[2Jvil\u202e", status="error")
    )
    assert recorder.close(60)
    return str(file)


def test_it_shows_what_failed_in_a_thread(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for the one failure, and the sum."""
    assert main([log, "--thread", "t-1", "--failed"]) == 0
    head, row, total = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["when", "thread", "step"]
    assert "tool.look_up" in row
    assert "TimeoutError: upstream timed out with [redacted]" in row
    assert total == "0 tokens, 1 step, 1 of them failed, in 1 thread"


def test_it_shows_one_kind(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The model calls, with what they came to."""
    assert main([log, "--kind", "llm"]) == 0
    *rows, total = capsys.readouterr().out.splitlines()
    assert len(rows) == 4
    assert total == "3,720 tokens, $0.0102, 3 steps, 0 of them failed, in 1 thread"


def test_programs_get_json(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole record; money as the ledger counts it."""
    assert main([log, "--kind", "llm", "--json"]) == 0
    assert [each["cost_micro_usd"] for each in json.loads(capsys.readouterr().out)] == [3_000, 3_400, 3_800]


@pytest.mark.parametrize("asked", [[], ["--json"]], ids=["table", "json"])
def test_no_name_moves_the_cursor(log: str, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Models make up names of tools, and a terminal obeys what it is sent."""
    assert main([log, "--thread", "t-2", *asked]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_nothing_failed_is_no_error(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that is there and went well."""
    assert main([log, "--thread", "t-1", "--kind", "guard"]) == 0
    assert capsys.readouterr().out == "0 tokens, 0 steps, 0 of them failed, in 0 threads\n"


def test_a_thread_that_does_not_exist_ends_with_one(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error must not look like a good night."""
    assert main([log, "--thread", "t-9", "--failed"]) == 1
    assert capsys.readouterr().err == "langgraph-guard steps: no steps of thread 't-9' in the log\n"


def test_a_log_of_another_version_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says which."""
    (tmp_path / "old.jsonl").write_text('{"v": 0, "ts": 1}\n')
    assert main([str(tmp_path / "old.jsonl")]) == 2
    assert "is a step log of an older version (0) than this one (1)" in capsys.readouterr().err
