"""What may be spent: limits as data, and the pure decisions over them.

Amounts are integers: micro-USD for `usd`, milliseconds for `seconds`, plain counts for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.policies.ledger import MAX_AMOUNT, RUN, TURN, Account, Balance
from langgraph_guard.policies.windows import WINDOWS, Window

Unit = Literal["usd", "tokens", "model_calls", "tool_calls", "steps", "seconds"]
Status = Literal["limit_cost", "limit_tokens", "limit_calls", "limit_steps", "limit_time", "frozen"]

STATUS: Final[Mapping[str, Status]] = {
    "usd": "limit_cost",
    "tokens": "limit_tokens",
    "model_calls": "limit_calls",
    "tool_calls": "limit_calls",
    "steps": "limit_steps",
    "seconds": "limit_time",
}
"""Each unit and the machine-readable reason of a run that it ended."""

FROZEN: Final[Status] = "frozen"
"""The reason of a run that somebody stopped by freezing an account of its."""

LEDGER_UNITS: Final = ("usd", "tokens", "model_calls", "tool_calls")
"""Units that a ledger counts. Steps and seconds belong to a turn and travel in the graph's state."""

SCOPES: Final = ("call", "turn", "session", "user", "tenant", "global")

_SCALE: Final = {"usd": 1_000_000, "seconds": 1_000}
_BELOW, _ABOVE = Decimal(-1), Decimal(MAX_AMOUNT + 1)  # amounts beyond these are refused whatever their figure

_UNITS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "call": ("usd", "tokens", "seconds"),
    "turn": tuple(STATUS),
}
"""What can be limited per call and per turn; every other scope takes `LEDGER_UNITS`."""


class AllowLocal(NamedTuple):
    """Made by `allow_local`."""

    cap: float | Decimal


def allow_local(cap: float | Decimal) -> AllowLocal:
    """While the ledger is away, each process may spend up to `cap` on each account, in the limit's unit, by itself.

    So N processes spend N × `cap` beyond the limit at the most, per account and outage (over a window: per period of
    it). It is charged when the ledger is back. A process that dies before takes what it spent with it.
    """
    return AllowLocal(cap)


@dataclass(frozen=True, init=False)
class Limit:
    """At most `amount` of `unit` for each `per`, over each `window` of UTC time or, without one, for good.

    `per`: `call`, `turn` (from one human message to the next), `session` (a thread), `user`, `tenant`, `global`
    (everyone who shares the backend), or a scope of your own that `Budget(scopes=…)` names. `steps` are LangGraph's
    supersteps, from the gate's first in the turn on, across approvals; the gate ends the turn at its next visit.
    `wait`: seconds for which a call may queue for room instead of being refused: a rate limiter.
    `on_unavailable`: what to do while the ledger that processes share does not answer: refuse, or `allow_local(cap)`.
    `local` is that cap as it is counted, `None` without one.
    Raises `ConfigError` naming the field.
    """

    unit: Unit
    amount: int
    per: str
    window: Window | None
    wait: float
    local: int | None

    def __init__(
        self,
        unit: Unit,
        amount: float | Decimal,
        *,
        per: str,
        window: Window | None = None,
        wait: float = 0.0,
        on_unavailable: Literal["deny"] | AllowLocal = "deny",
    ) -> None:
        _one_of("unit", unit, tuple(STATUS))
        _one_of("window", window, (None, *WINDOWS))
        if not isinstance(per, str) or not per.isidentifier():
            raise ConfigError("per", f"must name a scope, one of {', '.join(SCOPES)} or your own; is a {_kind(per)}")
        if unit not in _UNITS_OF.get(per, LEDGER_UNITS):
            raise ConfigError("unit", f"{unit} cannot be limited per {per}; per turn it can")
        if window is not None and per in ("call", "turn"):
            raise ConfigError("window", f"a {per} has no {window}; a window goes with session, user, tenant or global")
        for name, value in {
            "unit": unit,
            "amount": whole(unit, amount),
            "per": per,
            "window": window,
            "wait": _seconds("wait", wait),
            "local": _cap(unit, on_unavailable),
        }.items():
            object.__setattr__(self, name, value)
        if self.local is not None and (not self.in_ledger or self.local > self.amount):
            problem = "is more than the limit" if self.in_ledger else f"{unit} per {per} need no ledger"
            raise ConfigError("on_unavailable", f"allow_local(…): {problem}")

    @property
    def key(self) -> tuple[str, str, str | None]:
        return self.unit, self.per, self.window

    @property
    def in_ledger(self) -> bool:
        return self.unit in LEDGER_UNITS and self.per != "call"


