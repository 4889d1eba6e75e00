"""What model calls cost, so that the log's figures and the ledger's are the same.

A model call whose charge is not known yet is kept back until it is, at the latest until the node around it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from langgraph_guard.observability.charges import Charge, Charges
from langgraph_guard.observability.steps.drafts import LISTED, Cost
from langgraph_guard.observability.steps.units import Unit

Write = Callable[[Cost, int | None], None]
"""Writes a record, with its cost if that is known, and with the tokens that the ledger charged where nobody said how
many there were."""


class Bills:
    """Ties charges to model calls. `unclaimed(unit, usd)` gets what belongs to none: tools that cost money."""

    def __init__(self, unclaimed: Callable[[Unit, int], None]) -> None:
        self._charges = Charges()
        self._unclaimed = unclaimed

    def said(self, event: str, unit: Unit | None, said: Mapping[str, Any]) -> None:
        """What a meter says, within `unit` or outside of what is watched."""
        found = self._charges.say(event, said)
        # Of a stream that was left, the garbage collector may close the call while another run is under way.
        around = (found and found.root) or unit
        if found is not None and found.charge.usd and around is not None:
            self._unclaimed(around, found.charge.usd)

    def began(self, call: Unit) -> None:
        self._charges.began(call, call.id, call.reservations, call.root)

    def ended(self, call: Unit, write: Write) -> None:
        """A model call has ended. Without a meter it costs what the price list says."""
        if not self._charges.ended(call, lambda charge: write(*_figures(charge))):
            write(LISTED, None)

    def left(self, call: Unit) -> tuple[Cost, int | None]:
        """What a call cost whose end nobody told, and the tokens that were charged."""
        return _figures(self._charges.left(call))

    def close(self, unit: Unit) -> None:
        """`unit` has ended, and so has waiting within it."""

        def is_within(call: Hashable) -> bool:
            return isinstance(call, Unit) and call.is_within(unit)

        self._charges.close_within(is_within)
        if unit.around is None:
            self._charges.forget(unit)


def _figures(charge: Charge | None) -> tuple[Cost, int | None]:
    if charge is None:
        return None, None
    return charge.usd, None if charge.told else charge.tokens
