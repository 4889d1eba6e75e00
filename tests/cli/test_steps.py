"""`langgraph-guard steps`: rows of a log, and their sum in a line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from langgraph_guard.cli import trace
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


def test_the_newest_rows_are_shown(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of a month would scroll by for minutes; it says that there are more."""
    assert main([log, "--kind", "llm", "--last", "2"]) == 0
    more, _, *rows, total = capsys.readouterr().out.splitlines()
    assert more == "the last 2, and there are more: --last N, --thread, --kind, --failed"
    assert (len(rows), total) == (2, "2,670 tokens, $0.0072, 2 steps, 0 of them failed, in 1 thread")


def test_all_rows_are_shown_where_they_are_no_more_than_that(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said to be missing that is not."""
    assert main([log, "--kind", "llm", "--last", "3"]) == 0
    assert "there are more" not in capsys.readouterr().out


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


DAMAGE = {
    "ts": (None, "x", 1e300, -1.0),
    "kind": (None, "future"),
    "status": (None, "new"),
    "name": (None, 5),
    "trace_id": (None,),
    "duration_ms": ("abc",),
    "input_tokens": ("abc",),
    "attrs": ("{", "[1]", "5"),
    "args": (b"\xff",),
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in DAMAGE.items() for value in values], ids=repr
)
@pytest.mark.parametrize("command", [main, trace.main], ids=["steps", "trace"])
def test_a_row_that_is_damaged_does_not_hide_the_others(
    tmp_path: Path, command: Any, field: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """People edit files, and disks fail; what is left is what somebody needs to see."""
    file = tmp_path / "steps.db"
    recorder = StepRecorder(file)
    for number in (1, 2):
        recorder.add(Step(ts=float(number), trace_id="t", id=str(number), kind="tool", name=f"tool-{number}"))
    assert recorder.close(60)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(f"UPDATE steps SET {field} = ? WHERE id = '1'", [value])
    assert command([str(file)]) == 0
    shown = capsys.readouterr().out
    assert ("tool-1" in shown, "tool-2" in shown) == (False, True)


@pytest.mark.parametrize("asked", [["steps"], ["trace"], ["steps", "--json"]], ids=" ".join)
def test_a_reader_that_has_read_enough_ends_it_without_a_word(tmp_path: Path, asked: list[str]) -> None:
    """`langgraph-guard steps … | head`, as every command."""
    file = tmp_path / "steps.db"
    recorder = StepRecorder(file)
    for number in range(2_000):
        recorder.add(Step(ts=number, trace_id=str(number), id=str(number), kind="run", name="run", args="x" * 100))
    assert recorder.close(60)
    program = [sys.executable, "-m", "langgraph_guard.cli", *asked, str(file), "--last", "2000"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.readline()
        running.stdout.close()
        assert (running.stderr.read(), running.wait(60)) == ("", 1)
