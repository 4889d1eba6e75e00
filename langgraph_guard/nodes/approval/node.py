"""`HumanApprovalNode`: stands before the tools, asks people about the calls that need it, and says what may run."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.errors import ActionRefused, ConfigError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.approval import payloads
from langgraph_guard.nodes.approval.reviewers import Who, named
from langgraph_guard.nodes.guard import Guard, NodeFlow, Update, in_config
from langgraph_guard.policies.approval.actions import Action, hashed
from langgraph_guard.policies.approval.answers import Asked, Decision, decode
from langgraph_guard.policies.approval.commands import Approval, Decide, Decided, Look
from langgraph_guard.policies.approval.rules import ApprovalPolicy, Rules
from langgraph_guard.state.views import messages_of, open_calls, opener, read
from langgraph_guard.tools.approvals import Approvals, Place
from langgraph_guard.tools.results.result import ToolResult

_log = logging.getLogger(__name__)

DURABILITY: Final = "__pregel_durability"

EDITED: Final = (
    "A reviewer replaced the arguments of this call before it ran; the result is of what they wrote. Do not repeat it."
)


@dataclass(slots=True)
class Call:
    """One open call, and how it stands: `approval` when a rule concerned it, `refusal` when it cannot even be asked."""

    id: str
    tool: str
    action: Action | None = None
    approval: Approval | None = None
    refusal: str = ""

    @property
    def runs(self) -> bool:
        return not self.refusal and (self.approval is None or self.approval.may_run)


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
    configuration. Anonymous answers count where a rule names nobody. Raises `ConfigError` naming the field.
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
        name: str = "human_approval",
        messages_key: str = "messages",
    ) -> None:
        super().__init__(name, messages_key)
        if format not in payloads.FORMATS:
            raise ConfigError("format", f"must be one of {', '.join(payloads.FORMATS)}")
        for field, who in (("reviewer", reviewer), ("requester", requester)):
            if who is not None and not callable(who):
                raise ConfigError(field, f"must be callable, is a {type(who).__name__}")
        self.policy = Approvals(rules if isinstance(rules, ApprovalPolicy) else ApprovalPolicy(rules), backend)
        self._format: payloads.Format = format
        self._strict = strict
        self._reviewer, self._requester = reviewer, requester
        self._warned = False

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return run(self._check(input, in_config(config)), self.policy.desk.execute)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return await arun(self._check(input, in_config(config)), self.policy.desk.aexecute)

    # The flow

    def _check(self, state: Any, config: RunnableConfig) -> NodeFlow:
        messages = messages_of(state, self.messages_key)
        calls = [self._call(call) for call in open_calls(messages)]
        yield from self._lay_down(calls, state, config)
        yield from self._ask(calls, config)
        return self._said(state, messages, calls)

    def _call(self, call: Mapping[str, Any]) -> Call:
        found = Call(call.get("id") or "", call["name"])
        try:
            found.action = Action(call["name"], call["args"])
        except ActionRefused as refused:
            found.refusal = f"The arguments of {call['name']} cannot be approved: {refused.field} {refused.problem}."
        return found

    def _lay_down(self, calls: Sequence[Call], state: Any, config: RunnableConfig) -> Generator[Any, Any, None]:
        """Tell the desk what the rules say of each call that they concern. What stands there already, stands."""
        place = Place.of(*_where(config))
        asks = named(self._requester, config)
        known = {"tainted": bool(read(state, "guard_taint")), "caller": asks.id, "roles": asks.roles}
        concerned, requests = [], []
        for call in calls:
            if call.action is None or not call.id:
                continue
            ruling = self.policy.rule(call.action, **known)
            if ruling.effect != "allow" or self.policy.policy.concerns(call.tool):
                concerned.append(call)
                requests.append(self.policy.request(call.action, place, call.id, ruling, asks.id))
        if requests:
            for call, approval in zip(concerned, (yield requests), strict=True):
                call.approval = approval

    def _ask(self, calls: Sequence[Call], config: RunnableConfig) -> Generator[Any, Any, None]:
        """Ask until nothing is open. A round is about the same calls as every other, whatever was decided meanwhile:
        LangGraph gives answers by the order of the questions, and one that is heard again must mean the same calls."""
        asked = [call for call in calls if call.approval and call.approval.requirement is not None]
        groups = [[call] for call in asked] if self._format == "per_call" else [asked]
        problems: dict[str, None] = {}
        rounds = 0
        while any(call.approval and call.approval.is_open for call in asked):
            self._warn(config)
            rounds += 1
            heard: dict[str, None] = {}
            for group in groups:
                answer = interrupt(self._payload(group, list(problems)))
                heard |= yield from self._hear(group, answer, rounds, config)
            problems = heard

    def _payload(self, group: Sequence[Call], problems: Sequence[str]) -> Any:
        approvals = [call.approval for call in group if call.approval]
        args = {approval.id: json.loads(approval.args) for approval in approvals}
        for approval in approvals:
            emit("approval.asked", guard=self.name, tool=approval.tool, quorum=approval.needed.quorum)
        if self._format == "per_call":
            return payloads.single(approvals[0], args[approvals[0].id], problems)
        shape = payloads.inbox if self._format == "inbox" else payloads.batched
        return shape(approvals, args, problems)

    def _hear(
        self, group: Sequence[Call], answer: Any, rounds: int, config: RunnableConfig
    ) -> Generator[Any, Any, dict[str, None]]:
        """Tell the desk what was answered; what did not count, in words for whoever answers next."""
        by_id = {call.approval.id: call for call in group if call.approval}
        source = f"{hashed('batch', *by_id)[:16]}.{rounds}"
        said = decode(answer, [_asked(call) for call in by_id.values()], strict=self._strict)
        reviewer = named(self._reviewer, config)
        commands = [
            self._decide(by_id[id], decision, reviewer.id, reviewer.roles, source)
            for id, decision in said.decisions.items()
        ]
        replies: list[Decided | None] = (yield commands) if commands else []
        problems = dict.fromkeys(said.problems)
        for command, reply in zip(commands, replies, strict=True):
            if reply is not None:
                by_id[command.id].approval = reply.approval
                problems |= dict.fromkeys([reply.problem] if reply.problem else [])
        (fresh,) = yield [Look(self.policy.tenant, tuple(by_id))]
        for id, approval in zip(by_id, fresh, strict=True):
            by_id[id].approval = approval or by_id[id].approval
        return problems

    def _decide(self, call: Call, decision: Decision, by: str, roles: tuple[str, ...], source: str) -> Decide:
        approval, edited = call.approval, decision.edited
        assert approval is not None
        return Decide(
            tenant=self.policy.tenant,
            id=approval.id,
            by=by,
            type=decision.type,
            digest=approval.digest,
            roles=roles,
            message=decision.message,
            args=edited.text if edited else "",
            new_digest=edited.digest if edited else "",
            source=source,
        )

    # What came of it

    def _said(self, state: Any, messages: Sequence[BaseMessage], calls: Sequence[Call]) -> Update:
        now_ms = int(self.policy.clock.now() * 1_000)
        turn = (read(state, "guard_turn") or {}).get("id") or opener(messages) or ""
        if calls and not any(call.runs for call in calls):
            return {self.messages_key: [_answer(call) for call in calls], **self._stopped(state, calls, turn, now_ms)}
        said = {call.id: verdict for call in calls if call.id and (verdict := _verdict(call, now_ms))}
        news = {"guard_calls": {id: {self.name: verdict} for id, verdict in said.items()}} if said else {}
        return {**news, **self._route(state, "execute", "", turn, now_ms)}

    def _stopped(self, state: Any, calls: Sequence[Call], turn: str, now_ms: int) -> Update:
        expired = [call for call in calls if call.approval and call.approval.state == "expired"]
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
        """Once: a run that is asked to keep its state later may forget what was answered."""
        durability = (config.get("configurable") or {}).get(DURABILITY)
        if self._warned or durability in (None, "sync"):
            return
        self._warned = True
        _log.warning(
            '%s asks people in a run with durability="%s": a crash may forget the question, and the step before it '
            'runs again. Use durability="sync".',
            self.name,
            durability,
        )


def _where(config: RunnableConfig) -> tuple[str, str]:
    configurable = config.get("configurable") or {}
    return str(configurable.get("thread_id") or ""), configurable.get("checkpoint_ns") or ""


def _asked(call: Call) -> Asked:
    """The call as it stands: after an edit, what it was edited to."""
    assert call.approval is not None
    return Asked(call.approval.id, call.id, Action(call.tool, json.loads(call.approval.args)))


def _refusal(call: Call) -> str:
    """Why a call does not run, for a model."""
    if call.refusal:
        return call.refusal
    assert call.approval is not None
    why = {
        "denied": "may not be called like this",
        "expired": "was not approved in time",
        "rejected": "was rejected by a reviewer",
    }[call.approval.state]
    said = f": {call.approval.message}" if call.approval.message else ""
    return f"{call.tool} {why}{said}. It did not run. Do not repeat the same call unless the user asks for it."


def _verdict(call: Call, now_ms: int) -> dict[str, Any] | None:
    """What `ToolGuard` is told of a call; `None` when there is nothing to tell."""
    approval = call.approval
    if call.runs:
        edited = approval is not None and approval.edited
        return {"verdict": "note", "message": EDITED, "at": now_ms} if edited else None
    if approval is not None and approval.state == "responded":
        return {"verdict": "answer", "message": approval.message, "at": now_ms}
    kind = "validation" if approval is None else "denied"
    return {"verdict": "refuse", "error_type": kind, "message": _refusal(call), "retry_at": None, "at": now_ms}


def _answer(call: Call) -> ToolMessage:
    if call.approval is not None and call.approval.state == "responded":
        return ToolMessage(call.approval.message, tool_call_id=call.id, name=call.tool, status="success")
    kind: Any = "validation" if call.approval is None else "denied"
    return ToolResult.error(kind, _refusal(call)).to_message(call.id, call.tool)
