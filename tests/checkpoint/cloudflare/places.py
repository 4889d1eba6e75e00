"""Where the contract is run: each kind of Workers KV, and each option, that `CloudflareKVSaver` works with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.testing.contracts.saver import STORED_TYPES, SaverContract
from langgraph_guard.testing.contracts.saver.delta import Delta
from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, at, uid
from langgraph_guard.testing.contracts.saver.running import same_everywhere
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.bundled import BundledModel
from tests.servers.kv import KVPlace, KVSimulator
from tests.servers.kv_front import KVFront


class OnKV(Harness):
    """Each test has a prefix of its own in one namespace, which is strongly consistent unless it is said otherwise."""

    options: ClassVar[dict[str, Any]] = {"visibility": 0.0, "group_window": 0.0}

    def connect(self, **options: Any) -> CloudflareKVSaver:
        """A saver on the namespace."""
        raise NotImplementedError

    def make_saver(self) -> CloudflareKVSaver:
        return self._saver(f"t{secrets.token_hex(6)}", "")

    def make_model(self) -> BundledModel:
        return BundledModel()

    def another(self, saver: Any) -> CloudflareKVSaver:
        keys = saver._store.keys
        return self._saver(keys.prefix, keys.tenant)

    def of_tenant(self, saver: Any, tenant: str) -> CloudflareKVSaver:
        return self._saver(saver._store.keys.prefix, tenant)

    def close(self, saver: Any) -> None:
        saver.close()

    async def aclose(self, saver: Any) -> None:
        await saver.aclose()

    def _saver(self, prefix: str, tenant: str) -> CloudflareKVSaver:
        return self.connect(prefix=prefix, tenant=tenant, allowed_types=STORED_TYPES, **self.options)


class BundledDelta(Delta):
    """Where a snapshot is stored is a saver's own affair; that it is found is not."""

    @pytest.mark.parametrize("between", [0, 20])
    def test_a_snapshot_counts_for_each_checkpoint_that_names_its_version(
        self, twins: Both, cold: Callable[[Both], Both], between: int
    ) -> None:
        """It is stored with the checkpoint that it was put with; histories of the others lead there."""
        author = Author(twins)
        author.put(1, {"items": _DeltaSnapshot(["snapshot"])})
        parent, driven = author.puts[1], cold(twins)
        other = Author(driven)
        for number in range(2, between + 2):
            other.put(number, {"plain": number})
        driven.put(author.at(1), {**parent, "id": uid(between + 2), "channel_values": {}}, {}, {})
        assert driven.history(at(), "items")["items"]["seed"] == _DeltaSnapshot(["snapshot"])
        same_everywhere(driven, cold)


class BundledContract(BundledDelta, SaverContract):
    """All promises, of a saver that stores checkpoints whole."""


class OnFake(OnKV):
    """In memory."""

    @property
    def front(self) -> KVFront:
        if "_front" not in vars(self):
            self._front = fronts.front()
        return self._front

    def connect(self, **options: Any) -> CloudflareKVSaver:
        return fronts.saver(self.front, **options)


class Sealed(OnFake):
    """Encrypted, and small. One key for all processes of a test run."""

    options: ClassVar[dict[str, Any]] = {**OnKV.options, "seal": Seal(os.urandom(32)), "compress": True}


class Expiring(OnFake):
    """With an expiry that does not come."""

    options: ClassVar[dict[str, Any]] = {**OnKV.options, "ttl": 3_600}


class OnExplorer(OnKV):
    """Cloudflare's own simulator, through a socket."""

    place: KVPlace

    @pytest.fixture(autouse=True)
    def _place(self, kv_simulator: KVSimulator) -> None:
        self.place = kv_simulator.explorer()

    def connect(self, **options: Any) -> CloudflareKVSaver:
        terms = {"deadline": fronts.BUSY, **options}
        return CloudflareKVSaver.from_conn_string(self.place.url, api_token=self.place.api_token, **terms)


class OnGatewayKV(OnExplorer):
    """The gateway Worker over KV."""

    @pytest.fixture(autouse=True)
    def _place(self, kv_simulator: KVSimulator) -> None:
        self.place = kv_simulator.gateway_kv()


class OnGatewayDO(OnExplorer):
    """The gateway Worker over Durable Objects."""

    @pytest.fixture(autouse=True)
    def _place(self, kv_simulator: KVSimulator) -> None:
        self.place = kv_simulator.gateway_do()


class InWeather(OnFake):
    """Writes are seen 1.5 s late, misses are remembered for 5 s, keys are written once a second, pages come empty.

    A process that starts later starts after all that: what it cannot see before is in `test_consistency.py`.
    """

    options: ClassVar[dict[str, Any]] = {"group_window": 0.0}

    @property
    def front(self) -> KVFront:
        if "_front" not in vars(self):
            self._front = fronts.front(lag=1.5, negative=5.0, hot=1.0, empty_pages=1)
        return self._front

    # What no saver can know: that another process wrote a moment ago, of which nothing is listed and no token speaks.
    test_another_process_goes_on_where_this_one_stopped: ClassVar[None] = None
    test_forks_replay_only_what_is_on_their_way: ClassVar[None] = None

    def another(self, saver: Any) -> CloudflareKVSaver:
        self.front.clock.advance(121)
        return super().another(saver)
