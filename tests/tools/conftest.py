"""What the tests of the tools share."""

from __future__ import annotations

import pytest

from tests.tools.guarded import MODES


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)
