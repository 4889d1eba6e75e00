"""The demo plays a real incident on this machine, and what it prints is what happened."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import langgraph_guard

ROOT = Path(__file__).parent.parent.parent

OPENED = "closed → open, it failed too often, next try at 2026-06-09 02:00:30Z"
"""What is said of the circuit: by the guards' clock it is 2 a.m."""


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
    """The figures of one row of the closing table: without a guard, and with guards."""
    (found,) = re.findall(rf"^\W*{re.escape(name)}\W+([\d.,]+)\W+([\d.,]+)\W*$", output, re.MULTILINE)
    return list(found)


def tree(output: str) -> list[str]:
    """The guarded run, step by step, its wrapped lines joined, without what differs from machine to machine."""
    drawn = output[output.index("step by step:") : output.index("what the guarded")].splitlines()[1:-1]
    lines: list[str] = []
    for line in drawn:
        if re.match(r"(│   |    )*[├└]|Trace", line):
            lines.append(line.strip())
        elif lines:
            lines[-1] += " " + line.strip(" │")
    return [re.sub(r"\[[\d.,]+ m?s", "[… ms", " ".join(line.split())) for line in lines]


def test_the_guarded_agent_costs_less_than_a_cent(output: str) -> None:
    """The breaker ends it long before the budget would: the demo prices the calls itself."""
    _, guarded = row(output, "USD")
    assert 0 < float(guarded) < 0.01


def test_the_unguarded_agent_goes_on_until_the_demo_stops_it(output: str) -> None:
    """Nothing in the plain graph ends the loop."""
    assert row(output, "model calls")[0] == row(output, "tool calls")[0] == "200"
    assert float(row(output, "USD")[0]) > 1


def test_the_guarded_agent_ends_after_three_time_outs(output: str) -> None:
    """Four calls of the agent's model, and one of the model that writes the answer."""
    assert (row(output, "tool calls")[1], row(output, "model calls")[1]) == ("3", "5")
    assert "circuit_open" in output


def test_the_tree_shows_three_time_outs_and_the_opening(output: str) -> None:
    """Who reads nothing else sees the incident, and where it ended."""
    found = [line.lstrip("│├└─ ") for line in tree(output) if re.search(r"tool\.|breaker", line)]
    assert found == [
        *["✗ tool.get_order_status [… ms, ReadTimeout: timed out]"] * 3,
        f"✗ guard.breaker.transition [trip, get_order_status: {OPENED}]",
        "✗ guard.breaker.refused [block, get_order_status is open, again in 30 s]",
    ]


def test_the_tree_shows_what_each_model_call_cost(output: str) -> None:
    """Tokens and money of each, and the first line adds them up to what the table says."""
    models = [re.findall(r"([\d,]+) tokens, \$([\d.]+)", line) for line in tree(output) if "llm." in line]
    (total,) = [re.findall(r"([\d,]+) tokens, \$([\d.]+)", line) for line in tree(output) if "Trace" in line]
    assert len(models) == 5
    assert sum(int(tokens) for ((tokens, _),) in models) == int(total[0][0].replace(",", ""))
    assert [total[0][0], total[0][1]] == [row(output, "tokens")[1], row(output, "USD")[1]]


def test_the_tree_shows_what_the_guards_found_and_said(output: str) -> None:
    """The loop check noticed it too; when the circuit opened, and until when, by the guards' clock: 2 a.m."""
    said = " ".join(tree(output))
    assert "[warn, identical call of get_order_status, 3 times → nudge]" in said
    assert OPENED in said


def test_the_tree_ends_with_the_hand_over(output: str) -> None:
    """The run is one trace: its head says why it ended, and its last line that somebody was told."""
    lines = tree(output)
    assert lines[0].startswith("Trace: customer-1 (")
    assert lines[1] == "└── ✓ run LangGraph [… ms, ended: circuit_open]"
    assert lines[-1].endswith("guard.run.finished [warn, ended: circuit_open, answer written by a model]")


def test_the_first_line_of_the_tree_says_what_went_wrong(output: str) -> None:
    """Before anybody reads what happened when."""
    assert tree(output)[0].endswith("29 steps, 3 tool calls failed, 1 circuit opened)")


def test_the_customer_reads_an_answer_and_the_reason(output: str) -> None:
    """A run that is stopped without a word looks like a broken product."""
    answer = " ".join(output[output.index("customer reads") : output.index("What you saw")].replace("│", " ").split())
    assert "I asked the order service 3 times" in answer
    assert "That does not mean that the order is pending" in answer
    assert "circuit_open" in answer
    assert "Try again in 30 seconds." in answer


def test_the_lines_that_differ_are_lines_of_the_pack(output: str) -> None:
    """People type what they read here."""
    shown = output[output.index("What you saw") :]
    for name in ("BudgetCheckNode", "CircuitBreaker", "CircuitBreakerNode", "LoopCheckNode", "ToolGuard", "FinishNode"):
        assert name in shown
        assert name in langgraph_guard.__all__


def test_the_output_names_no_place_of_this_machine(output: str) -> None:
    """A screen that is pasted into a chat tells nobody where somebody keeps things."""
    assert str(Path.home()) not in output
    assert str(ROOT) not in output
    assert "127.0.0.1" not in output


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


@pytest.fixture(scope="module")
def elsewhere() -> str:
    """What another run prints, on an ASCII terminal, behind a proxy, with a low step limit."""
    played = demo(
        PYTHONIOENCODING="ascii:strict", HTTP_PROXY="http://127.0.0.1:9", LANGGRAPH_DEFAULT_RECURSION_LIMIT="9"
    )
    assert played.returncode == 0, played.stderr
    return played.stdout


def test_every_run_comes_to_the_same(output: str, elsewhere: str) -> None:
    """A demo that differs from run to run teaches nobody."""
    for name in ("model calls", "tool calls", "tokens", "USD"):
        assert row(elsewhere, name) == row(output, name)


def test_an_ascii_terminal_gets_the_tree_too(elsewhere: str) -> None:
    """What it cannot show is replaced; the three time-outs are there."""
    assert elsewhere.isascii()
    assert len(re.findall(r"tool\.get_order_status \[[\d.,]+ m?s, ReadTimeout: timed\s+out\]", elsewhere)) == 3
    assert "`-- ? finish" in elsewhere
