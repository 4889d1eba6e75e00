"""`HumanApprovalNode`: stands before the tools, asks people about the calls that need it, and says what may run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.errors import ConfigError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.approval import payloads
from langgraph_guard.nodes.approval.abandoned import ApprovalEntry, abandoned, take_back
from langgraph_guard.nodes.approval.asking import Asking, Interview
from langgraph_guard.nodes.approval.call import Call
from langgraph_guard.nodes.approval.place import place_of
from langgraph_guard.nodes.approval.reviewers import Who, named
from langgraph_guard.nodes.budget import BudgetCheckNode
from langgraph_guard.nodes.guard import Guard, NodeFlow, Update, in_config, path_map
from langgraph_guard.policies.approval.commands import Request
from langgraph_guard.policies.approval.rules import ApprovalPolicy, Rules
from langgraph_guard.state.views import MessagesView, messages_of, open_calls, opener, read
from langgraph_guard.tools.approvals import Approvals, Place
from langgraph_guard.tools.guard.running import Ask, asking, atell, tell

_log = logging.getLogger(__name__)

DURABILITY: Final = "__pregel_durability"
CHECKPOINTER: Final = "__pregel_checkpointer"


class HumanApprovalNode(Guard):
    """Stands before the tools. `.route` says `execute`, `revise` or `expired`; every stopping word has its edge.

    `rules`: patterns of tool names to `ApprovalRule`s, or an `ApprovalPolicy`. What they say of a call is laid down at
    the backend's desk before anybody is asked, and never asked of them again. What was approved is bound to the tool
    and its exact arguments: `ToolGuard(approvals=node.policy)` runs that, and nothing else, once.

    Calls that were refused get a verdict that the guarded tools node answers them with, while the others run. When none
    may run, the node answers them all: `expired` if time ran out on one of them, else `revise`, back to the model.

    `format`: `"hitl"`, one interrupt for all calls of a message, as LangChain's UIs expect; `"per_call"`, one after the
    other; `"inbox"`, Agent Inbox' list. Every known shape of answer is understood, and what is no answer asks again.
    `strict`: answers must name the approval. `reviewer`, `requester`: functions of the run's config that say who it is,
    a str or a `Person`; by default the server's authenticated user, or `user_id` and `roles` of context or
    configuration. Anonymous answers count where a rule names nobody. `budget`: the `BudgetCheckNode` whose limits rules
    with `budget_below` are about.

    `.entry` is a guard for where turns begin, `fuse(approval.entry, summary, budget)`, first of all: a user who goes on
    talking while people are asked leaves calls without an answer, which providers refuse. It answers them, and
    withdraws their requests.

    `independent`: the calls of a message do not wait for each other. Those that may run do so before anybody is asked
    about the rest; then give the tools an edge back, `add_conditional_edges("tools", node.after_tools,
    node.paths(pending="approve", ok="model"))`. Without it all wait for one question. Raises `ConfigError` naming the
    field.
    """

    passing = ("execute",)
    stopping = ("revise", "expired")

    def __init__(
        self,
        rules: Rules | ApprovalPolicy,
        backend: ApprovalBackend,
        *,
        format: payloads.Format = "hitl",  # noqa: A002 - the word of whoever draws the screen
        strict: bool = False,
        reviewer: Who | None = None,
        requester: Who | None = None,
        budget: BudgetCheckNode | None = None,
        independent: bool = False,
        name: str = "human_approval",
        messages_key: str = "messages",
    ) -> None:
        super().__init__(name, messages_key)
        _check(format, budget, reviewer=reviewer, requester=requester)
        self.policy = Approvals(rules if isinstance(rules, ApprovalPolicy) else ApprovalPolicy(rules), backend)
        self._interview = Interview(name, format, strict)
        self._reviewer, self._requester = reviewer, requester
        self._budget = budget
        self._independent = independent
        self.entry = ApprovalEntry(self.policy, f"{name}.entry", messages_key)
        self._warned = False

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return run(self._check(input, in_config(config)), tell)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return await arun(self._check(input, in_config(config)), atell)

    def after_tools(self, state: MessagesView) -> Literal["pending", "ok"]:
        """Where to go from the tools of an `independent` node: back to it while calls wait for people, else on."""
        waiting = any(call.get("id") for call in open_calls(messages_of(state, self.messages_key)))
        return "pending" if waiting else "ok"

    def paths(self, **targets: str) -> dict[Hashable, str]:
        """The path map of `route` (`execute`, `revise`, `expired`) or, when it names `pending`, of `after_tools`."""
        if "pending" in targets:
            return path_map(f"{self.name}.after_tools", ("ok",), ("pending",), targets)
        return super().paths(**targets)

    # The flow

    def _check(self, state: Any, config: RunnableConfig) -> NodeFlow:
        messages = messages_of(state, self.messages_key)
        calls = _distinct(Call.of(call) for call in open_calls(messages))
        yield from self._lay_down(calls, state, config)
        if not self._goes_first(calls):
            yield from asking(self.policy.desk, self._ask(calls, config))
        return self._said(state, messages, calls)

    def _lay_down(self, calls: Sequence[Call], state: Any, config: RunnableConfig) -> Generator[Any, Any, None]:
        """Tell the desk what the rules say of each call that they concern. What stands there already, stands."""
        place = place_of(config)
        asks = named(self._requester, config)
        known: dict[str, Any] = {"tainted": bool(read(state, "guard_taint")), "caller": asks.id, "roles": asks.roles}
        if self._budget is not None and any(self.policy.asks_budget(call.tool) for call in calls):
            ledger = self._budget.tool_charges.ledger
            known["budget_left"] = yield from asking(ledger, self._budget.share_left(state, config))
        concerned: list[tuple[Call, Request]] = []
        for call in calls:
            if call.action is None or not call.id:
                continue
            ruling = self.policy.rule(call.action, **known)
            if ruling.effect != "allow" or self.policy.policy.concerns(call.tool):
                concerned.append((call, self.policy.request(call.action, place, call.id, ruling, asks.id)))
        if concerned:
            yield from self._take_back(state, place, {request.id for _, request in concerned})
            (laid,) = yield [Ask(self.policy.desk, [request for _, request in concerned])]
            for (call, _), approval in zip(concerned, laid, strict=True):
                call.approval = approval

    def _take_back(self, state: Any, place: Place, asked: Collection[str]) -> Generator[Any, Any, None]:
        """Withdraw what earlier turns of this thread asked, and were not told. What is `asked` now is none of that,
        whatever stands behind its message, and also when a model gives it the id of an earlier call."""
        if left := abandoned(messages_of(state, self.messages_key)):
            yield from take_back(left, self.policy, place, self.name, asked)

    def _goes_first(self, calls: Sequence[Call]) -> bool:
        """Whether calls that may run do so now, and people are asked about the others afterwards."""
        return self._independent and any(call.waits for call in calls) and any(call.runs and call.id for call in calls)

    def _ask(self, calls: Sequence[Call], config: RunnableConfig) -> Asking:
        asked = [call for call in calls if call.approval is not None and call.approval.requirement is not None]
        if any(call.waits for call in asked):
            self._warn(config)
        if asked:
            yield from self._interview.hold(asked, named(self._reviewer, config))

    # What came of it

    def _said(self, state: Any, messages: Sequence[BaseMessage], calls: Sequence[Call]) -> Update:
        now_ms = int(self.policy.clock.now() * 1_000)
        turn = (read(state, "guard_turn") or {}).get("id") or opener(messages) or ""
        expired = [call for call in calls if call.approval is not None and call.approval.state == "expired"]
        for call in expired:
            emit("approval.expired", guard=self.name, tool=call.tool)
        if calls and not any(call.runs or call.waits for call in calls):
            answers = {self.messages_key: [call.answer() for call in calls]}
            return {**answers, **self._stopped(state, expired, turn, now_ms)}
        return {**self._verdicts(state, calls, now_ms), **self._route(state, "execute", "", turn, now_ms)}

    def _verdicts(self, state: Any, calls: Sequence[Call], now_ms: int) -> Update:
        """Verdicts by call id. One that stands from before is taken back: a call that was held may run now, and some
        models use an id again and again. Its time is later than theirs, because the latest stands."""
        before = read(state, "guard_calls") or {}
        said: dict[str, dict[str, Any]] = {}
        for call in calls:
            stood: Mapping[str, Any] = (before.get(call.id) or {}).get(self.name) or {}
            verdict = call.verdict() or ({"verdict": "pass"} if stood.get("verdict", "pass") != "pass" else None)
            if call.id and verdict is not None:
                said[call.id] = {**verdict, "at": max(now_ms, (stood.get("at") or 0) + 1)}
        return {"guard_calls": {id: {self.name: verdict} for id, verdict in said.items()}} if said else {}

    def _stopped(self, state: Any, expired: Sequence[Call], turn: str, now_ms: int) -> Update:
        if not expired:
            return self._route(state, "revise", "", turn, now_ms)
        facts = {"detail": f"nobody decided in time on {', '.join(sorted({call.tool for call in expired}))}"}
        seq = (read(state, "guard_turn") or {}).get("seq") or 0
        verdict = verdicts.Verdict("expired", verdicts.APPROVAL_EXPIRED, facts)
        decision = verdicts.decide(self.name, verdict, turn, seq, now_ms)
        news = self._route(state, "expired", verdicts.APPROVAL_EXPIRED, turn, now_ms)
        return {**news, "guard_decisions": [decision], "guard_halt": decision}

    def _route(self, state: Any, route: str, reason: str, turn: str, now_ms: int) -> Update:
        before = (read(state, "guard_verdicts") or {}).get(self.name) or {}
        if (before.get("route"), before.get("turn")) == (route, turn):
            return {}
        return {"guard_verdicts": {self.name: {"route": route, "reason": reason, "turn": turn, "at": now_ms}}}

    def _warn(self, config: RunnableConfig) -> None:
        """Once: a run that nobody can resume, or that may forget what was answered."""
        told = config.get("configurable") or {}
        durability = told.get(DURABILITY, "async")  # LangGraph's default, which it omits
        if self._warned or (durability == "sync" and told.get(CHECKPOINTER, "") is not None):
            return
        self._warned = True
        if told.get(CHECKPOINTER, "") is None:
            _log.warning("%s asks people in a graph that cannot wait: use compile(checkpointer=…).", self.name)
            return
        _log.warning(
            '%s asks people in a run with durability="%s": a crash may forget the question, and the step before it '
            'runs again. Use invoke(…, durability="sync").',
            self.name,
            durability,
        )


def _distinct(calls: Iterable[Call]) -> list[Call]:
    """Without those whose id another one has: the guard around the tools answers them."""
    found: dict[Any, Call] = {}
    for call in calls:
        found.setdefault(call.id or id(call), call)
    return list(found.values())


def _check(format: object, budget: object, **people: object) -> None:  # noqa: A002
    if format not in payloads.FORMATS:
        raise ConfigError("format", f"must be one of {', '.join(payloads.FORMATS)}")
    if budget is not None and not isinstance(budget, BudgetCheckNode):
        raise ConfigError("budget", f"must be a BudgetCheckNode, is a {type(budget).__name__}")
    for field, who in people.items():
        if who is not None and not callable(who):
            raise ConfigError(field, f"must be callable, is a {type(who).__name__}")
