"""The whole contract on every server, with every client and option. Slow, and not even collected without it."""

from __future__ import annotations

import pytest

from langgraph_guard.testing.contracts.saver import SaverContract
from tests.checkpoint.redis import places

pytestmark = pytest.mark.slow


class TestAllSealed(places.Sealed, SaverContract):
    """Encrypted and compressed."""


class TestAllStrict(places.Strict, SaverContract):
    """Every element compared."""


class TestAllExpiring(places.Expiring, SaverContract):
    """With an expiry that does not come."""


class TestAllWithAUsersClient(places.WithAUsersClient, SaverContract):
    """Which answers in another form."""


class TestAllEncrypted(places.Encrypted, SaverContract):
    """By LangGraph's serializer."""


class TestAllOnACluster(places.OnACluster, SaverContract):
    """By the blocking client."""


class TestAllOnAClusterByAsyncio(places.OnAClusterByAsyncio, SaverContract):
    """By the other."""


class TestAllBehindSentinels(places.BehindSentinels, SaverContract):
    """Who have nothing to do here."""
