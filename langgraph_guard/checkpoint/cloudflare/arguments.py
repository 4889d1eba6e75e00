"""What a saver is told when it is made, checked there: a wrong setting fails before the first superstep."""

from __future__ import annotations

import re
from datetime import timedelta

from langgraph_guard.errors import ConfigError


def checked_prefix(prefix: str) -> str:
    if not isinstance(prefix, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", prefix):
        raise ConfigError("prefix", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return prefix


def checked_ttl(ttl: timedelta | float | None) -> int | None:
    """In seconds."""
    if ttl is None:
        return None
    asked = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not 60 <= asked < 2**31:
        raise ConfigError("ttl", "must be a timedelta, or seconds, of 60 seconds or more")
    return int(asked)


def window(group_commit: bool, group_window: float) -> float | None:
    if not isinstance(group_commit, bool):
        raise ConfigError("group_commit", "must be True or False")
    longest = seconds("group_window", group_window)
    return longest if group_commit else None


def seconds(field: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ConfigError(field, "must be a number of seconds, 0 or more")
    return float(value)
