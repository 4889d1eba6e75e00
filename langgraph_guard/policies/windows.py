"""Which period a moment falls in. Periods are UTC and fixed; the moment is the backend's, never a worker's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, get_args

Window = Literal["minute", "hour", "day", "month"]
WINDOWS: Final = get_args(Window)

_SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}


class Period(NamedTuple):
    """One span of a window: its id sorts by time, `ends_at` is in seconds since the epoch (`None`: never)."""

    id: str
    ends_at: float | None


ALWAYS: Final = Period("", None)


def period(window: str | None, now: float) -> Period:
    """The period of `window` that holds `now`."""
    if window is None:
        return ALWAYS
    if window == "month":
        return _month(now)
    length = _SECONDS[window]
    number = int(now // length)
    return Period(f"{number:012d}", float((number + 1) * length))


def _month(now: float) -> Period:
    at = datetime.fromtimestamp(now // 1, UTC)  # whole seconds: a part of one would round up into the next month
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return Period(f"{at.year:08d}{at.month:04d}", datetime(year, month, 1, tzinfo=UTC).timestamp())
