"""What the tests of the nodes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver


@pytest.fixture
def saver() -> Any:
    return InMemorySaver()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def sqlite_saver(database: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(str(database)) as saver:
        yield saver
