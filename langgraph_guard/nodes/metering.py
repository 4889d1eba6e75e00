"""The hard bound: reserve the most that a call can cost, make it with a cap, settle what it did cost.

`Meter` is what the faces of a budget share: the wrapped model, the callback, the tracked node and the gate. Its flows
talk to the ledger alone; who makes the call, and how, is the faces' business.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import Backend
from langgraph_guard.errors import BudgetExceeded, GuardRuntimeError
from langgraph_guard.events import emit, listening
from langgraph_guard.nodes.counting import PromptSize
from langgraph_guard.nodes.held import Held, Scope, scopes
from langgraph_guard.nodes.identity import Identify, checked, identify
from langgraph_guard.nodes.pricing import Pricing
from langgraph_guard.nodes.runs import Run, Runs
from langgraph_guard.nodes.turn import counters, enter
from langgraph_guard.policies.budget import Budget, Identity, nap
from langgraph_guard.policies.calls import Ask, Call, denial, plan
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Balance,
    Closed,
    Command,
    Denied,
    Extend,
    Granted,
    Read,
    Release,
    Reply,
    Reserve,
    Settle,
    Wait,
)
from langgraph_guard.policies.outcomes import Outcome
from langgraph_guard.prices import Usage
from langgraph_guard.state.views import peek

_log = logging.getLogger(__name__)

LedgerFlow = Generator[Sequence[Command], list[Reply], Any]

IN_A_GRAPH: Final = ("call", "turn", "session", "tenant", "global")
"""Scopes that need no identity callable: the rest is who somebody is."""


class Meter:
    """One budget on one ledger."""

    def __init__(
        self,
        name: str,
        budget: Budget,
        backend: Backend,
        pricing: Pricing,
        size: PromptSize,
        who: Identify | None,
        messages_key: str,
    ) -> None:
        self.name = name
        self.messages_key = messages_key
        self.budget = budget
        self.backend = backend
        self.pricing = pricing
        self.size = size
        self.has_landing = False
        self.limits_output = bool(budget.of(unit="usd") or budget.of(unit="tokens"))
        self._identify = who
        self._people = tuple({x.per: None for x in budget.limits if x.per not in IN_A_GRAPH})
        self._runs = Runs()

    # Where a call belongs

    def now_ms(self) -> int:
        return int(self.backend.clock.now() * 1_000)

    def run_of(self, config: RunnableConfig) -> Run | None:
        return self._runs.of(config, self.now_ms())

    def who(self, config: RunnableConfig, run: Run | None) -> Identity:
        ids = identify(config, self._people) if self._identify is None else self._named(config)
        return Identity(self.backend.tenant, run.id if run else "", ids)

    def _named(self, config: RunnableConfig) -> dict[str, str]:
        return {**identify(config, ()), **checked(self._identify(config) if self._identify else {})}

    # How long a call may take

    def check_time(self, config: RunnableConfig, landing: bool, cause: BaseException) -> None:
        """Raise `BudgetExceeded` from `cause` when the turn's seconds are used up."""
        run = self.run_of(config)
        try:
            self.time_left(run, landing)
        except BudgetExceeded as error:
            self.deny(error, run)
            raise error from cause

    def time_left(self, run: Run | None, landing: bool) -> float | None:
        """Seconds that a call may take; `None` without a limit. A landing has a twentieth, 5 s at least.

        Raises `BudgetExceeded` when the turn's are used up.
        """
        per_call = [limit.amount for limit in self.budget.of(unit="seconds", per="call")]
        for limit in self.budget.of(unit="seconds", per="turn"):
            used = run.active_ms(self.now_ms()) if run and not landing else 0
            if used >= limit.amount:
                raise BudgetExceeded("seconds", "turn", limit.amount, used, 0, 0)
            per_call.append(max(5_000, limit.amount // 20) if landing else limit.amount - used)
        return min(per_call) / 1_000 if per_call else None

    # Flows

    def enter(self, run: Run | None, config: RunnableConfig, state: Any = None) -> LedgerFlow:
        """Let `run` enter its turn, unless it has. Without a `state` at hand, the graph's channels are asked."""
        if run is None or run.turn is not None:
            return
        seen = peek(config, "guard_turn", "guard_usage", self.messages_key) if state is None else state
        if state is None and run.resuming and "guard_turn" not in seen:
            return  # It carries on a turn that this graph does not keep: the one that is open in the ledger.
        goes_on = self.budget.goes_on
        commands = enter(run, seen, self.who(config, run), self.messages_key, self.now_ms(), local=goes_on)
        if commands:
            yield commands

    def admit(self, held: Held, call: Call, config: RunnableConfig) -> LedgerFlow:
        """Reserve for `call` and complete `held`. Raises `BudgetExceeded`; then nothing is held.

        After any other error the caller closes `held` with `abandon`: a reservation may be on its way.
        """
        run = self.run_of(config)
        if run is not None and run.denied is not None and not call.landing:
            raise self._noted(copy(run.denied))
        yield from self.enter(run, config)
        try:
            held.asked_at = self.backend.clock.now()
            rates = self.pricing.rates(held.model, held.asked_at)
            held.priced = rates is not None
            who = self.who(config, run)
            self.time_left(run, call.landing)
            held.ask = plan(self.budget, who, call, self.pricing.worst(rates), aside=self.has_landing)
            granted = yield from self.reserve(held, run)
        except BudgetExceeded as error:
            held.ask = None  # Nothing was written, so there is nothing to close.
            self.deny(error, run, latch=error.scope != "call" and not call.landing)
            raise
        held.timeout = self.time_left(run, call.landing)
        held.cap, held.short = held.ask.output_cap(granted)
        self.scope().metered = True
        self.say_reserved(held)

    def settle(self, held: Held, usage: Usage | None, outcome: Outcome, ran: Iterable[str] = ()) -> LedgerFlow:
        """Close `held` with what it cost; with the whole reservation when `usage` is unknown. `ran`: names of the tools
        that the provider ran on the way, which are on its invoice too."""
        actual = {} if usage is None else self._actual(held, usage)
        if tools := self.pricing.of_tools(ran):
            actual["usd"] = actual.get("usd", held.of("usd") or 0) + tools
        yield from self.close(held, actual, outcome)

    def close(self, held: Held, actual: Mapping[str, int], outcome: Outcome) -> LedgerFlow:
        """Settle `held` at `actual`; at what was reserved of the units that are not in it."""
        closed = yield from self._closing([Settle(held.id, actual)])
        if listening():
            model = held.answered_by or held.model
            emit(
                "budget.settled",
                guard=self.name,
                reservation=held.id,
                call=held.call,
                model=model.name,
                provider=model.provider,
                usd=actual.get("usd", held.of("usd")),
                tokens=actual.get("tokens"),
                outcome=outcome,
                overrun=dict(closed.overrun) if closed else {},
                price_version=self._price_version(held),
            )

    def keep(self, held: Held) -> LedgerFlow:
        """Say that the call of `held` goes on, once a third of its lease has passed. A stream does at each part."""
        now = self.backend.clock.now()
        if now - held.kept_at < self.budget.lease / 3:
            return
        held.kept_at = now  # whatever comes of it: a ledger that is away is not asked at each part
        try:
            yield [Extend(held.id, self.budget.lease)]
        except GuardRuntimeError as error:
            _log.warning("a reservation may be charged in full before its call ends: %s", error)

    def cut(self, held: Held, usage: Usage | None, config: RunnableConfig) -> None:
        """Note that the budget cut an answer short: it ended at a cap that was lowered for want of room."""
        if held.ask is None or held.short is None:
            return
        unit, granted = held.ask.charges[held.short].account.unit, held.granted[held.short]
        actual = self._actual(held, usage).get(unit, granted) if usage else granted
        self.deny(held.ask.cut(held.short, granted, actual), self.run_of(config))

    def abandon(self, held: Held) -> LedgerFlow:
        """Close what an interrupted `admit` may have left: nothing was sent yet."""
        if held.ask is not None:
            yield from self.release(held, "not_sent")

    def release(self, held: Held, outcome: Outcome) -> LedgerFlow:
        yield from self._closing([Release(held.id)])
        emit("budget.released", guard=self.name, reservation=held.id, outcome=outcome)

    def spent(self, config: RunnableConfig, turn: tuple[str, int]) -> LedgerFlow:
        """What the session and the turn have used: the `guard_usage` of a state update."""
        accounts = counters(self.who(config, self.run_of(config)))
        (balances,) = yield [Read(accounts, self.budget.goes_on, turn[0] or None)]
        return usage(accounts, cast(tuple[Balance, ...], balances), turn)

    def reserve(self, held: Held, run: Run | None) -> Generator[Sequence[Command], list[Reply], Granted]:
        """Hold what `held` asks for, or raise `BudgetExceeded`."""
        assert held.ask is not None
        turn = run.turn_ref[0] if run else ""
        reserve = Reserve(held.id, held.ask.charges, self.budget.lease, self.budget.orphans, turn or None)
        granted = yield from self.queue(reserve, held.ask)
        held.granted = granted.amounts
        held.kept_at = self.backend.clock.now()
        return granted

    def queue(self, reserve: Reserve, ask: Ask) -> Generator[Sequence[Command], list[Reply], Granted]:
        """Reserve, waiting for room as long as the limit in the way allows."""
        waited, tries = 0.0, 0
        while True:
            (reply,) = yield [reserve]
            if isinstance(reply, Granted):
                return reply
            assert isinstance(reply, Denied)
            limit = ask.limit_of(reply.charge)
            if limit is None or reply.balance.frozen:
                raise denial(reply, limit)
            pause = nap(reply.retry_after, reply.balance.reserved, waited, limit.wait, tries, random.random())
            if pause is None:
                raise denial(reply, limit)
            began = self.backend.clock.now()
            yield [Wait(pause, ask.charges, reserve.turn)]
            slept = max(0.0, min(pause, self.backend.clock.now() - began))  # shorter when somebody made room
            emit("budget.waited", guard=self.name, unit=limit.unit, scope=limit.per, window=limit.window, seconds=slept)
            waited, tries = waited + slept, tries + 1

    def _closing(self, batch: Sequence[Command]) -> Generator[Sequence[Command], list[Reply], Closed | None]:
        """Close a reservation. The answer is already there, so a ledger that fails now must not lose it."""
        try:
            (reply,) = yield batch
        except GuardRuntimeError as error:
            _log.warning("a reservation stays open until its lease ends: %s", error)
            return None
        return reply if isinstance(reply, Closed) else None

    # Parts

    def _actual(self, held: Held, usage: Usage) -> dict[str, int]:
        models = [model for model in (held.answered_by, held.model) if model]
        rates = self.pricing.of_answer(models, usage, held.asked_at)
        held.priced = rates is not None
        actual = {"tokens": usage.total_tokens, "model_calls": 1}
        return {**actual, "usd": rates.cost(usage)} if rates else actual

    def deny(self, error: BudgetExceeded, run: Run | None, *, latch: bool = True) -> BudgetExceeded:
        """Note a denial: in its turn, for the rest of the run, for the node around it, and for who listens."""
        if run is not None and not error.turn_seq:
            error.turn, error.turn_seq = run.turn_ref
        if latch and run is not None:
            run.denied = copy(error)  # Without its traceback, which would keep the frames of the call.
        emit(
            "budget.denied",
            guard=self.name,
            unit=error.unit,
            scope=error.scope,
            window=error.window,
            limit=error.limit,
            spent=error.spent,
            reserved=error.reserved,
            requested=error.requested,
            retry_after=error.retry_after,
        )
        return self._noted(error)

    def _noted(self, error: BudgetExceeded) -> BudgetExceeded:
        scope = self.scope()
        scope.denied = scope.denied or error
        return error

    def scope(self) -> Scope:
        return scopes.get().get(self) or Scope()

    def say_reserved(self, held: Held) -> None:
        if listening():
            emit(
                "budget.reserved",
                guard=self.name,
                reservation=held.id,
                call=held.call,
                model=held.model.name,
                provider=held.model.provider,
                usd=held.of("usd"),
                tokens=held.of("tokens"),
                capped=held.short is not None,
                price_version=self._price_version(held),
            )

    def _price_version(self, held: Held) -> str | None:
        return self.pricing.version if held.priced else None


def usage(accounts: Sequence[Account], balances: Sequence[Balance], turn: tuple[str, int]) -> dict[str, Any]:
    """`guard_usage`: what the ledger has settled for the session and the turn, by unit."""
    used: dict[str, Any] = {"session": {}, "turn": {}, "turn_id": turn[0], "turn_seq": turn[1]}
    for account, balance in zip(accounts, balances, strict=True):
        part = "session" if account.scope == "session" and account.window != TURN else "turn"
        if balance.spent:
            used[part][account.unit] = balance.spent
    return used
