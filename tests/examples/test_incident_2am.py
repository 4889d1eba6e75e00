"""The example that people copy runs as it stands, and ends as its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
AGENT = ROOT / "examples/incident_2am/agent.py"


@pytest.fixture(scope="module")
def output() -> str:
    """What one run prints."""
    command = (
        f"import runpy; runpy.run_path({str(AGENT)!r}, run_name='__main__')"  # `-c`: the package need not be installed
    )
    played = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    return played.stdout


def test_the_agent_leaves_the_service_alone_after_three_time_outs(output: str) -> None:
    """The first thing that a stranger copies must hold."""
    assert "3 time-outs, and the circuit is open" in output
    assert "circuit_open: get_order_status may not be called at present" in output


def test_the_agent_answers_and_says_when_to_come_back(output: str) -> None:
    """The person in front of it is owed the truth, and a way to go on."""
    assert "the order service gives no answer" in output
    assert re.search(r"Try again in \d+ seconds", output)
    assert "pending" not in output.lower()


def test_the_agent_spends_less_than_a_cent(output: str) -> None:
    """The budget is $0.05, and it is not what ends the run."""
    (spent,) = re.findall(r"session: (0\.\d+) USD", output)
    assert 0 < float(spent) < 0.01


def test_the_agent_uses_public_names_alone() -> None:
    """What an example imports, people will import."""
    modules = re.findall(r"^from (langgraph_guard\S*) import", AGENT.read_text(), re.MULTILINE)
    assert modules == ["langgraph_guard", "langgraph_guard.testing"]
