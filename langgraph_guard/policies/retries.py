"""When an attempt that failed is made again, and after how long: the rules of OpenAI's and Anthropic's own clients."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from langgraph_guard.policies.outcomes import status_of

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0

LONGEST_WAIT: Final = 120.0
"""Who is told to come back later than that does not wait for it."""

PASSING: Final = frozenset({408, 409, 429})
"""Refusals that may be over in a moment, beside every 5xx."""

UNREACHED: Final = "APIConnectionError"
"""What the clients call an answer that did not arrive, time-outs included."""


def pause_before(attempt: int, error: BaseException, now: float, jitter: float) -> float | None:
    """Seconds until `attempt` (the first was 0) follows one that ended with `error`; `None` when none should.

    `now` in epoch seconds, `jitter` from 0 to 1.
    """
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if not _may_pass(error, headers):
        return None
    told = _retry_after(headers, now)
    if told is not None and told > LONGEST_WAIT:
        return None
    if told is not None and told > 0:
        return told
    return min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE) * (1 - jitter / 4)


def _may_pass(error: BaseException, headers: Mapping[str, Any]) -> bool:
    if (status := status_of(error)) is None:
        return any(kind.__name__ == UNREACHED for kind in type(error).__mro__)
    if (said := headers.get("x-should-retry")) in ("true", "false"):
        return bool(said == "true")
    return status in PASSING or status >= 500


def _retry_after(headers: Mapping[str, Any], now: float) -> float | None:
    """What the server asks for, in seconds: milliseconds, seconds or a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError, TypeError):
            continue
    try:
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - now
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
