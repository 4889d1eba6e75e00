"""What time it is elsewhere: from the `Date` that every answer carries.

Ids are times. Where clocks differ, a run that goes on elsewhere stores what is older than the checkpoint it came from,
and the thread goes back to that one. Nothing in the store tells, so it is said as soon as a server's clock is heard.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

_log = logging.getLogger(__name__)

A_SECOND: Final = 1.0
"""What a `Date` leaves open: it has no fractions."""

LOGGED: Final = 60.0
"""Seconds between two clocks that are worth a line in the log, once. `check()` tells of less."""


class ServerClock:
    """How far a server's clock is ahead of this machine's, in seconds; `None` while no answer told."""

    def __init__(self) -> None:
        self.ahead: float | None = None
        self._told = False

    def hear(self, headers: Mapping[str, str], sent: float, answered: float) -> None:
        """Note an answer's date. `sent`, `answered`: this machine's time, before and after."""
        date = _date(headers)
        if date is None:
            return
        self.ahead = max(date - answered, 0.0) - max(sent - (date + A_SECOND), 0.0)
        if abs(self.ahead) > LOGGED and not self._told:
            self._told = True
            _log.warning("%s What it stores may not be found as the latest. Use NTP.", apart(self.ahead))


def apart(ahead: float) -> str:
    """A sentence. `ahead`: the server's clock, in seconds."""
    return f"This machine's clock is {abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} the server's."


def _date(headers: Mapping[str, str]) -> float | None:
    """In seconds since 1970. That of an answer out of a cache is left out: it is as old as the answer."""
    if headers.get("age", "0") != "0":
        return None
    try:
        said = parsedate_to_datetime(headers.get("date", ""))
        return said.timestamp() if said.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None
