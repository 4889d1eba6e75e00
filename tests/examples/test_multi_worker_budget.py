"""The example that people copy runs as it stands: eight processes never spend more than they may together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from langgraph_guard import SqliteBackend
from langgraph_guard.policies.ledger import Account, Read

ROOT: Final = Path(__file__).parent.parent.parent
WORKERS: Final = ROOT / "examples/multi_worker_budget/workers.py"
LIMIT: Final = 50_000

pytestmark = pytest.mark.timeout(400)  # eight processes, on two cores that others use as well


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run keeps its accounts."""
    return tmp_path_factory.mktemp("workers") / "guard.db"


@pytest.fixture(scope="module")
def output(file: Path) -> str:
    """What one run prints."""
    played = subprocess.run(
        [sys.executable, str(WORKERS), "--file", str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert played.returncode == 0, played.stderr
    return played.stdout


def rows(output: str) -> list[tuple[int, int, float]]:
    """Of each worker: calls granted, calls refused, USD spent."""
    found = re.findall(r"worker \d\W+(\d+)\W+(\d+)\W+(0\.\d+)", output)
    return [(int(granted), int(refused), float(usd)) for granted, refused, usd in found]


def test_every_worker_is_in_the_table(output: str) -> None:
    """Ten customers each, served or not."""
    assert [granted + refused for granted, refused, _ in rows(output)] == [10] * 8


def test_together_they_spend_what_they_may_and_no_more(output: str) -> None:
    """Up to the holds of eight calls, so that it is the limit that ended them."""
    spent = round(sum(usd for *_, usd in rows(output)) * 1_000_000)
    assert LIMIT * 0.6 < spent <= LIMIT
    assert "overspend 0.000000" in output


def test_what_they_say_is_what_the_ledger_says(output: str, file: Path) -> None:
    """A table that adds up its own figures proves nothing."""
    spent = round(sum(usd for *_, usd in rows(output)) * 1_000_000)
    account = Account("acme", "tenant", "acme", "usd", "month")
    with SqliteBackend(file, tenant="acme") as backend:
        found: Any = backend.ledger.execute([Read((account,))])
    assert (found[0][0].spent, found[0][0].reserved) == (spent, 0)


def test_it_uses_public_names_alone() -> None:
    """What an example imports, people will import."""
    modules = re.findall(r"^ *from (langgraph_guard\S*) import", WORKERS.read_text(), re.MULTILINE)
    assert modules == [
        "langgraph_guard",
        "langgraph_guard.events",
        "langgraph_guard.testing",
        "langgraph_guard.backends.redis",
    ]
