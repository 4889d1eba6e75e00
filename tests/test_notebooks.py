"""The notebooks are one set: the same five headings, outputs to read, one cell to edit, and proof at the end."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = [path.name for path in sorted(FOLDER.glob("*.ipynb"))]
HEADINGS = ["The problem", "Add the node", "Run it", "What happened", "Make it yours"]

OF_A_MACHINE = re.compile(r"/(?:home|Users|root)/|/tmp/\w*tmp|/ipykernel_|site-packages|[A-Z]:\\Users")
"""Paths that are somebody's, in what a cell printed."""

DAY = re.compile(r"\b20\d\d-\d\d-\d\d\b")
"""A day that a cell printed. Where clocks are moved by hand, it is always the same."""

pytestmark = pytest.mark.parametrize("name", NAMES)


@cache
def cells(name: str) -> list[dict[str, Any]]:
    """As they are stored."""
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    return found


def prose(name: str) -> str:
    """What stands between the code."""
    return "\n\n".join("".join(each["source"]) for each in cells(name) if each["cell_type"] == "markdown")


def code(name: str) -> list[dict[str, Any]]:
    """The cells that run."""
    return [each for each in cells(name) if each["cell_type"] == "code"]


def printed(name: str) -> str:
    """What they wrote, without the pictures."""
    streams = [each for cell in code(name) for each in cell["outputs"] if each["output_type"] == "stream"]
    return "".join("".join(each["text"]) for each in streams)


def pictures(name: str) -> int:
    """How many are stored."""
    return sum("image/png" in each.get("data", ()) for cell in code(name) for each in cell["outputs"])


def test_it_has_the_headings_of_every_notebook(name: str) -> None:
    """Who has read one knows where to look in the next."""
    assert re.findall(r"^## (.+)$", prose(name), re.MULTILINE) == HEADINGS


def test_it_has_one_title_that_says_what_it_is_for(name: str) -> None:
    """The guard, and what one gets from it."""
    [title] = re.findall(r"^# (.+)$", prose(name), re.MULTILINE)
    assert re.fullmatch(r"[^:]+: .+", title)


def test_it_was_run_from_top_to_bottom(name: str) -> None:
    """Cells that were run out of order show what no reader will see."""
    assert [cell["execution_count"] for cell in code(name)] == list(range(1, len(code(name)) + 1))


def test_its_outputs_are_stored_and_none_is_an_error(name: str) -> None:
    """Most people read a notebook where it is shown, and do not run it."""
    kinds = {each["output_type"] for cell in code(name) for each in cell["outputs"]}
    assert printed(name)
    assert kinds <= {"stream", "display_data"}


def test_nothing_was_written_to_the_error_stream(name: str) -> None:
    """A warning in a template is a warning in every copy."""
    streams = {each["name"] for cell in code(name) for each in cell["outputs"] if each["output_type"] == "stream"}
    assert streams == {"stdout"}


def test_it_draws_its_graph_and_a_plot(name: str) -> None:
    """People look before they read."""
    assert sum(bool(re.search(r"^draw\(", "".join(cell["source"]), re.MULTILINE)) for cell in code(name)) == 1
    assert pictures(name) >= 2


def test_nothing_in_its_outputs_is_of_one_machine_or_one_day(name: str) -> None:
    """Such an output changes with each run, and tells where it was made."""
    assert OF_A_MACHINE.findall(printed(name)) == []
    assert set(DAY.findall(printed(name))) <= {"2026-01-01"}  # what `FakeClock` begins with


def test_nothing_is_stored_beside_its_cells(name: str) -> None:
    """Editors keep times and states there."""
    assert [cell["metadata"] for cell in cells(name)] == [{}] * len(cells(name))


def test_one_cell_is_to_be_edited_and_holds_names_of_its_own(name: str) -> None:
    """It is the one behind the last heading, and what it sets is `my_…`, so that nothing above changes with it."""
    [at] = [at for at, cell in enumerate(cells(name)) if "## Make it yours" in "".join(cell["source"])]
    tree = ast.parse("".join(cells(name)[at + 1]["source"]))
    bound = [
        target.id
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    ]
    assert "the only one to edit" in " ".join(prose(name).split())
    assert bound
    assert [each for each in bound if not each.startswith("my_")] == []


def test_it_says_where_a_real_key_goes(name: str) -> None:
    """Otherwise it goes into the notebook, and from there into a repository."""
    last = prose(name).partition("## Make it yours")[2]
    assert re.search(r"environment|no\s+place for a key", last)


def test_it_ends_in_assertions(name: str) -> None:
    """What the text claims is held by the last cell, also in a reader's copy."""
    last = ast.parse("".join(code(name)[-1]["source"])).body
    assert sum(isinstance(each, ast.Assert) for each in last) >= 5


def test_it_uses_public_names_alone(name: str) -> None:
    """What a notebook imports, people will import."""
    source = "\n".join("".join(cell["source"]) for cell in code(name))
    modules = set(re.findall(r"^ *from (langgraph_guard\S*) import", source, re.MULTILINE))
    assert modules
    assert [each for each in modules if "._" in each] == []
