"""The ledger's figure on the observation of the model call that it paid for."""

from __future__ import annotations

import time
from typing import Any

from langgraph_guard.observability.charges import Charge


class Late:
    """An observation that has ended and is not closed: it takes the place of the one that the handler ends."""

    def __init__(self, observation: Any) -> None:
        self.observation = observation
        self.ended_at: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.observation, name)

    def update(self, **said: Any) -> Late:
        self.observation.update(**said)
        return self

    def end(self, **_: Any) -> Late:
        self.ended_at = time.time_ns()
        return self

    def close(self, charge: Charge | None) -> None:
        if details := figures(charge):
            self.observation.update(**details)
        self.observation.end(end_time=self.ended_at)


def figures(charge: Charge | None) -> dict[str, dict[str, Any]]:
    """As Langfuse takes them: dollars, and tokens where the answer told none."""
    if charge is None or charge.usd is None:
        return {}
    details: dict[str, dict[str, Any]] = {"cost_details": {"total": charge.usd / 1_000_000}}
    if not charge.told and charge.tokens and charge.usd:
        details["usage_details"] = {"total": charge.tokens}
    return details
