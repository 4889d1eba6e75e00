"""Real servers, started once per test process, and only when a test asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.kv import kv_simulator

__all__ = ["kv_simulator"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Thousands of tests take a while to be found and not run."""
    skipped = collection_path.name == "test_contract_everywhere.py" and config.option.markexpr == "not slow"
    return True if skipped else None
