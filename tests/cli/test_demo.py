"""The demo plays a real incident on this machine, and what it prints is what happened."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """A run of the command, its output in a pipe."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return subprocess.run(
        [sys.executable, "-m", "langgraph_guard.cli", "demo"],
        cwd=ROOT,
        env={**kept, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def output() -> str:
    """What one run prints."""
    played = demo()
    assert played.returncode == 0, played.stderr
    assert played.stderr == ""
    return played.stdout


def row(output: str, name: str) -> list[str]:
    """The figures of one row of the closing table: without a guard, with a budget."""
    (found,) = re.findall(rf"^\W*{re.escape(name)}\W+([\d.,]+)\W+([\d.,]+)\W*$", output, re.MULTILINE)
    return list(found)


def test_the_guarded_agent_stays_within_five_cents(output: str) -> None:
    """That is the promise of the pack, seen from outside: the demo prices the calls itself."""
    _, guarded = row(output, "USD")
    assert 0.03 < float(guarded) <= 0.05


def test_the_unguarded_agent_goes_on_until_the_demo_stops_it(output: str) -> None:
    """Nothing in the plain graph ends the loop."""
    assert row(output, "model calls")[0] == row(output, "tool calls")[0] == "200"
    assert float(row(output, "USD")[0]) > 1


def test_the_guarded_agent_ends_long_before(output: str) -> None:
    """Money is what ended it, and the loop is visible first."""
    assert 10 < int(row(output, "tool calls")[1]) < 60
    assert "limit_cost" in output


def test_the_customer_reads_an_answer_and_the_reason(output: str) -> None:
    """A run that is stopped without a word looks like a broken product."""
    answer = output[output.index("customer reads") : output.index("What you saw")]
    assert "I could not find out where order 4711 is" in answer
    assert "limit_cost" in answer


def test_a_pipe_gets_plain_lines(output: str) -> None:
    """Logs of a CI job show control codes as noise."""
    assert "\x1b" not in output
    assert "\r" not in output
    assert max(map(len, output.splitlines())) <= 80
    assert re.search(r"^no guard +\d+ model calls", output, re.MULTILINE)


def test_the_demo_says_how_the_projection_is_made(output: str) -> None:
    """A figure without its formula is advertising."""
    said = " ".join(output.split())
    assert "1,800 calls" in said
    assert "$847 in 3 hours" in said


def test_every_run_comes_to_the_same(output: str) -> None:
    """A demo that differs from run to run teaches nobody; an ASCII terminal and a proxy change nothing."""
    again = demo(
        PYTHONIOENCODING="ascii:strict", HTTP_PROXY="http://127.0.0.1:9", LANGGRAPH_DEFAULT_RECURSION_LIMIT="9"
    )
    assert again.returncode == 0, again.stderr
    for name in ("model calls", "tool calls", "tokens", "USD"):
        assert row(again.stdout, name) == row(output, name)
