"""The budget in a graph: the gate before the model, and the doors to the meter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any, Final, Literal, ParamSpec, TypeVar, overload

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.managed import RemainingSteps

from langgraph_guard.backends.protocols import Backend, BudgetLedger
from langgraph_guard.errors import BudgetUnavailable, ConfigError, IdentityMissing
from langgraph_guard.events import emit, listening
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.callback import BudgetCallback
from langgraph_guard.nodes.charges import ToolCharges
from langgraph_guard.nodes.counting import prompt_size
from langgraph_guard.nodes.guard import Guard, NodeFlow, Update, in_config, path_map
from langgraph_guard.nodes.identity import Identify
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.nodes.metering import usage as usage_of
from langgraph_guard.nodes.model import MeteredModel, meter_model
from langgraph_guard.nodes.pricing import Pricing
from langgraph_guard.nodes.runs import Run
from langgraph_guard.nodes.tools import ToolCalls
from langgraph_guard.nodes.track import Tracker
from langgraph_guard.nodes.turn import counters, passed
from langgraph_guard.policies.budget import Budget, Identity, Limit, Standing, standing, tightest, used_up
from langgraph_guard.policies.calls import MIN_OUTPUT, named_account
from langgraph_guard.policies.ledger import Account, Balance, Read
from langgraph_guard.policies.turns import must_land
from langgraph_guard.prices import Price, PriceBook, ToolPrice, price_book
from langgraph_guard.prices.tools import tool_prices as checked_tool_prices
from langgraph_guard.state.views import MessagesView, messages_of, read
from langgraph_guard.tokens import PromptCounter

_log: Final = logging.getLogger(__name__)

P = ParamSpec("P")
Input = TypeVar("Input")
Output = TypeVar("Output")


SHARED: Final = ("tenant", "global")
"""Scopes whose balance is one figure, and nobody's own."""

_OF_MODELS: Final = ("usd", "tokens", "model_calls")
"""Units that only a meter counts."""


class BudgetView(MessagesView):
    """What the gate reads: how far LangGraph's own recursion limit is, too."""

    guard_remaining_steps: RemainingSteps


