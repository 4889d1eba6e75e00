"""`CloudflareKVSaver` on Cloudflare's simulator and on the gateway Worker: what many do there at once.

LangGraph's conformance suite is run there by `test_simulator.py`, the whole contract by `test_contract_everywhere.py`.
"""

from __future__ import annotations

from langgraph_guard.testing.contracts.saver.concurrency import Concurrency
from langgraph_guard.testing.contracts.saver.running import Running
from tests.checkpoint.cloudflare import places


class Sample(Concurrency):
    """Writers, cleaners and copiers at once; a graph that asks in one process and goes on in another."""

    trials = 1
    test_questions_are_answered_in_another_process = Running.test_questions_are_answered_in_another_process


class TestOnExplorer(places.OnExplorer, Sample):
    """The REST API of Cloudflare's simulator."""


class TestOnGatewayKV(places.OnGatewayKV, Sample):
    """The gateway over KV."""


class TestOnGatewayDO(places.OnGatewayDO, Sample):
    """The gateway over Durable Objects."""
