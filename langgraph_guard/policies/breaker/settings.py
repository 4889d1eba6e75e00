"""When a circuit opens, for how long, and how it is tried again: resilience4j's words, in seconds and shares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langgraph_guard.errors import ConfigError

BUCKETS: Final = 10
"""Parts of a window. A call leaves it between 9/10 and 10/10 of its length after it ended."""

MILLION: Final = 1_000_000
LONGEST: Final = 30 * 86_400.0
"""The longest span of time, in seconds: with it, all arithmetic stays exact in doubles, which is what Lua has."""


class Figures(NamedTuple):
    """The settings as the rules use them: integers, in milliseconds, millionths and thousandths."""

    failure_rate: int
    slow_rate: int
    slow_ms: int | None
    minimum: int
    bucket_ms: int
    wait_ms: int
    backoff: int
    max_wait_ms: int
    jitter: int
    permitted: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """A circuit opens when at least `minimum_number_of_calls` ended within `sliding_window_size` seconds and the share
    of failures, or of slow calls, reached its threshold.

    A call is slow from `slow_call_duration_threshold` seconds on; by default none is. The circuit stays open for
    `wait_duration_in_open_state` seconds, `backoff_multiplier` times longer at each opening in a row, no longer than
    `max_wait_duration_in_open_state`, give or take the share `jitter`. Then it lets
    `permitted_number_of_calls_in_half_open_state` calls through and decides by them; a place that its caller never gave
    back is free again after `half_open_lease` seconds. Raises `ConfigError` naming the field.
    """

    failure_rate_threshold: float = 0.5
    slow_call_rate_threshold: float = 1.0
    slow_call_duration_threshold: float | None = None
    minimum_number_of_calls: int = 3
    sliding_window_size: float = 60.0
    wait_duration_in_open_state: float = 30.0
    backoff_multiplier: float = 2.0
    max_wait_duration_in_open_state: float = 600.0
    jitter: float = 0.1
    permitted_number_of_calls_in_half_open_state: int = 1
    half_open_lease: float = 60.0
    figures: Figures = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", _figures(self))


def _figures(settings: BreakerSettings) -> Figures:
    slow = settings.slow_call_duration_threshold
    figures = Figures(
        failure_rate=_share(settings, "failure_rate_threshold"),
        slow_rate=_share(settings, "slow_call_rate_threshold"),
        slow_ms=None if slow is None else _ms(settings, "slow_call_duration_threshold"),
        minimum=_count(settings, "minimum_number_of_calls", most=1_000_000),
        bucket_ms=max(1, _ms(settings, "sliding_window_size") // BUCKETS),
        wait_ms=_ms(settings, "wait_duration_in_open_state"),
        backoff=int(_number(settings, "backoff_multiplier", least=1, most=100) * 1_000),
        max_wait_ms=_ms(settings, "max_wait_duration_in_open_state"),
        jitter=int(_number(settings, "jitter", least=0, most=1) * 1_000),
        permitted=_count(settings, "permitted_number_of_calls_in_half_open_state", most=1_000),
        lease_ms=_ms(settings, "half_open_lease"),
    )
    if figures.max_wait_ms < figures.wait_ms:
        raise ConfigError("max_wait_duration_in_open_state", "must not be shorter than wait_duration_in_open_state")
    return figures


def _share(settings: BreakerSettings, name: str) -> int:
    # Rounded down: two of three calls must reach 2/3.
    return max(1, int(_number(settings, name, above=0, most=1) * MILLION))


def _ms(settings: BreakerSettings, name: str) -> int:
    return max(1, round(_number(settings, name, above=0, most=LONGEST) * 1_000))


def _number(
    settings: BreakerSettings, name: str, *, most: float, least: float = -math.inf, above: float = -math.inf
) -> float:
    value: Any = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(name, f"must be a number, is a {type(value).__name__}")
    if not (least <= value <= most and value > above):
        lower = f"above {above:g}" if above > -math.inf else f"at least {least:g}"
        raise ConfigError(name, f"must be {lower} and at most {most:g}, is {value}")
    return float(value)


def _count(settings: BreakerSettings, name: str, *, most: int) -> int:
    value: Any = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(name, f"must be an int, is a {type(value).__name__}")
    if not 1 <= value <= most:
        raise ConfigError(name, f"must be at least 1 and at most {most}, is {value}")
    return value
