"""What guards say, as figures: over any MeterProvider, whether or not an event happened in a run.

Labels are names that the program's author chose (guards, tools, models, graphs) and the pack's own words. Never who,
never which thread, run or trace.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from langgraph_guard.events import SCHEMA
from langgraph_guard.forks import Lock
from langgraph_guard.observability.decisions import decided
from langgraph_guard.observability.otel import names

STATES: Final[Mapping[str, int]] = {"closed": 0, "half_open": 1, "open": 2, "forced_open": 2}
SHARED: Final = ("global", "tenant")
"""Scopes whose balance is one figure: a session's or a user's would be one per person."""
SESSIONS: Final = 10_000
"""Sessions whose cost is kept, and circuits whose state is; of more at once, the oldest begin again."""


def meter_of(provider: MeterProvider | None) -> Meter:
    """The package's meter; of the program's global provider where none is given."""
    from opentelemetry.metrics import get_meter_provider

    return (provider or get_meter_provider()).get_meter("langgraph_guard")


class GuardMetrics:
    """A listener of events: counts decisions, adds up costs, remembers the state of circuits. `shown`: a label as it
    may be shown."""

    def __init__(self, meter: Meter, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._lock = Lock()
        self._calls = Calls()
        self._states: dict[tuple[str, str], int] = {}
        self._shared: dict[tuple[str, str, str], tuple[float, float]] = {}
        self._decisions = counter(meter, "langgraph_guard.decisions")
        self._cost = counter(meter, "langgraph_guard.cost")
        self._wait = histogram(meter, "langgraph_guard.approval.wait")
        gauge(meter, "langgraph_guard.breaker.state", self._circuits)
        gauge(meter, "langgraph_guard.budget.remaining", lambda: self._balances(lambda limit, used: limit - used))
        gauge(meter, "langgraph_guard.budget.limit", lambda: self._balances(lambda limit, _: limit))

    def __call__(self, event: str, said: Mapping[str, Any]) -> None:
        if event not in SCHEMA:
            return  # Somebody else's: its name would be a label.
        decision = decided(event, said)
        if decision.decision != "note":
            self._decisions.add(1, {"guard": decision.guard, "decision": decision.decision})
        if event == "budget.settled" and said["usd"] and self._calls.is_new(said):
            self._cost.add(said["usd"] / 1_000_000, {"model": self._shown(str(said["model"]))})
        elif event == "budget.verdict" and said["scope"] in SHARED and said["limit"] is not None:
            self._keep_balance(said)
        elif event == "breaker.transition":
            self._keep_state((str(said["breaker"]), str(said["key"])), STATES.get(said["after"], 0))
        elif event == "approval.decided" and isinstance(said.get("seconds"), int | float):
            self._wait.record(said["seconds"], {"decision": decision.decision})

    def _keep_state(self, circuit: tuple[str, str], state: int) -> None:
        with self._lock:
            self._states.pop(circuit, None)  # The newest last: of those that share a label, it is the one that shows.
            self._states[circuit] = state
            if len(self._states) > SESSIONS:
                del self._states[next(iter(self._states))]

    def _keep_balance(self, said: Mapping[str, Any]) -> None:
        factor = 1e-6 if said["unit"] == "usd" else 1.0
        used = (said["spent"] or 0) + (said["reserved"] or 0)
        with self._lock:
            name = said["scope"], said["unit"], said["window"] or ""
            self._shared[name] = said["limit"] * factor, used * factor

    def _circuits(self) -> list[Observation]:
        with self._lock:
            states = list(self._states.items())
        return [
            Observation(state, {"breaker": self._shown(name), "key": self._shown(key)}) for (name, key), state in states
        ]

    def _balances(self, figure: Callable[[float, float], float]) -> list[Observation]:
        with self._lock:
            return [
                Observation(figure(limit, used), {"scope": scope, "unit": unit, "window": window})
                for (scope, unit, window), (limit, used) in self._shared.items()
            ]


class Calls:
    """The calls that were counted, by what events call them: two budgets on a call charge the same money. A bounded
    memory."""

    def __init__(self, most: int = SESSIONS) -> None:
        self._most = most
        self._lock = Lock()
        self._counted: OrderedDict[str, None] = OrderedDict()

    def is_new(self, said: Mapping[str, Any]) -> bool:
        call = str(said.get("call") or said["reservation"])
        with self._lock:
            if call in self._counted:
                return False
            self._counted[call] = None
            if len(self._counted) > self._most:
                self._counted.popitem(last=False)
            return True


class Sessions:
    """What each session has cost so far, in micro-USD: a bounded memory."""

    def __init__(self, most: int = SESSIONS) -> None:
        self._most = most
        self._lock = Lock()
        self._costs: OrderedDict[str, int] = OrderedDict()

    def add(self, session: str, cost: int) -> None:
        with self._lock:
            self._costs[session] = self._costs.pop(session, 0) + cost
            while len(self._costs) > self._most:
                self._costs.popitem(last=False)

    def of(self, session: str) -> int:
        return self._costs.get(session, 0)


def counter(meter: Meter, name: str) -> Any:
    unit, says = names.METRICS[name]
    return meter.create_counter(name, unit, says)


def histogram(meter: Meter, name: str) -> Any:
    unit, says = names.METRICS[name]
    return meter.create_histogram(name, unit, says, explicit_bucket_boundaries_advisory=names.BUCKETS[name])


def gauge(meter: Meter, name: str, figures: Callable[[], Iterable[Observation]]) -> None:
    unit, says = names.METRICS[name]

    def observed(_: CallbackOptions) -> Iterable[Observation]:
        return figures()

    meter.create_observable_gauge(name, [observed], unit, says)
