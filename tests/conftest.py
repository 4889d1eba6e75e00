"""What tests all over the tree share: examples and token counts that do not depend on the machine or on the day."""

from __future__ import annotations

import gc
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from langgraph_guard.tokens import loading
from langgraph_guard.tokens import vocabulary as places
from langgraph_guard.tokens.encodings import ENCODINGS
from tests.servers.kv import kv_simulator
from tests.vocabulary import vocabulary_folder

__all__ = ["kv_simulator"]


def pytest_collection_finish() -> None:
    """The tests are hundreds of thousands of objects, which stay to the end: who looks for garbage looks elsewhere."""
    gc.collect()
    gc.freeze()


MOST_THREADS = 200
"""That tests may leave behind, all of them together. More, each awake for a moment every second, can stop a machine."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Whatever a test starts ends with it, or soon."""
    if threading.active_count() > MOST_THREADS:
        names = Counter(thread.name.rstrip("0123456789") for thread in threading.enumerate())
        pytest.fail(f"threads are left behind: {names.most_common(5)}")


# A busy machine is not a broken law, and a run says the same of the same code each time. Who wants to meet new
# examples asks for them: `pytest --hypothesis-profile=search`.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("search", settings.get_profile("tests"), derandomize=False, max_examples=1_000)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def vocabulary_is_missing() -> Iterator[None]:
    """Everywhere but where a test asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_loaded", {})
        patch.setattr(loading, "_missing", {(name, allowed) for name in ENCODINGS for allowed in (True, False)})
        yield


@pytest.fixture(scope="session")
def vocabulary() -> Path:
    """A folder with the genuine files."""
    return vocabulary_folder()


@pytest.fixture(scope="session")
def encodings(vocabulary: Path) -> dict[str, Any]:
    """Built once: each takes a moment, and tens of megabytes."""
    return {name: loading.build(spec, (vocabulary / spec.file.name).read_bytes()) for name, spec in ENCODINGS.items()}


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No vocabulary loaded, searched for, or in the places of this machine."""
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(loading, "_missing", set())
    monkeypatch.setattr(places, "_told", set())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing-here"))
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    if registry := sys.modules.get("tiktoken.registry"):
        monkeypatch.setattr(registry, "ENCODINGS", {})
