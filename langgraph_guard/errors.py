"""What can go wrong, as data with a sentence.

    GuardError
    ├── ConfigError (ValueError)            a setting is wrong; raised while the graph is being built
    │   └── InvalidAmount                   a limit, price or usage figure is not one
    ├── UnreadableResult (ValueError)       a tool's result has no end; `ToolGuard` answers with it
    └── GuardRuntimeError (RuntimeError)    a run may not go on; LangGraph's retry policy leaves these alone
        ├── BudgetExceeded                  a limit would be passed; nothing was spent
        ├── PriceUnknown                    a USD limit stands, and what the model costs is not known
        ├── IdentityMissing                 a limit is per user (or tenant, …) and nobody said which
        ├── ReservationConflict             a reservation id was used again for something else
        ├── BudgetUnavailable               the ledger did not answer; fails closed
        ├── ActionRefused                   a call's arguments have no one text, so nobody can agree to them
        ├── CircuitOpen                     a service failed too often and is left alone; no call was made
        ├── ReplayMiss                      a replay made a tool call that was not made before; nothing ran
        └── StoreError                      what holds the runs could not do it; the driver's error is the cause
            ├── StoreUnavailable            no answer within the deadline
            ├── StoreRefused                the server said no: out of memory, read-only, no permission, too old
            ├── StoreRateLimited            the server allows no more requests for now; longer than one may wait
            ├── StaleCheckpoint             something newer is known to exist, and is not visible here yet
            ├── CorruptCheckpoint           what was read is not what was written
            ├── CheckpointTooLarge          over a size limit; nothing was written
            └── BlockedType                 a type that is not on the allow-list; nothing was built from it

Messages name the field, the kind or size of the value, and the limit. They never quote contents or ids of people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

TO_ROUTE: Final = "To route on it in a graph, add the BudgetCheckNode to it and wrap the node in budget.track(…)."
"""What a traceback says below a denial that nothing caught."""


class GuardError(Exception):
    """The root: catch this to catch everything the pack raises by itself."""


class ConfigError(GuardError, ValueError):
    """A setting is wrong. `field` names it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, str]]:
        return type(self), (self.field, self.problem)


class InvalidAmount(ConfigError):
    """A figure is negative, not finite, too large for exact arithmetic, or not a number at all."""


class GuardRuntimeError(GuardError, RuntimeError):
    """A run may not go on. A `RuntimeError`, so LangGraph's default retry policy does not try again."""


@dataclass(eq=False)
class _Record(GuardRuntimeError):
    """An error whose fields are its arguments, so it pickles."""

    def __post_init__(self) -> None:
        self.args = tuple(getattr(self, field.name) for field in fields(self))


@dataclass(eq=False)
class BudgetExceeded(_Record):
    """A limit would be passed; the call was not made and nothing was written.

    Amounts are integers in the limit's unit (micro-USD for `usd`, milliseconds for `seconds`); `limit` has in it what
    somebody gave beyond it, `aside` is the part that is kept for the closing answer; `retry_after` is seconds, `None`
    when waiting does not help. `frozen`: somebody has stopped all spending here, limit or not (`limit` is 0 then).
    """

    unit: str
    scope: str
    limit: int
    spent: int
    reserved: int
    requested: int
    window: str | None = None
    retry_after: float | None = None
    aside: int = 0
    turn: str = ""
    turn_seq: int = 0
    frozen: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.add_note(TO_ROUTE)  # beside the sentence: that one is read by models too

    def __str__(self) -> str:
        if self.frozen:
            return f"spending per {self.scope} is frozen: no call is made until somebody thaws it"
        period = "" if not self.window else " today" if self.window == "day" else f" this {self.window}"
        kept = f", {show(self.unit, self.aside)} kept for the closing answer" if self.aside else ""
        again = "" if self.retry_after is None else f"; room again in {self.retry_after:.0f} s"
        return (
            f"{show(self.unit, self.spent)} of {show(self.unit, self.limit)} spent per {self.scope}{period}"
            f" ({show(self.unit, self.reserved)} held{kept}), {show(self.unit, self.requested)} more asked for{again}"
        )


