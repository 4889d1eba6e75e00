"""The examples are one set: each has the same four headings, commands that are there, and a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.name for path in (ROOT / "examples").iterdir() if (path / "README.md").exists())
HEADINGS = ["What it shows", "Run it", "What to look at", "Make it yours"]

TESTS = {name: ROOT / "tests/examples" / f"test_{name}.py" for name in FOLDERS}
TESTS["cloudflare_gateway"] = ROOT / "tests/test_cloudflare_gateway.py"


def readme(name: str) -> str:
    """Of an example."""
    return (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8")


def test_every_folder_is_an_example() -> None:
    """One without a README is one that nobody finds."""
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir() and any(path.glob("*.*"))}
    assert folders - {"__pycache__"} == set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_readme_has_the_shape_of_every_example(name: str) -> None:
    """Who has read one knows where to look in the next."""
    assert re.findall(r"^## (.+)$", readme(name), re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("name", FOLDERS)
def test_each_file_that_a_command_names_is_there(name: str) -> None:
    """A command is pasted before it is read."""
    for file in re.findall(r"python (examples/\S+\.py)", readme(name)):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("name", FOLDERS)
def test_each_link_leads_somewhere(name: str) -> None:
    """A link breaks silently when things move."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", readme(name)):
        assert target.startswith("https://") or (ROOT / "examples" / name / target).exists(), target


@pytest.mark.parametrize("name", FOLDERS)
def test_a_test_runs_it(name: str) -> None:
    """An example that nothing runs is one that will not run."""
    tree = ast.parse(TESTS[name].read_text(encoding="utf-8"))
    tests = [each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [each for each in tests if each.startswith("test_")]
