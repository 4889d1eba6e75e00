"""What a process does by itself while the ledger that it shares with others is away.

ledger     the ledger around the shared one: passes everything on, and goes on where a limit allows it
outage     one time without the shared ledger: the limits of this process alone, and what it used
journal    what the shared ledger has to be told when it is back
"""

from __future__ import annotations

from langgraph_guard.backends.local.ledger import FallbackLedger

__all__ = ["FallbackLedger"]
