"""The example that people copy runs as it stands, and ends as its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
AGENT = ROOT / "examples/incident_2am/agent.py"


def test_the_agent_stops_within_its_budget_and_answers() -> None:
    """The first thing that a stranger copies must hold."""
    command = (
        f"import runpy; runpy.run_path({str(AGENT)!r}, run_name='__main__')"  # `-c`: the package need not be installed
    )
    played = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert played.returncode == 0, played.stderr
    assert "the order service gives no answer" in played.stdout
    assert "limit_cost" in played.stdout
    (spent,) = re.findall(r"session: (0\.\d+) USD", played.stdout)
    assert 0 < float(spent) <= 0.05


def test_the_agent_uses_public_names_alone() -> None:
    """What an example imports, people will import."""
    modules = re.findall(r"^from (langgraph_guard\S*) import", AGENT.read_text(), re.MULTILINE)
    assert modules == ["langgraph_guard", "langgraph_guard.testing"]


def test_the_readme_has_the_shape_of_every_example() -> None:
    """Who has read one knows where to look in the next."""
    titles = re.findall(r"^## (.+)$", AGENT.with_name("README.md").read_text(), re.MULTILINE)
    assert titles == ["What it shows", "Run it", "What to look at", "Make it yours"]
