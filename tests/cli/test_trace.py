"""`langgraph-guard trace`: a tree from a file, and a clear word when there is none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_guard.cli.trace import main
from langgraph_guard.observability.steps import Step, StepRecorder, read
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
    """By the id that other tools show, with the time at which it began."""
    assert main([log, "--trace", "trace-7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Trace: thread-7 (0 tokens, 1 step)",
        "└── ✓ run small [1970-01-01 00:00:07Z]",
    ]


def test_without_a_thread_it_draws_the_newest(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of a month would scroll by; it says how many there are."""
    assert main([log]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("the last 20 of 25 traces:\nTrace: thread-5 ")
    assert drawn.count("Trace: ") == 20


@pytest.mark.parametrize("file", ["steps.db", "steps.jsonl"])
def test_the_newest_traces_are_those_of_the_whole_log(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of last week that a person answered today belongs to what is new, with both of its parts; records come in
    the order in which they ended."""
    recorder = StepRecorder(tmp_path / file)
    for ts, id, kind, status, thread in (
        (5.0, "asked", "run", "interrupted", "t-1"),
        (1.0, "old", "run", "ok", "t-2"),
        (7.0, "between", "run", "ok", "t-3"),
        (9.0, "answered", "run", "ok", "t-1"),
        (9.5, "resumed", "resume", "ok", "t-1"),
        (8.0, "last", "run", "ok", "t-4"),
    ):
        around = "answered" if kind == "resume" else None
        said: dict[str, Any] = {"kind": kind, "name": id, "status": status, "trace_id": around or id}
        recorder.add(Step(ts=ts, id=id, thread_id=thread, parent_id=around, **said))
    assert recorder.close(60)
    assert main([str(tmp_path / file), "--last", "3"]) == 0
    assert [line.lstrip("│├└─ ") for line in capsys.readouterr().out.splitlines()] == [
        "the last 3 of 4 traces:",
        "Trace: t-1 (0 tokens, 3 steps)",
        "⏸ run asked [1970-01-01 00:00:05Z]",
        "✓ run answered [1970-01-01 00:00:09Z]",
        "✓ resumed",
        "Trace: t-3 (0 tokens, 1 step)",
        "✓ run between [1970-01-01 00:00:07Z]",
        "Trace: t-4 (0 tokens, 1 step)",
        "✓ run last [1970-01-01 00:00:08Z]",
    ]


@pytest.mark.parametrize("file", ["steps.db", "steps.jsonl"])
@pytest.mark.parametrize("show", [["--last", "1"], ["--thread", "t-3"]], ids=["last", "thread"])
def test_what_is_not_shown_is_not_kept_in_memory(
    file: str, show: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log of a month is larger than the machine that somebody looks at it from."""
    log = tmp_path / file
    recorder = StepRecorder(log)
    for number in range(1_000):
        said: dict[str, Any] = {"trace_id": f"trace-{number // 20}", "thread_id": f"t-{number // 20}"}
        recorder.add(Step(ts=float(number), id=str(number), kind="tool", name="search", result="x" * 500, **said))
    assert recorder.close(60)
    main([str(log), *show])  # What is loaded once, is loaded.
    assert peak(lambda: main([str(log), *show])) < peak(lambda: read(log)) / 3


def peak(do: Callable[[], object]) -> int:
    """Bytes that Python held at the most meanwhile."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
