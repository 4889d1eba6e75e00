"""What pages and notebooks point to is there: files, headings, and commands that can be given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from langgraph_guard import cli

ROOT: Final = Path(__file__).parents[1]
TEXTS: Final = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "examples/*/README.md", "notebooks/*.ipynb")
    for path in sorted(ROOT.glob(pattern))
]

FENCED: Final = re.compile(r"^(`{3,})[^\n]*\n.*?^\1$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE: Final = ("https://", "http://", "mailto:")
FILE: Final = re.compile(r"(?<![\w/.…-])((?:docs|examples|notebooks|tests|benchmarks|langgraph_guard)/[\w./-]*\w)")
"""A path from the project's root, in prose, in `code` or in a command."""

COMMAND: Final = re.compile(r"\blanggraph-guard ([a-z][^`#\n]*)")
WORD: Final = re.compile(r"[a-z][a-z-]*")

pytestmark = pytest.mark.parametrize("name", TEXTS)


@cache
def text(name: str) -> str:
    """A page, or the words of a notebook."""
    path = ROOT / name
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "markdown")


def headings(name: str) -> set[str]:
    """What a page can be linked by, as GitHub makes it; a comment in a block of code is no heading."""
    found = set[str]()
    for title in re.findall(r"^#+ (.*)$", FENCED.sub("", text(name)), re.MULTILINE):
        plain = re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        again = (f"{plain}-{number}" for number in range(1, len(found) + 1))
        found.add(plain if plain not in found else next(each for each in again if each not in found))
    return found


def test_each_link_leads_to_a_file_and_each_anchor_to_a_heading(name: str) -> None:
    """A link breaks silently when things move."""
    for link in LINK.findall(FENCED.sub("", text(name))):
        if link.startswith(ELSEWHERE):
            continue
        target, _, anchor = link.partition("#")
        there = (ROOT / name).parent / target if target else ROOT / name
        assert there.exists(), link
        assert there.resolve().is_relative_to(ROOT), link
        assert not anchor or anchor in headings(there.resolve().relative_to(ROOT).as_posix()), link


def test_each_file_that_is_named_is_there(name: str) -> None:
    """A path in a sentence or a command is not a link, and breaks like one."""
    named = FILE.findall(LINK.sub("", text(name)))
    assert [each for each in named if not (ROOT / each).exists()] == []


def commands(name: str) -> Iterator[list[str]]:
    """The words of each `langgraph-guard …` on a page."""
    for said in COMMAND.findall(text(name)):
        yield said.split()


def deed(words: list[str]) -> list[str]:
    """The command, and what it is told to do: `budgets --tenant acme reopen` is `budgets reopen`."""
    free = [word for before, word in pairwise(words) if WORD.fullmatch(word) and not before.startswith("--")]
    return [words[0], *free[:1]]


def test_each_command_and_option_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command is pasted before it is read; its help knows what can be said."""
    for words in commands(name):
        with pytest.raises(SystemExit) as ended:
            cli.main([*deed(words), "--help"])
        assert ended.value.code == 0, words
        told = capsys.readouterr().out
        assert [word for word in words if word.startswith("--") and word not in told] == [], words
