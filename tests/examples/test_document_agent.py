"""The example that people copy runs as it stands: a long document, a short context, and right answers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
AGENT: Final = ROOT / "examples/document_agent/agent.py"


@pytest.fixture(scope="module")
def output() -> str:
    """What one run prints."""
    played = subprocess.run([sys.executable, AGENT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    return played.stdout


def test_every_answer_is_right(output: str) -> None:
    """What was put aside must be found again, from the first question to the last."""
    assert "20 of 20 answers are right" in output


def test_no_prompt_is_longer_than_the_window(output: str) -> None:
    """The document alone is three times as long."""
    figures = re.search(r"the handbook: ([\d,]+) tokens; the longest prompt: ([\d,]+) of ([\d,]+)", output)
    assert figures is not None, output
    document, longest, window = (int(each.replace(",", "")) for each in figures.groups())
    assert longest <= window < document / 3


def test_the_document_is_opened_once(output: str) -> None:
    """Read again for each question, it would be paid for twenty times."""
    assert "the handbook was opened 1 time" in output


def test_what_was_asked_first_is_still_there(output: str) -> None:
    """The goal of a conversation is what a summary loses first."""
    assert "first: What is the code of chapter 1 of the handbook?" in output
