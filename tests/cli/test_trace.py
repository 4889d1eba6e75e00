"""`langgraph-guard trace`: a tree from a file, and a clear word when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_guard.cli.trace import main
from langgraph_guard.observability.steps import Step, StepRecorder
from tests.observability.stepped import CANARY, agent, ask


@pytest.fixture(params=["steps.db", "steps.jsonl"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file with a run of a thread, and 24 small traces of others."""
    file = tmp_path / request.param
    recorder = StepRecorder(file)
    for number in range(24):
        fields = {"thread_id": f"thread-{number}", "trace_id": f"trace-{number}", "id": str(number)}
        recorder.add(Step(ts=float(number), kind="run", name="small", **fields))  # type: ignore[arg-type]
    ask(agent(), "invoke", recorder)
    assert recorder.close(60)
    return str(file)


def test_it_draws_a_thread(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What failed, and what it cost, without the secret."""
    assert main([log, "--thread", "t-1"]) == 0
    drawn = capsys.readouterr().out
    assert "TimeoutError: upstream timed out with [redacted]" in drawn
    assert "Trace: t-1 (3,720 tokens, $0.0102" in drawn
    assert CANARY not in drawn


def test_it_draws_one_trace(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the id that other tools show."""
    assert main([log, "--trace", "trace-7"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Trace: thread-7 (0 tokens, 1 step)", "└── ✓ run small"]


def test_without_a_thread_it_draws_the_newest(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of a month would scroll by; it says how many there are."""
    assert main([log]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("the last 20 of 25 traces:\nTrace: thread-5 ")
    assert drawn.count("Trace: ") == 20


def test_it_leaves_out_what_is_uneventful(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--quiet` is shorter."""
    main([log, "--thread", "t-1"])
    all_of_it = capsys.readouterr().out
    main([log, "--thread", "t-1", "--quiet"])
    assert len(capsys.readouterr().out) <= len(all_of_it)


@pytest.mark.parametrize("asked", [["--thread", "no\x1bbody"], ["--trace", "none"]], ids=["thread", "trace"])
def test_what_is_not_there_ends_with_one(log: str, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A script tells it from an empty picture."""
    assert main([log, *asked]) == 1
    said = capsys.readouterr()
    assert "no steps of t" in said.err
    assert "\x1b" not in said.err
    assert said.out == ""


def test_a_file_that_is_no_log_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names what is wrong."""
    assert main([str(tmp_path / "nothing.db")]) == 2
    assert capsys.readouterr().err == "langgraph-guard trace: file: cannot be read: No such file or directory\n"