@dataclass(eq=False)
class PriceUnknown(_Record):
    """A USD limit stands and the model has no price. Give one with `prices=`. `model` is empty where it has no name."""

    model: str
    provider: str | None = None

    def __str__(self) -> str:
        of = f" of provider {self.provider!r}" if self.provider else ""
        if not self.model:
            return (
                f"a usd limit is set, and a model{of} does not say its name, so that it has no price:"
                " set its model or model_name, or drop the usd limits"
            )
        return (
            f"no price is known for model {self.model!r}{of}, and a usd limit is set:"
            " pass prices={model: Price(input=…, output=…)} or drop the usd limits"
        )


@dataclass(eq=False)
class IdentityMissing(_Record):
    """A limit counts per `scope`, and this run does not say whose it is."""

    scope: str
    looked_in: str = ""

    def __str__(self) -> str:
        where = f" (looked in {self.looked_in})" if self.looked_in else ""
        return f"a limit is set per {self.scope}, and this run names no {self.scope}{where}"


@dataclass(eq=False)
class ReservationConflict(_Record):
    """A reservation id came back with other amounts, or after it was closed in another way."""

    id: str
    state: str
    wanted: str

    def __str__(self) -> str:
        return f"reservation {self.id} is {self.state}; it cannot be {self.wanted}"


@dataclass(eq=False)
class BudgetUnavailable(_Record):
    """The ledger did not answer in time, or cannot be trusted to. No call was made. `reason`: why, if it is known.

    Without one nobody answered: `why` is what the last attempt met. `address`: where. `advice`: what to do.
    """

    backend: str
    waited: float = 0.0
    reason: str = ""
    why: str = ""
    address: str = ""
    advice: str = ""

    def __str__(self) -> str:
        ledger = f"the budget ledger ({_placed(self.backend, self.address)})"
        if self.reason:
            return f"{ledger} is not available: {self.reason}{_then(self.advice)}"
        why = f": {self.why}" if self.why else ""
        return f"{ledger} did not answer within {self.waited:.1f} s{why}{_then(self.advice)}"


@dataclass(eq=False)
class ActionRefused(_Record):
    """What a call of `tool` would do cannot be told exactly, so nobody can agree to it. `field` names what is wrong."""

    tool: str
    field: str
    problem: str

    def __str__(self) -> str:
        return f"a call of {self.tool!r} cannot be approved: its {self.field} {self.problem}"


@dataclass(eq=False)
class CircuitOpen(_Record):
    """The circuit of `key` is not closed, so the call was not made. `key` is a tool's, host's or model's name.

    `retry_after`: seconds until another try; `None` while a person holds it open.
    """

    key: str
    state: str
    retry_after: float | None = None

    def __str__(self) -> str:
        if self.state == "forced_open" or self.retry_after is None:
            return f"the circuit of {self.key!r} is held open: no call is made until somebody resets it"
        why = "is being tried out" if self.state == "half_open" else "is open"
        return f"the circuit of {self.key!r} {why}: no call is made for another {math.ceil(self.retry_after)} s"


@dataclass(eq=False)
class ReplayMiss(_Record):
    """A replay makes a tool call of which no result is recorded. It was not made."""

    tool: str

    def __str__(self) -> str:
        return (
            f"the replay calls {self.tool!r} with arguments for which no result is recorded: nothing ran."
            " With --live it would be called"
        )


class StoreError(_Record):
    """A store could not do what it was asked for. `__cause__` is the driver's own error, where there is one."""


