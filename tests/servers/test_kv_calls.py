"""Workers KV answers alike wherever it is tested: the simulator is right, and the store in memory is held to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_guard.testing import FakeClock
from tests.servers.kv import KVPlace, KVSimulator
from tests.servers.kv_calls import SingleCalls
from tests.servers.kv_front import KVFront


class TestExplorer(SingleCalls):
    """Cloudflare's own, unchanged."""

    @pytest.fixture(autouse=True)
    def _simulator(self, kv_simulator: KVSimulator) -> None:
        self.simulator = kv_simulator

    @pytest.fixture
    def _served(self, _simulator: None) -> None:
        """It runs."""

    def place(self) -> KVPlace:
        return self.simulator.explorer()


class TestStore(SingleCalls):
    """In memory, without a socket: what the saver's unit tests run on."""

    @pytest.fixture
    def _served(self) -> None:
        self.front = KVFront(FakeClock())
        self.transport = self.front.transport  # type: ignore[misc]

    def place(self) -> KVPlace:
        return self.front.place


class TestStoreOverHTTP(SingleCalls):
    """The same for other processes."""

    @pytest.fixture
    def _served(self) -> Iterator[None]:
        with KVFront(FakeClock()).served() as self.over_http:
            yield

    def place(self) -> KVPlace:
        return self.over_http
