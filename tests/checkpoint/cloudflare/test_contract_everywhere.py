"""All that a checkpointer promises, on Cloudflare's simulator and on both kinds of gateway."""

from __future__ import annotations

import pytest

from tests.checkpoint.cloudflare import places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class TestOnExplorer(places.OnExplorer, places.BundledContract):
    """Cloudflare's simulator."""

    trials = 2


class TestOnGatewayKV(places.OnGatewayKV, places.BundledContract):
    """The gateway over KV."""

    trials = 2


class TestOnGatewayDO(places.OnGatewayDO, places.BundledContract):
    """The gateway over Durable Objects."""

    trials = 2


class TestSealed(places.Sealed, places.BundledContract):
    """Encrypted and compressed, in memory."""

    trials = 2


class TestExpiring(places.Expiring, places.BundledContract):
    """With an expiry that does not come, in memory."""

    trials = 2
