"""Who may import whom: the contracts of pyproject.toml, checked, and shown to bite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache', '--no-logo'])"
    # `-c` puts the folder first on the path, so its copy of the package is the one that is read.
    return subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False)


def test_no_package_imports_one_above_it() -> None:
    """A policy that reaches for a driver cannot be tested, replayed or moved to another backend."""
    outcome = _lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("policies/_intruder.py", "import time", "Policies touch no"),
        ("policies/_intruder.py", "from langgraph.graph import StateGraph", "Policies touch no"),
        ("policies/_intruder.py", "import langgraph_guard.nodes", "Who may import whom"),
        ("backends/_intruder.py", "import langgraph_guard.cli", "Who may import whom"),
        ("backends/_intruder.py", "import langgraph_guard._redis.link", "Only the two Redis parts"),
        ("_intruder.py", "", "Who may import whom"),
    ],
)
def test_a_forbidden_import_is_reported(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """Contracts that cannot fail protect nothing; the last case is a package that nobody gave a place."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "langgraph_guard", tmp_path / "langgraph_guard")
    (tmp_path / "langgraph_guard" / module).write_text(line + "\n")

    outcome = _lint(tmp_path)

    assert outcome.returncode == 1
    broken = [row for row in outcome.stdout.splitlines() if "BROKEN" in row]
    assert [row for row in broken if row.startswith(contract)], outcome.stdout + outcome.stderr
