"""All that a checkpointer promises, on Cloudflare's simulator and on both kinds of gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checkpoint.cloudflare import places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class ThroughASocket(places.BundledContract):
    """Without what takes hours there; `test_contract.py` does it in memory."""

    test_a_thousand_sequences_of_calls_are_answered_as_the_model_answers_them: Any = None
    test_three_hundred_journeys_go_as_they_go_in_memory: Any = None
    test_twenty_thousand_checkpoints_are_all_there: Any = None
    test_the_whole_contract_holds_in_strict_mode: Any = None


class TestOnExplorer(places.OnExplorer, ThroughASocket):
    """Cloudflare's simulator."""

    trials = 2


class TestOnGatewayKV(places.OnGatewayKV, ThroughASocket):
    """The gateway over KV."""

    trials = 2


class TestOnGatewayDO(places.OnGatewayDO, ThroughASocket):
    """The gateway over Durable Objects."""

    trials = 2


class TestSealed(places.Sealed, places.BundledContract):
    """Encrypted and compressed, in memory."""

    trials = 2


class TestExpiring(places.Expiring, places.BundledContract):
    """With an expiry that does not come, in memory."""

    trials = 2
