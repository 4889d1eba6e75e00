"""The ledger's whole contract on every server, topology and network. Slow."""

from __future__ import annotations

import pytest

from langgraph_guard.policies.ledger import Charge
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import LedgerContract
from langgraph_guard.testing.contracts.ledger.harness import ACCOUNTS, SESSION, Till, everywhere
from tests.backends.redis import places

pytestmark = pytest.mark.slow


class PerSlot:
    """What no slot can know: that an id is in use in another one. Histories use it for both, by chance."""

    test_every_history_is_answered_as_the_model_answers_it = None


class TestRedisLedgerOnTenantsSlots(PerSlot, places.OnATenantsSlots, LedgerContract):
    trials = 3


class TestRedisLedgerOnOldRedis(places.OnOldRedis, LedgerContract):
    trials = 3


class TestRedisLedgerOnACluster(places.OnACluster, LedgerContract):
    trials = 3


class TestRedisLedgerOnAClustersSlots(PerSlot, places.OnAClustersSlots, LedgerContract):
    trials = 3


class TestRedisLedgerBehindSentinels(places.BehindSentinels, LedgerContract):
    trials = 3


class TestRedisLedgerOnALossyNetwork(places.OnALossyNetwork, LedgerContract):
    """How many leases a worker ended may be lost with an answer, as `Expire` says; what they are charged may not."""

    trials = 3

    def test_expiring_twice_charges_once(self, till: Till, clock: FakeClock) -> None:
        """Every worker sweeps."""
        till.reserve("r", *everywhere(30, 100), lease=60)
        clock.advance(600)
        assert sum(till.expire() for _ in range(3)) <= 1
        assert till.balances(*ACCOUNTS) == [(30, 0)] * 4

    def test_many_orphans_are_each_closed_once(self, till: Till, clock: FakeClock) -> None:
        """A whole fleet may die at once."""
        for number in range(500):
            till.reserve(f"r{number}", Charge(SESSION, 1), lease=60)
        clock.advance(60)
        while till.expire():
            pass
        assert till.balance(SESSION) == (500, 0)
