"""What every implementation promises, as pytest classes to inherit: a backend of your own passes them, or is none.

    class TestMyLedger(LedgerContract):
        def make_backend(self, clock, tenant):
            return MyBackend(clock=clock, tenant=tenant)

Needs pytest and hypothesis, which the pack itself does not install.
"""

import pytest

# Failures show what they compared.
pytest.register_assert_rewrite(
    "langgraph_guard.testing.contracts.approvals",
    "langgraph_guard.testing.contracts.breakers",
    "langgraph_guard.testing.contracts.ledger",
    "langgraph_guard.testing.contracts.saver",
)

from langgraph_guard.testing.contracts.approvals import ApprovalContract  # noqa: E402 - after what prepares it
from langgraph_guard.testing.contracts.breakers import BreakerContract  # noqa: E402
from langgraph_guard.testing.contracts.ledger import LedgerContract  # noqa: E402
from langgraph_guard.testing.contracts.saver import SaverContract  # noqa: E402

__all__ = ["ApprovalContract", "BreakerContract", "LedgerContract", "SaverContract"]