@dataclass(eq=False)
class StoreUnavailable(StoreError):
    """No answer within `waited` seconds. A write may or may not have happened; doing it again does no harm.

    `why`: what the last attempt met, where that is plain. `address`: where it was looked for. `advice`: what to do.
    """

    store: str
    operation: str
    waited: float
    why: str = ""
    address: str = ""
    advice: str = ""

    def __str__(self) -> str:
        who, why = _placed(self.store, self.address), f": {self.why}" if self.why else ""
        return f"{who} did not answer {self.operation} within {self.waited:.1f} s{why}{_then(self.advice)}"


@dataclass(eq=False)
class StoreRefused(StoreError):
    """The server answered, and said no. Trying again does not help before something else changes.

    `address`: of the server. `advice`: what to do, where that is plain.
    """

    store: str
    operation: str
    reason: str
    address: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return f"{_placed(self.store, self.address)} refused {self.operation}: {self.reason}{_then(self.advice)}"


@dataclass(eq=False)
class StoreRateLimited(StoreError):
    """The store allows no more requests for now. `limit` names the rule and what helps.

    `waited` and `retry_after` are seconds; `retry_after` is `None` when the store did not say.
    """

    store: str
    operation: str
    limit: str
    waited: float = 0.0
    retry_after: float | None = None

    def __str__(self) -> str:
        again = "" if self.retry_after is None else f"; room again in {math.ceil(self.retry_after)} s"
        return f"{self.store} limits {self.operation}: {self.limit} (waited {self.waited:.1f} s{again})"


@dataclass(eq=False)
class StaleCheckpoint(StoreError):
    """Something newer is known to exist, and the store does not show it here yet. Going on would fork the thread.

    `signal` says how it is known. `retry_after`: seconds until it should be visible; `None` when nobody can say.
    """

    store: str
    signal: str
    waited: float = 0.0
    retry_after: float | None = None

    def __str__(self) -> str:
        again = "" if self.retry_after is None else f"; try again in {math.ceil(self.retry_after)} s"
        return f"{self.store} does not show the latest state yet: {self.signal} (waited {self.waited:.1f} s){again}"


@dataclass(eq=False)
class CorruptCheckpoint(StoreError):
    """What was read is not what was written. `where` names the kind of record, never what is in it."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(eq=False)
class CheckpointTooLarge(StoreError):
    """A checkpoint would pass a limit; nothing was written. `largest` lists (channel, bytes), the largest first."""

    limit: int
    size: int
    largest: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        channels = ", ".join(f"{channel} ({size} bytes)" for channel, size in self.largest)
        where = f"; the largest channels: {channels}" if channels else ""
        return f"the checkpoint has {self.size} bytes, the limit is {self.limit}{where}"


@dataclass(eq=False)
class BlockedType(StoreError):
    """A value of a type that is not on the allow-list. It was neither written nor built."""

    type_name: str
    where: str

    def __str__(self) -> str:
        return (
            f"{self.where} holds {self.type_name}, which is not on the allow-list:"
            f" pass allowed_types=[{self.type_name.rpartition('.')[2]}] to the saver if you trust it"
        )


def _placed(store: str, address: str) -> str:
    return f"{store} at {address}" if address else store


def _then(advice: str) -> str:
    return f". {advice}" if advice else ""


def show(unit: str, amount: int) -> str:
    """An amount for people: `0.0493 USD`, `1.5 seconds`, `1200 tokens`. Nothing is rounded."""
    sign = "-" if amount < 0 else ""
    if unit == "usd":
        whole, micro = divmod(abs(amount), 1_000_000)
        return f"{sign}{whole}.{f'{micro:06d}'.rstrip('0').ljust(2, '0')} USD"
    if unit == "seconds":
        whole, milli = divmod(abs(amount), 1_000)
        return _counted(f"{sign}{whole}{f'.{milli:03d}'.rstrip('0').rstrip('.')}", unit)
    return _counted(str(amount), unit)


def _counted(amount: str, unit: str) -> str:
    return f"{amount} {unit.replace('_', ' ').removesuffix('s' if amount in ('1', '-1') else '')}"
