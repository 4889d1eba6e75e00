"""`make docs`: the API reference is made of the docstrings, and nothing that is public is missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import langgraph_guard

ROOT = Path(__file__).parents[1]


def test_the_reference_has_every_public_name(tmp_path: Path) -> None:
    """The command is the one of the Makefile, so that it cannot rot there."""
    makefile = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/.dev", "docs"]
    command = subprocess.run(makefile, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    command[command.index("build/reference")] = str(tmp_path)
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "langgraph_guard.html").read_text(encoding="utf-8")
    described = set(re.findall(r'<section id="(\w+)">', page))
    assert set(langgraph_guard.__all__) <= described