class BudgetCheckNode(Guard):
    """The gate of a budget: it reads state and ledger and writes a verdict. `.route` says `ok`, `warn` or `exceeded`.

    The gate spends nothing and holds nothing. The hard bound is the meter's: give your models through `.model`, wrap
    the nodes that call them with `.track`, or pass `.callback()` to a run for models that you cannot wrap.

    `backend`: where the ledger is; everyone on the same one shares the limits. `identity`: from a run's config to ids
    by scope (`{"user": "42"}`); by default the server's authenticated user, then the runtime context, then
    `configurable`. `prices`: a table of `Price` by model, or a `PriceBook`; by default genai-prices. `tool_prices`: of
    the tools that cost money, by name. `count`: tokens of a prompt, by default a `TokenCounter()`; a function of yours
    is called as `count(messages, tools, model="gpt-4o")`, for a look at the state with `model=None`.
    Raises `ConfigError` for settings that cannot work together.
    """

    passing = ("ok", "warn")
    stopping = ("exceeded",)

    def __init__(
        self,
        budget: Budget,
        backend: Backend,
        *,
        name: str = "budget",
        identity: Identify | None = None,
        prices: dict[str, Price] | PriceBook | None = None,
        tool_prices: Mapping[str, ToolPrice] | None = None,
        count: PromptCounter | None = None,
        messages_key: str = "messages",
    ) -> None:
        super().__init__(name, messages_key, BudgetView)
        _check(budget, backend, identity)
        self.budget = budget
        pricing = Pricing(price_book(prices), checked_tool_prices(tool_prices), required=bool(budget.of(unit="usd")))
        self._meter = Meter(name, budget, backend, pricing, prompt_size(count), identity, messages_key)
        self._tools = ToolCalls(self._meter)
        self._callback = BudgetCallback(self._meter, self._tools)
        self._tracker = Tracker(self._meter, self._tools, self._callback)
        self._unmetered = any(limit.unit in _OF_MODELS for limit in budget.limits)

    # The gate

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return run(self._check(input, in_config(config)), self._ledger.execute)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        await self._meter.size.ready(None)
        return await arun(self._check(input, in_config(config)), self._ledger.aexecute)

    def after_model(self, state: MessagesView) -> Literal["tools", "end", "exceeded"]:
        """Where to go from a tracked model node: to the tools it calls, to the end, or `exceeded` after a denial."""
        messages = messages_of(state, self.messages_key)
        if verdicts.halted(state, messages):
            return "exceeded"
        last = messages[-1] if messages else None
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "end"

    def paths(self, **targets: str) -> dict[Hashable, str]:
        """The path map of `route` (`ok`, `warn`, `exceeded`) or, when it names them, of `after_model` (`tools`, `end`,
        `exceeded`). `warn` goes where `ok` goes unless it has a target. Raises `ConfigError` for a word without one.
        """
        if targets.keys() & {"tools", "end"}:
            return path_map(f"{self.name}.after_model", (), ("tools", "end", "exceeded"), targets)
        return super().paths(**targets)

    # The meter

    @overload
    def model(  # type: ignore[overload-overlap]  # a MeteredModel is what the second returns for a chat model
        self, llm: BaseChatModel | MeteredModel, *, landing: bool = False, min_output: int = MIN_OUTPUT
    ) -> MeteredModel: ...
    @overload
    def model(
        self, llm: Runnable[Input, Output], *, landing: bool = False, min_output: int = MIN_OUTPUT
    ) -> Runnable[Input, Output]: ...
    def model(self, llm: Runnable[Any, Any], *, landing: bool = False, min_output: int = MIN_OUTPUT) -> Any:
        """`llm`, held to this budget: each call reserves, is capped to what was reserved, and settles what it cost.

        `llm` is a chat model or built around one (`bind_tools`, `with_structured_output`, `with_retry`,
        `with_fallbacks`, a prompt piped into it); what comes back is used like it. `landing`: its calls may use what
        the budget keeps aside for the closing answer. `min_output`: a call with room for fewer output tokens is denied.
        Raises `PriceUnknown` at once when a usd limit stands and the model has no price.
        """
        if isinstance(min_output, bool) or not isinstance(min_output, int) or min_output < 1:
            raise ConfigError("min_output", "must be a number of tokens, 1 or more")
        self._unmetered = False
        self._meter.has_landing = self._meter.has_landing or landing
        return meter_model(llm, self._meter, landing=landing, min_output=min_output)

    @overload
    def track(self, node: Runnable[Input, Output]) -> Runnable[Input, Any]: ...
    @overload
    def track(self, node: Callable[P, Output]) -> Callable[P, Output]: ...
    def track(self, node: Any) -> Any:
        """`node`, watched: a denial inside becomes a verdict instead of an exception, usage goes to state, and models
        and tools in it that nobody wrapped are metered, without a cap (one call may pass the limit by its answer).

        The tool calls that a model in it asks for are charged here, and not again where a tracked node or the callback
        sees them run: in this run or, if the graph's state has `guard_asked`, in one that resumes.

        Takes sync and async functions and Runnables, and keeps their signature and annotations.
        """
        self._unmetered = False
        return self._tracker.wrap(node)

    def callback(self) -> BudgetCallback:
        """A handler for `config={"callbacks": […]}` that meters a whole run, subgraphs and tools included.

        Denials are exceptions: the run ends with `BudgetExceeded`.
        """
        self._unmetered = False
        return self._callback

    @property
    def tool_charges(self) -> ToolCharges:
        """What `ToolGuard(budget=…)` charges with."""
        return ToolCharges(self._meter, self._tools, self._callback)

    def share_left(self, state: Any, config: RunnableConfig) -> Generator[Sequence[Any], list[Any], float | None]:
        """The smallest share, from 0 to 1, that is left of any limit, as a flow for the ledger. `None` when that cannot
        be known: there is no limit, nobody says whose it is, or the ledger does not answer."""
        run = self._meter.run_of(config) or Run(self, False, self._meter.now_ms())
        try:
            limits, accounts = self._accounts(self._meter.who(config, run))
            turn = read(state, "guard_turn") or {}
            (balances,) = yield [Read(accounts, self.budget.goes_on, turn.get("id"))]
        except (IdentityMissing, BudgetUnavailable):
            return None
        standings = self._standings({"steps": 0, "active_ms": 0, **turn}, dict(zip(limits, balances, strict=True)))
        if any(balance.frozen for balance in balances):
            return 0.0
        shares = ((each.spent + each.reserved) / each.ceiling if each.ceiling else 1.0 for each in standings)
        return min((max(0.0, 1 - share) for share in shares), default=None)

    # How it decides

    @property
    def _ledger(self) -> BudgetLedger:
        return self._meter.backend.ledger

    def _check(self, state: Any, config: RunnableConfig) -> NodeFlow:
        meter = self._meter
        self._warn_unmetered()
        run = meter.run_of(config) or Run(self, False, meter.now_ms())
        yield from meter.enter(run, config, state)
        turn = passed(run, state, config, self.messages_key, meter.now_ms())
        self._tools.recall(run, read(state, "guard_asked"))
        yield from self._tools.read(run, messages_of(state, self.messages_key) if run.unsettled else ())
        who = meter.who(config, run)
        limits, accounts = self._accounts(who)
        counting = counters(who)
        local = self.budget.goes_on
        here = run.turn_ref[0] or None
        balances, used = yield [Read(accounts, local, here), Read(counting, local, here)]
        standings = self._standings(turn, dict(zip(limits, balances, strict=True)))
        frozen = _frozen((*accounts, *counting), (*balances, *used))
        verdict = frozen or self._verdict(standings, run, turn, state)
        if listening():
            self._say(verdict, standings)
        update = verdicts.update(state, self.name, verdict, run.turn_ref, meter.now_ms())
        usage = usage_of(counting, used, run.turn_ref)
        if usage != (read(state, "guard_usage") or {}):
            update["guard_usage"] = usage
        if asked := self._tools.news(run):
            update["guard_asked"] = asked
        return {**update, "guard_turn": turn}

    def _warn_unmetered(self) -> None:
        """Once, of the mistake that nothing else shows: limits that look as if they held."""
        if self._unmetered:
            self._unmetered = False
            _log.warning(
                "the gate %r was given no model to meter: unless something else charges its ledger, it lets everything"
                " pass. Give models through .model(…), wrap the nodes that call them with .track(…), or pass"
                " .callback() to the runs",
                self.name,
            )

    def _accounts(self, who: Identity) -> tuple[tuple[Limit, ...], tuple[Account, ...]]:
        limits = tuple(limit for limit in self.budget.limits if limit.in_ledger)
        return limits, tuple(named_account(limit, who) for limit in limits)

    def _standings(self, turn: Mapping[str, Any], balances: Mapping[Limit, Balance]) -> list[Standing]:
        aside = self._meter.has_landing
        found = [standing(self.budget, limit, balance, aside=aside) for limit, balance in balances.items()]
        for limit in self.budget.of(per="turn"):
            if limit.unit in ("steps", "seconds"):
                used = turn["steps" if limit.unit == "steps" else "active_ms"]
                found.append(Standing(limit, limit.amount, used))
        return found

    def _verdict(self, standings: list[Standing], run: Run, turn: Mapping[str, Any], state: Any) -> verdicts.Verdict:
        if run.denied is not None:
            return verdicts.denied(run.denied)
        over = used_up(standings) or self._too_long(state)
        if over is not None:
            return verdicts.of("exceeded", over)
        if must_land(turn, remaining := read(state, "guard_remaining_steps")):
            return verdicts.landing(turn, remaining)
        near = tightest(standings, self.budget.warn_at)
        return verdicts.of("warn", near) if near is not None else verdicts.OK

    def _too_long(self, state: Any) -> Standing | None:
        """The per-call limit that the messages alone would pass, so that they need not reach the model."""
        for limit in self.budget.of(unit="tokens", per="call"):
            read_tokens = self._meter.size.to_read(messages_of(state, self.messages_key))
            if read_tokens > limit.amount:
                return Standing(limit, limit.amount, read_tokens)
        return None

    def _say(self, verdict: verdicts.Verdict, standings: Sequence[Standing]) -> None:
        """When there is room, how each shared limit stands: what is left of it changes without a warning too."""
        shared = [each for each in standings if each.limit.per in SHARED]
        facts = [verdicts.of("ok", each).facts for each in shared] if verdict.route == "ok" else []
        for said in facts or [verdict.facts]:
            emit(
                "budget.verdict",
                guard=self.name,
                route=verdict.route,
                unit=said.get("unit"),
                scope=said.get("scope"),
                window=said.get("window"),
                limit=said.get("limit"),
                spent=said.get("spent"),
                reserved=said.get("reserved"),
            )


def _frozen(accounts: Sequence[Account], balances: Sequence[Balance]) -> verdicts.Verdict | None:
    """What is said when somebody froze one of the owners, whatever room there is."""
    found = zip(accounts, balances, strict=True)
    return next((verdicts.frozen(account, balance) for account, balance in found if balance.frozen), None)


def _check(budget: object, backend: object, identity: object) -> None:
    if not isinstance(budget, Budget):
        raise ConfigError("budget", f"must be a Budget, is a {type(budget).__name__}")
    if not isinstance(backend, Backend):
        raise ConfigError("backend", f"must be a backend such as MemoryBackend(), is a {type(backend).__name__}")
    if identity is not None and not callable(identity):
        raise ConfigError("identity", f"must be callable, is a {type(identity).__name__}")
    if budget.of(per="tenant") and not backend.tenant:
        raise ConfigError("per", "a limit counts per tenant: give the backend a tenant=")
