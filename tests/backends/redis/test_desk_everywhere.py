"""The desk's and the outbox' whole contract on every server, topology and network. Slow."""

from __future__ import annotations

import pytest

from langgraph_guard.testing.contracts import ApprovalContract
from langgraph_guard.testing.contracts.approvals.concurrency import Concurrency
from tests.backends.redis import places
from tests.backends.redis.desks import Desks, WhileScriptsAreFlushed

pytestmark = pytest.mark.slow


class TestRacesOnRedis(Desks, places.OnRedis, Concurrency):
    trials = 100


class TestRedisDeskOnOldRedis(Desks, places.OnOldRedis, ApprovalContract):
    trials = 3
    histories = 12


class TestRedisDeskOnACluster(Desks, places.OnACluster, ApprovalContract):
    trials = 3
    histories = 12


class TestRedisDeskBehindSentinels(Desks, places.BehindSentinels, ApprovalContract):
    trials = 3
    histories = 12


class TestRedisDeskOnALossyNetwork(Desks, places.OnALossyNetwork, ApprovalContract):
    trials = 3
    histories = 12


class TestRedisDeskWhileScriptsAreFlushed(WhileScriptsAreFlushed, places.OnRedis, ApprovalContract):
    trials = 3
    histories = 12
