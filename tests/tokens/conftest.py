"""Here counts are exact unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_guard.tokens import loading


@pytest.fixture(scope="module", autouse=True)
def counts_are_exact(encodings: dict[str, Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_loaded", dict(encodings))
        yield
