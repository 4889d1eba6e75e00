"""`Retries`: how often a guard repeats a tool call that failed, and how long it waits in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_ATTEMPTS: Final = 10

Share = Annotated[float, Field(ge=0, le=1)]
Pause = Annotated[float, Field(gt=0, le=3_600)]


class Retries(BaseModel):
    """What `retry_policy` says in full. Intervals are in seconds.

    `attempts` is the total, the first one included. `jitter` is the share of a pause that chance may take away, so
    that a fleet does not come back at once. `budget` is the share of a tool's calls that may be repetitions: when
    everything fails, a fleet that repeats everything is what keeps a service down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False)

    attempts: int = Field(default=3, ge=1, le=MOST_ATTEMPTS)
    initial_interval: Pause = 0.5
    backoff_factor: float = Field(default=2.0, ge=1, le=10)
    max_interval: Pause = 8.0
    jitter: Share = 0.5
    budget: Share = 0.2

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_interval < self.initial_interval:
            raise ValueError("max_interval must not be less than initial_interval")
        return self

    def backoff(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number `attempt`, from 1, has failed. `chance` from 0 to 1."""
        grown = self.initial_interval * self.backoff_factor ** min(max(attempt - 1, 0), MOST_ATTEMPTS)
        return min(grown, self.max_interval) * (1 - self.jitter * chance)


NAMED: Final[Mapping[str, Retries]] = {"none": Retries(attempts=1), "exponential_backoff": Retries()}
"""What a contract may write in a word."""


def in_full(written: Any) -> Any:
    """A word as what it stands for; a mapping or `Retries` as it is."""
    if isinstance(written, str):
        written = NAMED.get(written)
    if not isinstance(written, (Mapping, Retries)):
        raise ValueError(f"must be {' or '.join(map(repr, NAMED))}, or a mapping of {', '.join(Retries.model_fields)}")
    return written