@dataclass(frozen=True, eq=False)
class Budget:
    """Limits that stand together: a call must fit all of them. Without any, it only counts.

    `warn_at`: the share of a limit at which the verdict becomes `warn`. `landing_reserve`: USD kept aside of every usd
    limit for the closing answer; `None` keeps 5 % of every limit of money and tokens, and one model call, as soon as a
    landing model exists. `scopes`: names of your own for `per`. `lease`: seconds after which a reservation whose worker
    died is closed; `orphans` says how, `charge` being the safe side. It must be longer than a call can take, so longer
    than the model's timeout and than a tool that is priced by the unit; a stream may take as long as it likes while a
    part of it comes within two thirds of the lease. What outlives its lease is charged in full until it is settled.
    """

    limits: tuple[Limit, ...]
    warn_at: float
    landing_reserve: int | None
    scopes: tuple[str, ...]
    lease: float
    orphans: Literal["charge", "release"]
    _found: dict[tuple[str | None, str | None], tuple[Limit, ...]] = field(repr=False, compare=False)

    def __init__(
        self,
        limits: Iterable[Limit],
        *,
        warn_at: float = 0.75,
        landing_reserve: float | Decimal | None = None,
        scopes: Sequence[str] = (),
        lease: float = 300.0,
        orphans: Literal["charge", "release"] = "charge",
    ) -> None:
        _one_of("orphans", orphans, ("charge", "release"))
        if isinstance(warn_at, bool) or not isinstance(warn_at, int | float) or not 0 < warn_at <= 1:
            raise ConfigError("warn_at", "must be a share of the limit, above 0 and at most 1")
        own = _names(scopes)
        if not _seconds("lease", lease):
            raise ConfigError("lease", "must be longer than 0 seconds")
        for name, value in {
            "limits": _distinct(limits, (*SCOPES, *own)),
            "warn_at": float(warn_at),
            "landing_reserve": None if landing_reserve is None else whole("usd", landing_reserve, "landing_reserve", 0),
            "scopes": own,
            "lease": float(lease),
            "orphans": orphans,
        }.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_found", {})
        smallest = min((limit.amount for limit in self.of(unit="usd")), default=MAX_AMOUNT)
        if self.landing_reserve is not None and self.landing_reserve >= smallest:
            raise ConfigError("landing_reserve", "must be less than the smallest usd limit, or no other call has room")

    def of(self, *, unit: str | None = None, per: str | None = None) -> tuple[Limit, ...]:
        """The limits of one unit, of one scope, or of both."""
        if (unit, per) not in self._found:
            found = tuple(limit for limit in self.limits if unit in (None, limit.unit) and per in (None, limit.per))
            self._found[unit, per] = found
        return self._found[unit, per]

    @property
    def goes_on(self) -> bool:
        """Whether a limit allows anything while the ledger is away. What is only counted goes on with it."""
        return any(limit.local is not None for limit in self.limits)

    def ceiling(self, limit: Limit, *, aside: bool) -> int:
        """What ordinary calls may use of `limit` when some is kept `aside` for the landing."""
        return limit.amount - (self._aside(limit) if aside else 0)

    def _aside(self, limit: Limit) -> int:
        if limit.unit == "usd" and self.landing_reserve is not None:
            return min(self.landing_reserve, limit.amount)
        if limit.unit in ("usd", "tokens"):
            return limit.amount // 20
        return 1 if limit.unit == "model_calls" and limit.amount > 1 else 0


