"""The most that a model call may cost, and what to ask of the ledger for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias

from langgraph_guard.errors import BudgetExceeded, IdentityMissing
from langgraph_guard.policies.budget import Budget, Identity, Limit, account, meters, scope_of
from langgraph_guard.policies.ledger import MAX_AMOUNT, Account, Charge, Denied, Granted

DEFAULT_MAX_OUTPUT: Final = 4_096
"""Output tokens to assume, and to send as the cap, for a model that says nothing of its own."""

MIN_OUTPUT: Final = 256
"""An answer shorter than this is rarely worth its price: with less room than that, the call is refused."""

CALL_UNITS: Final = ("usd", "tokens", "model_calls")

Cost: TypeAlias = Callable[[int, int], int]
"""The most that so many input and output tokens can cost, in micro-USD."""


@dataclass(frozen=True, slots=True)
class Call:
    """A model call before it is made. Amounts are tokens; `min_output` is the least that is worth having.

    `choices`: how many answers are asked for at once. Each may be as long as the cap.
    """

    input_tokens: int
    max_output: int
    min_output: int
    landing: bool = False
    choices: int = 1

    def amount(self, unit: str, output: int, cost: Cost | None) -> int:
        written = output * self.choices
        if unit == "usd":
            return cost(self.input_tokens, written) if cost else 0
        return self.input_tokens + written if unit == "tokens" else 1


@dataclass(frozen=True, slots=True)
class Ask:
    """What to reserve, and the limit behind each charge (`None`: it only counts)."""

    call: Call
    cost: Cost | None
    charges: tuple[Charge, ...]
    limits: tuple[Limit | None, ...]

    def limit_of(self, charge: Charge) -> Limit | None:
        return self.limits[self.charges.index(charge)]

    def output_cap(self, granted: Granted) -> tuple[int, int | None]:
        """Output tokens that fit every grant, and the place of the charge that allows no more, if one is short."""
        cap, short = self.call.max_output, None
        for at, (charge, amount) in enumerate(zip(self.charges, granted.amounts, strict=True)):
            if amount < charge.amount:
                fits = output_within(self.call, charge.account.unit, amount, self.cost, cap)
                cap, short = (fits, at) if fits < cap else (cap, short)
        return cap, short

    def cut(self, at: int, granted: int, actual: int) -> BudgetExceeded:
        """Why an answer was cut: the charge at `at` was granted less than it asked for."""
        charge, limit = self.charges[at], self.limits[at]
        assert limit is not None
        assert charge.limit is not None
        spent = charge.limit - granted + actual
        wanted, aside = charge.amount - granted, limit.amount - charge.limit
        return BudgetExceeded(limit.unit, limit.per, limit.amount, spent, 0, wanted, limit.window, aside=aside)


def plan(budget: Budget, who: Identity, call: Call, cost: Cost | None, *, aside: bool) -> Ask:
    """What `call` asks of the ledger.

    Raises `BudgetExceeded` when it cannot fit a per-call limit, `IdentityMissing` when a limit's account is unknown.
    """
    call = _within_call_limits(budget, call, cost)
    keep_aside = aside and not call.landing
    units = CALL_UNITS if cost else CALL_UNITS[1:]
    most = {unit: call.amount(unit, call.max_output, cost) for unit in units}
    least = {unit: call.amount(unit, call.min_output, cost) for unit in units}
    wanted = _accounts(budget, who, units)
    counted = _counted_locally(budget)
    charges = tuple(
        Charge(on, most[on.unit], budget.ceiling(limit, aside=keep_aside), least[on.unit], limit.local)
        if limit
        else Charge(on, most[on.unit], local=counted)
        for on, limit in wanted.items()
    )
    return Ask(call, cost, charges, tuple(wanted.values()))


def plan_tool_calls(budget: Budget, who: Identity, number: int, usd: int = 0, *, aside: bool = False) -> Ask:
    """What `number` tool calls that cost `usd` micro-USD at most ask of the ledger: room for all, or for none."""
    amounts = {"tool_calls": number, **({"usd": usd} if usd else {})}
    wanted = _accounts(budget, who, tuple(amounts))
    counted = _counted_locally(budget)
    charges = tuple(
        Charge(on, amounts[on.unit], budget.ceiling(limit, aside=aside), local=limit.local)
        if limit
        else Charge(on, amounts[on.unit], local=counted)
        for on, limit in wanted.items()
    )
    return Ask(Call(0, 0, 0), None, charges, tuple(wanted.values()))


def _counted_locally(budget: Budget) -> int | None:
    """Accounts without a limit are in nobody's way: they go on where some limit does."""
    return MAX_AMOUNT if budget.goes_on else None


@lru_cache(maxsize=4_096)
def _accounts(budget: Budget, who: Identity, units: tuple[str, ...]) -> Mapping[Account, Limit | None]:
    """Every account that calls of these units concern, with its limit, if it has one. The same for a whole run."""
    wanted: dict[Account, Limit | None] = {}
    for unit in units:
        for limit in budget.of(unit=unit):
            if limit.in_ledger:
                wanted[named_account(limit, who)] = limit
        for counter in meters(who, unit):
            wanted.setdefault(counter, None)
    return wanted


def named_account(limit: Limit, who: Identity) -> Account:
    found = account(limit, who)
    if found is None:
        raise IdentityMissing(limit.per, _WHERE.get(limit.per, "identity=, the run's context and configurable"))
    return found


def denial(denied: Denied, limit: Limit | None) -> BudgetExceeded:
    """The ledger's refusal as an error that names the limit as its owner wrote it, with what was given beyond it.

    Where nothing is limited, the account is frozen.
    """
    charge, balance = denied.charge, denied.balance
    most = limit.amount if limit else 0
    return BudgetExceeded(
        unit=charge.account.unit,
        scope=scope_of(charge.account),
        limit=most + balance.credit if limit else 0,
        spent=balance.spent,
        reserved=balance.reserved,
        requested=charge.amount if charge.at_least is None else charge.at_least,
        window=limit.window if limit else None,
        retry_after=denied.retry_after,
        aside=0 if charge.limit is None else most - charge.limit,
        turn=denied.turn,
        turn_seq=denied.turn_seq,
        frozen=balance.frozen,
    )


def output_within(call: Call, unit: str, room: int, cost: Cost | None, most: int) -> int:
    """The most output tokens, up to `most`, with which `call` stays within `room` of `unit`; -1 if none."""
    if call.amount(unit, most, cost) <= room:
        return most
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if call.amount(unit, middle, cost) <= room else (low, middle)
    return low


_WHERE: Final = {
    "session": "configurable.thread_id",
    "turn": "configurable.thread_id and the run; a call outside a graph has no turn",
    "tenant": "the backend's tenant=",
}


def _within_call_limits(budget: Budget, call: Call, cost: Cost | None) -> Call:
    cap = call.max_output
    for limit in budget.of(per="call"):
        if limit.unit not in CALL_UNITS or (limit.unit == "usd" and cost is None):
            continue
        cap = min(cap, output_within(call, limit.unit, limit.amount, cost, cap))
        if cap < call.min_output:
            raise BudgetExceeded(limit.unit, "call", limit.amount, 0, 0, call.amount(limit.unit, call.min_output, cost))
    return call if cap == call.max_output else replace(call, max_output=cap)
