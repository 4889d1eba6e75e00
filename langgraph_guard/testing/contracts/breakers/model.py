"""The breaker again, as simple as it gets: nothing is summed up, all that happened is kept and looked through.

Each generation is an era with the list of its calls and when they ended. It shares the commands with the real one, and
not a line of its rules; shares are fractions, and what is in the window is a question of time stamps.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

from langgraph_guard.policies.breaker import (
    Admit,
    Admitted,
    BreakerSettings,
    Change,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reset,
    Status,
)

Told: TypeAlias = tuple[Any, ...]
"""A reply without what is a backend's own affair."""


@dataclass
class Era:
    """From one change of state to the next. Times are milliseconds."""

    state: str
    reason: str | None = None
    until: int | None = None
    in_a_row: int = 0
    ended: list[tuple[int, bool, bool]] = field(default_factory=list)
    """When calls ended, and whether they failed and were slow."""
    places: dict[str, int] = field(default_factory=dict)
    """Who may try it, and until when."""


class Model:
    """What a registry must answer."""

    def __init__(self) -> None:
        self.eras: dict[CircuitKey, list[Era]] = {}
        """An era's number is its generation."""

    def tell(self, command: Command, now: int) -> Told:
        match command:
            case Admit():
                return self._admit(command, now)
            case Record():
                return self._change(command.key, lambda: self._record(command, now))
            case ForceOpen():
                return self._change(command.key, lambda: self._force(command.key))
            case Reset():
                return self._change(command.key, lambda: self._begin(command.key, Era("closed", "reset")))
            case Peek():
                return ("statuses", [self._status(key, command.settings, now) for key in command.keys])
            case _:
                raise TypeError(type(command).__name__)

    def _of(self, key: CircuitKey) -> list[Era]:
        return self.eras.setdefault(key, [Era("closed")])

    def _begin(self, key: CircuitKey, era: Era) -> None:
        self._of(key).append(era)

    def _change(self, key: CircuitKey, act: Any) -> Told:
        before = self._of(key)[-1].state
        act()
        after = self._of(key)[-1]
        return ("changed", before, after.state, after.reason, after.until) if before != after.state else ("same",)

    def _arrive(self, key: CircuitKey, now: int) -> None:
        era = self._of(key)[-1]
        if era.state == "open" and era.until is not None and now >= era.until:
            self._begin(key, Era("half_open", "wait_is_over", in_a_row=era.in_a_row))

    def _admit(self, command: Admit, now: int) -> Told:
        change = self._change(command.key, lambda: self._arrive(command.key, now))
        era, generation = self._of(command.key)[-1], len(self._of(command.key)) - 1
        if era.state == "closed":
            return ("admitted", generation, False, ("same",))
        if era.state == "half_open":
            if era.places.get(command.permit, 0) > now:
                return ("admitted", generation, True, change)
            if _room(era, command.settings, now):
                era.places[command.permit] = now + _ms(command.settings.half_open_lease)
                return ("admitted", generation, True, change)
        return ("refused", era.state, *_again(era, now))

    def _record(self, command: Record, now: int) -> None:
        eras, kind = self._of(command.key), command.outcome.kind
        era = eras[-1]
        if command.generation != len(eras) - 1 or era.state not in ("closed", "half_open"):
            return
        if era.state == "half_open" and era.places.pop(command.permit, 0) <= now:
            return
        settings = command.settings
        if kind == "rate_limited" and command.outcome.retry_after_ms is not None:
            longest = _ms(settings.max_wait_duration_in_open_state)
            until = now + min(command.outcome.retry_after_ms, longest)
            self._begin(command.key, Era("open", kind, until, era.in_a_row + 1))
        elif kind == "rate_limited":
            self._open(command, "rate_limited", now)
        elif kind in ("success", "failure", "slow"):
            limit = settings.slow_call_duration_threshold
            slow = kind == "slow" or (limit is not None and command.duration_ms >= _ms(limit))
            era.ended.append((now, kind == "failure", slow))
            self._judge(command, now)

    def _judge(self, command: Record, now: int) -> None:
        era, settings = self._of(command.key)[-1], command.settings
        ended = _counting(era, settings, now)
        probing = era.state == "half_open"
        enough = settings.permitted_number_of_calls_in_half_open_state if probing else settings.minimum_number_of_calls
        calls = enough if probing else len(ended)
        for share, threshold, reason in (
            (Fraction(sum(failed for _, failed, _ in ended), calls), settings.failure_rate_threshold, "failure_rate"),
            (Fraction(sum(slow for _, _, slow in ended), calls), settings.slow_call_rate_threshold, "slow_call_rate"),
        ):
            if share >= Fraction(threshold) and (probing or len(ended) >= enough):
                return self._open(command, reason, now)
        if probing and len(ended) == enough:
            self._begin(command.key, Era("closed", "probes_succeeded"))
        return None

    def _open(self, command: Record, reason: str, now: int) -> None:
        settings, number = command.settings, self._of(command.key)[-1].in_a_row + 1
        wait = settings.wait_duration_in_open_state * settings.backoff_multiplier ** (number - 1)
        wait = min(wait, settings.max_wait_duration_in_open_state)
        wait = min(wait * (1 + settings.jitter * (2 * command.chance - 1)), settings.max_wait_duration_in_open_state)
        self._begin(command.key, Era("open", reason, now + _ms(wait), number))

    def _force(self, key: CircuitKey) -> None:
        era = self._of(key)[-1]
        if era.state != "forced_open":
            self._begin(key, Era("forced_open", "forced_open", in_a_row=era.in_a_row))

    def _status(self, key: CircuitKey, settings: BreakerSettings, now: int) -> Told:
        kept = deepcopy(self._of(key))
        self._arrive(key, now)
        era, generation = self._of(key)[-1], len(self._of(key)) - 1
        admits = era.state == "closed" or (era.state == "half_open" and _room(era, settings, now))
        again = (None, None) if admits else _again(era, now)
        ended = _counting(era, settings, now)
        counts = (len(ended), sum(failed for _, failed, _ in ended), sum(slow for _, _, slow in ended))
        self.eras[key] = kept
        return (era.state, admits, *again, era.reason, generation, era.in_a_row, *counts)


def told(reply: Any) -> Told:
    """A registry's reply in the model's words."""
    match reply:
        case None:
            return ("same",)
        case Change():
            return ("changed", *reply)
        case Admitted():
            return ("admitted", reply.generation, reply.probe, told(reply.change))
        case Refused():
            return ("refused", *reply)
        case _:
            return ("statuses", [_told_status(status) for status in reply])


def _told_status(status: Status) -> Told:
    return tuple(value for name, value in status._asdict().items() if name != "since_ms")


def _counting(era: Era, settings: BreakerSettings, now: int) -> list[tuple[int, bool, bool]]:
    """The calls that ended in this tenth of a window or in the nine before; of probes all."""
    if era.state != "closed":
        return era.ended
    tenth = _ms(settings.sliding_window_size) // 10
    return [call for call in era.ended if now // tenth - call[0] // tenth < 10]


def _room(era: Era, settings: BreakerSettings, now: int) -> bool:
    taken = [end for end in era.places.values() if end > now]
    return len(taken) + len(era.ended) < settings.permitted_number_of_calls_in_half_open_state


def _again(era: Era, now: int) -> tuple[int | None, int | None]:
    at = min((end for end in era.places.values() if end > now), default=era.until)
    return at, None if at is None else at - now


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