def whole(unit: str, amount: object, field: str = "amount", least: int = 1) -> int:
    """`amount` of `unit` as the integer that the ledger counts; limits round down.

    Raises `InvalidAmount` for what is no number, not finite, below `least`, above 2^53-1, or a part of a count.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        raise InvalidAmount(field, f"must be a number, is a {_kind(amount)}")
    exact = Decimal(str(amount)) if isinstance(amount, float) else Decimal(amount)
    if not exact.is_finite():
        raise InvalidAmount(field, "must be finite")
    scaled = Fraction(max(_BELOW, min(exact, _ABOVE))) * _SCALE.get(unit, 1)
    figure = math.floor(scaled)
    if unit not in _SCALE and figure != scaled:
        raise InvalidAmount(field, f"{unit} are counted in whole numbers")
    if figure < least:
        raise InvalidAmount(field, f"must be above 0, is {'negative' if amount < 0 else 'zero or too small to count'}")
    if figure > MAX_AMOUNT:
        raise InvalidAmount(field, f"must be at most 2^53-1 {_counted(unit)}")
    return figure


# Accounts


class Identity:
    """Whose call it is. `ids` holds what is known of session, user and the scopes of your own.

    `run` stands in for the session where a turn has none: without a thread, a run is a turn. Equal by value, and a key.
    """

    __slots__ = ("_key", "ids", "run", "session", "tenant")

    def __init__(self, tenant: str, run: str, ids: Mapping[str, str]) -> None:
        self.tenant = tenant
        self.run = run
        self.ids = ids
        self.session = ids.get("session", "")
        self._key = (tenant, run, *sorted(ids.items()))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._key == other._key


def account(limit: Limit, who: Identity) -> Account | None:
    """The account that `limit` is counted on; `None` when the run does not say whose it is."""
    if limit.per == "global":
        return Account("", "global", "", limit.unit, limit.window)
    if limit.per == "turn":
        return _turn_account(who, limit.unit)
    id = who.tenant if limit.per == "tenant" else who.ids.get(limit.per)
    return Account(who.tenant, limit.per, id, limit.unit, limit.window) if id else None


def meters(who: Identity, unit: str) -> tuple[Account, ...]:
    """The accounts that only count, limit or not: what the session and the turn have used."""
    turn = _turn_account(who, unit)
    if not who.session:
        return (turn,) if turn else ()
    return Account(who.tenant, "session", who.session, unit), Account(who.tenant, "session", who.session, unit, TURN)


def _turn_account(who: Identity, unit: str) -> Account | None:
    if who.session:
        return Account(who.tenant, "session", who.session, unit, TURN)
    return Account(who.tenant, RUN, who.run, unit) if who.run else None


def scope_of(account: Account) -> str:
    """What a limit on `account` is called by: its `per`."""
    return "turn" if account.window == TURN or account.scope == RUN else account.scope


# Verdicts


class Standing(NamedTuple):
    """How one limit stands: the figures that a verdict is made of. `ceiling` has the `credit` in it."""

    limit: Limit
    ceiling: int
    spent: int
    reserved: int = 0
    credit: int = 0

    @property
    def share(self) -> float:
        return self.spent / self.ceiling if self.ceiling else 1.0


def standing(budget: Budget, limit: Limit, balance: Balance, *, aside: bool) -> Standing:
    ceiling = budget.ceiling(limit, aside=aside) + balance.credit
    return Standing(limit, ceiling, balance.spent, balance.reserved, balance.credit)


def used_up(standings: Iterable[Standing]) -> Standing | None:
    """The first limit with no room for another round. Tool calls are refused where they are asked for, not before;
    and where a call may wait for room, the meter waits."""
    for each in standings:
        full = each.spent > each.ceiling if each.limit.unit == "tool_calls" else each.spent >= each.ceiling
        if full and not each.limit.wait:
            return each
    return None


def tightest(standings: Iterable[Standing], warn_at: float) -> Standing | None:
    """The limit that is nearest to its end, when it is past `warn_at`. A queue that is full is no warning."""
    worst = max((each for each in standings if not each.limit.wait), key=lambda each: each.share, default=None)
    return worst if worst is not None and worst.share >= warn_at else None


# Waiting

LONGEST_NAP: Final = 1.0


def nap(
    retry_after: float | None, held: int, waited: float, wait: float, tries: int, chance: float = 0.0
) -> float | None:
    """Seconds to wait before asking again, or `None` when waiting cannot help in time.

    Room comes when the window ends, or earlier when calls that are under way settle for less than they hold. Those of
    this process wake whoever waits; for the others it is worth asking in between, ever more rarely. `chance`, from 0 to
    1, lets a crowd that was refused together ask one by one.
    """
    left = wait - waited
    if left <= 0 or (not held and (retry_after is None or retry_after > left)):
        return None
    ends = left if retry_after is None else min(retry_after, left)
    return min(ends, LONGEST_NAP, 0.01 * 2 ** min(tries, 10)) * (1 - chance / 2) if held else ends


# Checks


def _distinct(limits: Iterable[Limit], scopes: Sequence[str]) -> tuple[Limit, ...]:
    if not isinstance(limits, Iterable):
        raise ConfigError("limits", f"must be a list of Limit objects, is a {_kind(limits)}")
    found: dict[tuple[str, str, str | None], Limit] = {}
    for limit in limits:
        if not isinstance(limit, Limit):
            raise ConfigError("limits", f"must be Limit objects, one is a {_kind(limit)}")
        _one_of("per", limit.per, tuple(scopes), " (name a scope of your own with Budget(…, scopes=[…]))")
        if limit.key in found:
            raise ConfigError("limits", f"two limits of {limit.unit} per {limit.per}, window {limit.window}")
        found[limit.key] = limit
    return tuple(found.values())


def _names(scopes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(scopes, str) or not all(isinstance(name, str) and name.isidentifier() for name in scopes):
        raise ConfigError("scopes", "must be a list of names")
    if RUN in scopes:
        raise ConfigError("scopes", f"{RUN!r} is the pack's own name for a turn without a thread")
    return tuple(scopes)


def _one_of(field: str, value: object, known: Sequence[str | None], hint: str = "") -> None:
    names = [name for name in known if name]
    if value is not None and not isinstance(value, str):
        raise ConfigError(field, f"must be a str, is a {_kind(value)}; one of {', '.join(names)}{hint}")
    if value not in known:
        said = (value or "").lower()
        close = [_MEANT[said]] if _MEANT.get(said) in names else get_close_matches(said, names, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(field, f"unknown; one of {', '.join(names)}{meant}{hint}")


_MEANT: Final[Mapping[str, str]] = {
    "dollars": "usd",
    "cost": "usd",
    "money": "usd",
    "requests": "model_calls",
    "llm_calls": "model_calls",
    "supersteps": "steps",
    "time": "seconds",
    "24h": "day",
    "1h": "hour",
    "60s": "minute",
    "thread": "session",
    "conversation": "session",
    "run": "turn",
    "request": "call",
    "everyone": "global",
    "all": "global",
}
"""What others call it."""


def _cap(unit: str, said: object) -> int | None:
    if isinstance(said, AllowLocal):
        return whole(unit, said.cap, "on_unavailable")
    _one_of("on_unavailable", said, ("deny",), ", or allow_local(cap)")
    return None


def _seconds(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(field, "must be a finite number of seconds, 0 or more")
    return float(value)


def _counted(unit: str) -> str:
    return {"usd": "micro-USD", "seconds": "milliseconds"}.get(unit, unit)


def _kind(value: object) -> str:
    return "NoneType" if value is None else type(value).__name__
